"""The units of ``deploy/systemd``: what systemd says of them, and what the service does under it."""

from __future__ import annotations

import re
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from interop_aiosmtpd import Sink
from interop_certificates import Certificates
from interop_daemon import need
from interop_postfix import free_port
from interop_systemd import UNITS, under_systemd
from pages import ROOT

pytestmark = pytest.mark.interop

SERVICES = sorted(each.name for each in UNITS.glob("*.service"))
ALL = sorted(each.name for each in UNITS.iterdir())


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that there is on this machine; templates have an instance."""
    copytree(UNITS, tmp_path / "units")
    for unit in (tmp_path / "units").iterdir():
        unit.write_text(unit.read_text().replace("/opt/smtp-proxy/bin/smtp-proxy", "/bin/true"))
        unit.rename(unit.with_name(unit.name.replace("@", "@587")))
    return tmp_path / "units"


def analyze(folder: Path, *arguments: str) -> str:
    """All that it says. It warns without an exit status."""
    need("systemd-analyze", "systemd")
    done = subprocess.run(
        ["systemd-analyze", "--man=no", "--no-pager", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.any_io
def test_systemd_finds_nothing_wrong_in_the_units(units: Path) -> None:
    assert len(SERVICES) == 2
    assert len(ALL) == 4
    assert analyze(units, "verify", *(f"./{unit.name}" for unit in units.iterdir())) == ""


@pytest.mark.any_io
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_exposed_by_less_than_two(units: Path, service: str) -> None:
    """Of ten; the threshold is in tenths."""
    name = service.replace("@", "@587")
    said = analyze(units, "security", "--offline=yes", "--threshold=19", f"./{name}")
    level = re.search(rf"Overall exposure level for {re.escape(name)}: ([0-9.]+)", said)
    assert level
    print(f"\n{service}: {level[1]}")


def test_a_socket_of_systemd(tmp_path: Path, sink: Sink) -> None:
    """Listened on before there is a service: the first client waits for it, and its message passes."""
    need("systemd-socket-activate", "systemd")
    notified, port = tmp_path / "notify", free_port()
    address = f"127.0.0.1:{port}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notified))
        manager.settimeout(30)
        command = [
            "systemd-socket-activate",
            "-l",
            address,
            "-E",
            f"NOTIFY_SOCKET={notified}",
            sys.executable,
        ]
        command += ["-m", "trio_proxy", "--listen", address, "--upstream", f"127.0.0.1:{sink.port}"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            while b"Listening on" not in (tmp_path / "log").read_bytes():
                assert process.poll() is None, (tmp_path / "log").read_text()
            with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=30) as client:
                assert manager.recv(4096).startswith(b"READY=1\nSTATUS=accepting clients\n")
                client.sendmail("ann@example.com", ["bob@example.net"], b"Subject: x\r\n\r\nhello\r\n")
            process.send_signal(signal.SIGTERM)
            assert manager.recv(4096).startswith(b"STOPPING=1\n")
            assert process.wait(30) == 0, (tmp_path / "log").read_text()
        finally:
            process.kill()
            process.wait(30)
    assert len(sink.contents()) == 1


PROBE = """
import glob, json, os, smtplib, ssl, subprocess, threading, time

def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip()

def shown(name):
    return run("systemctl", "show", "--property", name, "--value", "smtp-proxy.service")

trust = ssl.create_default_context(cafile="/opt/probe/etc/ca.pem")

accepted = []

def send():
    with smtplib.SMTP("127.0.0.1", 25, timeout=30) as client:
        client.starttls(context=trust)
        client.sendmail("ann@example.com", ["bob@example.net"], b"Subject: x\\r\\n\\r\\nhello\\r\\n")
        accepted.append(client.sock.version())

def tried():
    try:
        send()
        return "taken"
    except smtplib.SMTPException:  # 421, as the service stops, maybe in answer to QUIT
        return "later"
    except Exception as error:
        return repr(error)

def clients():
    while not over.is_set():
        told.append(tried())

def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip().split(":\\t", 1) for line in file)

said = {}
said["socket"] = run("systemctl", "start", "smtp-proxy.socket")
send()
said["state"], said["status"] = shown("ActiveState"), shown("StatusText")
process = status(shown("MainPID"))
said["uid"], said["seccomp"], said["capabilities"] = (
    int(process["Uid"].split()[0]), process["Seccomp"], process["CapBnd"]
)
said["reload"] = run("systemctl", "reload", "smtp-proxy.service")
told, over = [], threading.Event()
thread = threading.Thread(target=clients)
thread.start()
said["restart"] = run("systemctl", "restart", "smtp-proxy.service")
over.set()
thread.join()
said["told"] = told
began = time.monotonic()
os.kill(int(shown("MainPID")), 9)
while tried() != "taken":
    pass
said["back"] = time.monotonic() - began
said["restarts"] = shown("NRestarts")
said["without a socket"] = run("systemctl", "stop", "smtp-proxy.socket", "smtp-proxy.service")
said["start"] = run("systemctl", "start", "smtp-proxy.service")
send()
said["kept"] = len(glob.glob("/var/lib/smtp-proxy/captured-mail/new/*"))
said["process"] = [line for line in run("curl", "-s", "http://127.0.0.1:9025/metrics").splitlines()
                   if line.startswith("process_")]
said["stop"] = run("systemctl", "stop", "smtp-proxy.service")
said["template"] = run("systemctl", "start", "smtp-proxy@2525.socket")
with smtplib.SMTP("127.0.0.1", 2525, timeout=30) as client:
    client.sendmail("ann@example.com", ["bob@example.net"], b"Subject: x\\r\\n\\r\\nhello\\r\\n")
said["kept by 2525"] = len(glob.glob("/var/lib/smtp-proxy-2525/captured-mail/new/*"))
said["result"], said["ended"] = shown("Result"), shown("ExecMainStatus")
said["log"] = run("journalctl", "--no-pager", "-u", "smtp-proxy.service", "-o", "cat")
said["accepted"] = accepted
print(json.dumps(said))
"""


INSTANCE = """
[server]
listen = ["0.0.0.0:2525", "[::]:2525"]
capture = "/var/lib/smtp-proxy-2525/captured-mail"
"""


@pytest.mark.alone
@pytest.mark.any_io
def test_the_service_under_systemd(tmp_path: Path, certificates: Certificates) -> None:
    """As it lies in ``deploy``, hardening and all; only that it keeps the messages itself."""
    settings = (ROOT / "deploy" / "etc" / "proxy.toml").read_text()
    for old, new in {
        'upstream = "127.0.0.1:10025"': 'capture = "/var/lib/smtp-proxy/captured-mail"',
        'send_client = "xclient"': "",
        "#admin": "admin",
        "#tls_cert": "tls_cert",
        "#tls_key": "tls_key",
    }.items():
        assert f"\n{old}" in settings
        settings = settings.replace(f"\n{old}", f"\n{new}")
    said = under_systemd(
        tmp_path,
        {
            "smtp-proxy/proxy.toml": settings,
            "smtp-proxy/2525.toml": INSTANCE,
            "smtp-proxy/tls-cert.pem": certificates.certificate.read_text(),
            "smtp-proxy/tls-key.pem": certificates.key.read_text(),
            "ca.pem": certificates.ca.read_text(),
        },
        PROBE,
    )
    log = said["log"]
    assert {*said["accepted"]} == {"TLSv1.3"}, log
    assert said["state"] == "active"
    assert "workers accept clients" in said["status"]
    assert said["uid"] >= 61184, "systemd.exec(5): a dynamic user"
    assert said["seccomp"] == "2"
    assert int(said["capabilities"], 16) == 1 << 10  # CAP_NET_BIND_SERVICE
    commands = ("socket", "reload", "restart", "without a socket", "start", "stop", "template")
    assert [said[command] for command in commands] == [""] * len(commands), log
    assert {*said["told"]} <= {"taken", "later"}, "no connection was refused"
    assert said["restarts"] == "1"
    assert said["kept"] == len(said["accepted"]) > 2
    assert said["kept by 2525"] == 1
    assert any(line.startswith("process_open_fds") for line in said["process"])
    assert (said["result"], said["ended"]) == ("success", "0"), log
    assert "Traceback" not in log
    print(f"\nstarted anew: {len(said['told'])} clients, none refused")
    print(f"kill -9: {said['back']:.1f} s until mail passes")
