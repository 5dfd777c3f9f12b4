"""A systemd that runs as the first process of namespaces of its own, over the files of this machine.

What it writes goes to memory, and is gone with it. It has a network of its own, so port 25 is free there.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from interop_daemon import need
from pages import ROOT

__all__ = ["UNITS", "under_systemd"]

UNITS = ROOT / "deploy" / "systemd"
SECONDS = 120
NAMESPACES = ("--pid", "--mount", "--cgroup", "--ipc", "--uts", "--net")

# The interpreter and its packages may be in a home directory, which the unit does not see: they get others.
BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {work}
mkdir {work}/upper {work}/work {work}/root
mount -t overlay overlay -o lowerdir=/,upperdir={work}/upper,workdir={work}/work {work}/root
cd {work}/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
rm -rf opt/smtp-proxy etc/smtp-proxy
mkdir -p opt/python opt/site opt/source opt/probe opt/smtp-proxy/bin etc/smtp-proxy
mount --bind {python} opt/python
mount --bind {site} opt/site
mount --bind {source} opt/source
mount --bind {probe} opt/probe
cp {units}/*.service {units}/*.socket etc/systemd/system/
cp -r opt/probe/etc/. etc/
install -m 755 opt/probe/smtp-proxy opt/smtp-proxy/bin/smtp-proxy
mkdir old
pivot_root . old
umount -l old
mount --make-rshared /
export container=namespaces
exec /lib/systemd/systemd --system --unit=probe.service --log-target=null --show-status=no
"""
PROGRAM = """#!/opt/python/bin/{name}
from trio_proxy.__main__ import main
main()
"""
PLACES = """[Service]
Environment=PYTHONPATH=/opt/source:/opt/site PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/opt/python/lib
"""
PROBE = """[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
Environment=LD_LIBRARY_PATH=/opt/python/lib
StandardOutput=file:/opt/probe/said.json
StandardError=file:/opt/probe/errors
ExecStart=/opt/python/bin/{name} /opt/probe/probe.py
ExecStopPost=/bin/sh -c 'journalctl --no-pager -o cat -u smtp-proxy.service > /opt/probe/journal 2>&1'
ExecStopPost=/bin/systemctl --force --force poweroff
"""


def under_systemd(directory: Path, files: Mapping[str, str], probe: str) -> dict[str, Any]:
    """Boots it with the units of `deploy` and with these files of /etc, runs the program ``probe`` there, and
    returns what that prints, as JSON."""
    need("unshare", "util-linux")
    need("systemd-analyze", "systemd")
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    given, work = directory / "probe", directory / "work"
    work.mkdir()
    for path, text in {
        **{f"etc/{path}": text for path, text in files.items()},
        "etc/systemd/system/probe.service": PROBE.format(name=name),
        "etc/systemd/system/smtp-proxy.service.d/places.conf": PLACES,
        "etc/systemd/system/smtp-proxy@.service.d/places.conf": PLACES,
        "smtp-proxy": PROGRAM.format(name=name),
        "probe.py": probe,
    }.items():
        file = given / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    boot = BOOT.format(
        work=shlex.quote(str(work)),
        python=shlex.quote(sys.base_prefix),
        site=shlex.quote(sysconfig.get_path("platlib")),
        source=shlex.quote(str(ROOT)),
        probe=shlex.quote(str(given)),
        units=shlex.quote(str(UNITS)),
    )
    if os.geteuid() != 0:
        pytest.fail("systemd can only be started by root", pytrace=False)
    done = subprocess.run(
        ["unshare", "--fork", "--kill-child", *NAMESPACES, "bash", "-c", boot],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    said = given / "said.json"
    assert said.exists(), f"systemd did not come up: {done.stderr.decode()}"
    journal = (given / "journal").read_text()
    assert said.read_text().endswith("}\n"), (given / "errors").read_text() + journal
    found: dict[str, Any] = json.loads(said.read_text())
    return found
