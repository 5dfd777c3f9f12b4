"""The executable without a server, as an application under development uses it: logins, TLS, lines, files."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import smtplib
import ssl
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import COMMAND, Proxy, environment, proxy

SECRET = "correct horse battery"
MESSAGE = "Subject: hi\n\nhello\n"


@contextmanager
def client(running: Proxy) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", running.port, timeout=60) as made:
        made.ehlo("me.example")
        yield made


def envelopes(directory: Path) -> list[dict[str, object]]:
    files = sorted((directory / "captured-mail" / "envelopes").iterdir())
    return [json.loads(file.read_text()) for file in files]


def test_an_application_with_its_real_settings(tmp_path: Path) -> None:
    """Logs in after STARTTLS, having checked the certificate; nothing of the password is left anywhere."""
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--transcript", "-vv") as running:
        assert "certificate made" not in running.said()
        with client(running) as first:
            assert first.has_extn("starttls")
            assert first.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"]
            first.starttls(context=ssl._create_unverified_context())
        running.wait_for("  fingerprint SHA-256 ")
        trusting = ssl.create_default_context(cafile=tmp_path / "captured-mail" / "certificate.pem")
        with client(running) as second:
            second.starttls(context=trusting)
            assert second.login("ann@me.example", SECRET)[0] == 235
            second.sendmail("a@me.example", ["b@mx.example"], MESSAGE)
        running.wait_for(
            r'^kept new/\S+\.eml  a@me\.example → b@mx\.example  "hi"  22 B  conn=c2 .* login=ann@me\.'
        )
        assert running.said().count("certificate made") == 1
        said = running.said()
    assert [each["login"] for each in envelopes(tmp_path)] == ["ann@me.example"]
    written = [said.encode(), *(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())]
    for secret in (SECRET, "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"):  # as it is, and in base64
        assert not any(secret.encode() in octets for octets in written)


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("at_once", [True, False])
def test_logins_in_plain_text(name: str, at_once: bool, tmp_path: Path) -> None:
    """Also of clients that are not on this machine, as in a container: those of the exempt networks are."""
    with proxy(tmp_path, "-l", "0.0.0.0:0") as running, client(running) as one:
        one.user, one.password = "ann", SECRET
        code, _ = one.auth(name, getattr(one, f"auth_{name.lower()}"), initial_response_ok=at_once)
        assert code == 235
        assert one.docmd("AUTH", name)[0] == 503
        one.sendmail("a@me.example", ["b@mx.example"], MESSAGE)
    (envelope,) = envelopes(tmp_path)
    assert (envelope["login"], envelope["login_mechanism"]) == ("ann", name)


def test_starttls_may_be_demanded_or_left_out(tmp_path: Path) -> None:
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--tls", "encrypt") as running, client(running) as one:
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            one.sendmail("a@me.example", ["b@mx.example"], MESSAGE)
        one.starttls(context=ssl._create_unverified_context())
        assert one.sendmail("a@me.example", ["b@mx.example"], MESSAGE) == {}
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--tls", "none") as running, client(running) as one:
        assert not one.has_extn("starttls")
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--self-signed") as running, client(running) as one:
        one.starttls(
            context=ssl.create_default_context(cafile=tmp_path / "captured-mail" / "certificate.pem")
        )


def test_an_application_that_trusts_the_certificate_goes_on(tmp_path: Path) -> None:
    """If the directory is removed while the proxy runs, and also with the first client after a restart."""
    file = tmp_path / "captured-mail" / "certificate.pem"

    def send(running: Proxy) -> None:
        trusting = ssl.create_default_context(cafile=file)
        with client(running) as one:
            one.starttls(context=trusting)
            assert one.sendmail("a@me.example", ["b@mx.example"], MESSAGE) == {}

    with proxy(tmp_path, "-l", "127.0.0.1:0", "--self-signed") as running:
        shutil.rmtree(file.parent)
        with client(running) as waiting:  # it has been greeted, so the file is there
            send(running)
            waiting.noop()
    with proxy(tmp_path, "-l", "127.0.0.1:0") as running:
        send(running)
        assert running.said().count("certificate made") == 1


RULES = """
from sansio_smtp.rules import Discard

def rcpt(tx, to):
    return Discard() if to.address.startswith("spam@") else None

def reply(tx, command, answer):
    if command.verb == "." and "boss@mx.example" in {to.address for to in tx.rcpts}:
        answer.replace(250, "2.0.0 thanks")
"""


def test_each_message_has_one_line_which_says_that_it_is_kept(tmp_path: Path) -> None:
    """Also if a rule discards it for a recipient, or replaces the reply."""
    (tmp_path / "rules.py").write_text(RULES)
    options = ("-l", "127.0.0.1:0", "--log-format", "json", "--rules", "rules.py")
    with proxy(tmp_path, *options) as running:
        with client(running) as one:
            for to in (["b@mx.example"], ["b@mx.example", "spam@mx.example"], ["boss@mx.example"]):
                one.sendmail("a@me.example", to, MESSAGE)
        running.wait_for("boss@mx.example")
        lines = [json.loads(line) for line in running.err.read_text().splitlines()]
    found = [(line["event"], [to["fate"] for to in line["to"]], line["by"]) for line in lines if "to" in line]
    assert found == [
        ("message kept", ["kept"], "server"),
        ("message split", ["kept", "discarded"], "server"),
        ("message kept", ["kept"], "rule"),
    ]
    assert {line["conn"] for line in lines if "to" in line} == {"c1"}
    files = {f"new/{file.name}" for file in (tmp_path / "captured-mail" / "new").iterdir()}
    assert {line["file"] for line in lines if "to" in line} == files
    assert len(files) == 3


def test_without_room_for_a_certificate(tmp_path: Path) -> None:
    """The client goes in peace, and others are served."""
    variables = {"TMPDIR": str(tmp_path / "no-such-directory")}
    (tmp_path / "no-such-directory").write_text("")
    code = f"import tempfile; tempfile.tempdir = {variables['TMPDIR']!r}\n"
    (tmp_path / "no_room.py").write_text(code)
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--rules", "no_room.py") as running:
        with client(running) as one:
            one.docmd("STARTTLS")
            with pytest.raises(smtplib.SMTPServerDisconnected):
                one.noop()
        running.wait_for("there is no certificate: ")
        with client(running) as one:
            assert one.sendmail("a@me.example", ["b@mx.example"], MESSAGE) == {}


def read_until(screen: int, pattern: bytes) -> bytes:
    """What appears on a terminal until the pattern does."""
    said, until = b"", time.monotonic() + 60
    while not re.search(pattern, said):
        ready, _, _ = select.select([screen], [], [], until - time.monotonic())
        assert ready, f"no {pattern!r} in {said!r}"
        said += os.read(screen, 65_536)
    return said


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """Mail is kept all the same; what was to be shown is lost."""
    screen, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
    command, variables = [*COMMAND, "-l", "127.0.0.1:0"], environment(PYTHONUTF8="1")
    process = subprocess.Popen(
        command, cwd=tmp_path, env=variables, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        found = re.search(rb"listening   127\.0\.0\.1:(\d+)", read_until(screen, rb"Ctrl-C"))
        assert found is not None
        with smtplib.SMTP("127.0.0.1", int(found[1]), timeout=60) as client:
            subject = "x\x1b[31m" * 2_000
            client.sendmail("a@me.example", ["b@mx.example"], f"Subject: {subject}\n\nhi\n")
            line = read_until(screen, rb"kept [^\n]*\n").decode().splitlines()[-1]
            assert re.fullmatch(r'kept new/\d+….eml  a@me.example → b@mx.example  "x.*…"  12.0 kB', line)
            assert len(line) == 90
            os.close(screen)
            for _ in range(3):
                client.sendmail("a@me.example", ["b@mx.example"], MESSAGE)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)
    assert len(list((tmp_path / "captured-mail" / "new").iterdir())) == 4
