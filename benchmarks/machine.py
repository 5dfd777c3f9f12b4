"""Describes the environment of a run: the machine, the kernel and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .programs import CHECKOUT, which

__all__ = ["facts"]


def said(*command: str, pattern: str = r"\d+(?:\.\d+)+\S*") -> str:
    """The version that a program prints, or nothing."""
    path = which(command[0])
    if path is None:
        return ""
    done = subprocess.run([path, *command[1:]], check=False, capture_output=True, text=True, timeout=20)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[0] if found else ""


def processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def memory() -> str:
    found = re.search(r"^MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return f"{int(found[1]) / 2**20:.0f} GiB" if found else "?"


def commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()


def installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def facts(against: Path | None, haraka: Path | None, arguments: Sequence[str]) -> dict[str, str]:
    versions = {
        "CPython": platform.python_version(),
        "Trio": installed("trio"),
        "attrs": installed("attrs"),
        "OpenSSL": _openssl(),
        "HAProxy": said("haproxy", "-v"),
        "Postfix": said("postconf", "mail_version"),
        "aiosmtpd": installed("aiosmtpd"),
        "Haraka": _haraka(haraka),
        "Node.js": said("node", "--version") if haraka else "",
    }
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{processor()}, {os.cpu_count()} cores, {memory()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "sansio-smtp": commit(CHECKOUT),
        "before": commit(against) if against else "",
        "command": " ".join(["python -m benchmarks", *map(_without_path, arguments)]),
    }
    return {name: value for name, value in found.items() if value}


def _without_path(word: str) -> str:
    """The word without a path, because paths of this machine are private."""
    name, equals, value = word.rpartition("=")
    return f"{name}{equals}PATH" if value.startswith("/") else word


def _openssl() -> str:
    import ssl

    return ssl.OPENSSL_VERSION.split()[1]


def _haraka(modules: Path | None) -> str:
    if modules is None:
        return ""
    file = modules / "Haraka" / "package.json"
    found = re.search(r'"version": *"([^"]+)"', file.read_text()) if file.exists() else None
    return found[1] if found else ""


if __name__ == "__main__":
    print(facts(None, None, sys.argv[1:]))
