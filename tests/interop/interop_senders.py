"""Mail clients as people use them: each sends one message, by STARTTLS or with TLS from the first octet,
after it has checked the certificate of the proxy and logged in."""

from __future__ import annotations

import json
import shutil
import smtplib
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
from interop_daemon import need
from interop_wire import RawClient, dot_stuffed

__all__ = ["SENDERS", "Mode", "Submission", "build_nodemailer", "openssl_client"]

Mode: TypeAlias = Literal["starttls", "implicit"]
SOURCES = Path(__file__).parent / "mail_clients"


@attrs.frozen
class Submission:
    """What is sent, and to whom."""

    mode: Mode
    port: int
    ca: Path
    """What the client trusts."""
    user: str
    password: str
    sender: str
    to: str
    subject: str
    directory: Path
    """For what the client needs in files."""

    @property
    def content(self) -> str:
        head = f"From: {self.sender}\nTo: {self.to}\nSubject: {self.subject}\n"
        return f"{head}\n.a line that begins with a dot\n"

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


def _run(program: str, package: str, *arguments: str, content: str = "") -> None:
    need(program, package)
    command = [program, *arguments]
    done = subprocess.run(command, check=False, input=content, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def _smtplib(mail: Submission) -> None:
    context = ssl.create_default_context(cafile=str(mail.ca))
    client: smtplib.SMTP
    if mail.mode == "implicit":
        client = smtplib.SMTP_SSL("localhost", mail.port, timeout=30, context=context)
    else:
        client = smtplib.SMTP("localhost", mail.port, timeout=30)
    with client:
        if mail.mode == "starttls":
            client.starttls(context=context)
        client.login(mail.user, mail.password)
        client.sendmail(mail.sender, mail.to, mail.content)


def _swaks(mail: Submission) -> None:
    tls = {"starttls": "--tls", "implicit": "--tls-on-connect"}[mail.mode]
    words = ["--server", "localhost", "--port", str(mail.port), tls, "--tls-verify"]
    words += ["--tls-ca-path", str(mail.ca), "--from", mail.sender, "--to", mail.to, "--data", "-"]
    words += ["--auth", "PLAIN", "--auth-user", mail.user, "--auth-password", mail.password]
    _run("swaks", "swaks", *words, content=mail.content)


def _curl(mail: Submission) -> None:
    url = {"starttls": f"smtp://{mail.address}", "implicit": f"smtps://{mail.address}"}[mail.mode]
    words = ["--silent", "--show-error", "--url", url, "--ssl-reqd", "--cacert", str(mail.ca), "--crlf"]
    words += ["--user", f"{mail.user}:{mail.password}", "--mail-from", mail.sender, "--mail-rcpt", mail.to]
    _run("curl", "curl", *words, "--upload-file", "-", content=mail.content)


def _msmtp(mail: Submission) -> None:
    starttls = {"starttls": "on", "implicit": "off"}[mail.mode]
    words = ["--host=localhost", f"--port={mail.port}", "--tls=on", f"--tls-starttls={starttls}"]
    words += [f"--tls-trust-file={mail.ca}", "--auth=plain", f"--user={mail.user}", f"--from={mail.sender}"]
    words += [f"--passwordeval=printf %s '{mail.password}'", "--protocol=smtp", mail.to]
    _run("msmtp", "msmtp", *words, content=mail.content)


def _nodemailer(mail: Submission) -> None:
    implicit = mail.mode == "implicit"
    transport = {
        "host": "localhost",
        "port": mail.port,
        "secure": implicit,
        "requireTLS": not implicit,
        "auth": {"user": mail.user, "pass": mail.password},
    }
    said = {"from": mail.sender, "to": mail.to, "subject": mail.subject}
    said["text"] = mail.content.partition("\n\n")[2]
    what = {"transport": transport, "mail": said, "ca": str(mail.ca)}
    _run("node", "nodejs", str(mail.directory / "nodemailer.js"), json.dumps(what))


def build_nodemailer(directory: Path) -> None:
    for source in SOURCES.iterdir():
        shutil.copy(source, directory)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, check=True, cwd=directory, capture_output=True, timeout=300)


@contextmanager
def openssl_client(
    mode: Mode, port: int, ca: Path, errors: Path, *, greet: bool = True
) -> Iterator[RawClient]:
    """`openssl s_client`, told what to say over a socket. It says EHLO by itself before STARTTLS. What is
    wrong for it is in the file `errors`."""
    need("openssl", "openssl")
    command = ["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", str(ca), "-quiet"]
    command += ["-verify_hostname", "localhost", "-verify_return_error"]
    command += ["-starttls", "smtp"] if mode == "starttls" else []
    ours, its = socket.socketpair()
    with ours, errors.open("wb") as file:
        with its:
            process = subprocess.Popen(command, stdin=its, stdout=its, stderr=file)
        try:
            yield RawClient(ours, greet=greet, greeted=mode == "starttls")
        finally:
            process.kill()
            process.wait(20)


def _openssl(mail: Submission) -> None:
    errors = mail.directory / "openssl.stderr"
    with openssl_client(mail.mode, mail.port, mail.ca, errors) as client:
        login = b64encode(f"\0{mail.user}\0{mail.password}".encode())
        client.command(b"AUTH PLAIN " + login, 235)
        client.envelope(mail.sender, mail.to)
        client.command(dot_stuffed(mail.content.replace("\n", "\r\n").encode()) + b".", 250)
        client.quit()


SENDERS: dict[str, Callable[[Submission], None]] = {
    "smtplib": _smtplib,
    "swaks": _swaks,
    "curl": _curl,
    "msmtp": _msmtp,
    "nodemailer": _nodemailer,
    "openssl": _openssl,
}
