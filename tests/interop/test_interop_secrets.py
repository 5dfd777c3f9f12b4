"""A session with TLS on both legs and AUTH PLAIN: nothing that is written down holds the password."""

from __future__ import annotations

import smtplib
import ssl
from base64 import b64encode
from pathlib import Path

import pytest
from interop_certificates import Certificates
from interop_peers import PASSWORD, Peers
from interop_postfix import SENDER
from interop_proxy import running
from interop_wire import RawClient

pytestmark = pytest.mark.interop

WRONG = "wrong-horse/battery+staple"
RULES = """
def command(conn, cmd):
    print(conn, cmd, repr(cmd), cmd.command)


def auth(conn, attempt):
    print(conn, attempt, repr(attempt))
    if attempt.identity == "fails":
        raise ValueError(f"the rule for {attempt!r} of {conn!r} has failed")


def reply(tx, command, answer):
    print(tx, command, answer)


def mail(tx, sender):
    raise ValueError(f"the rule for {tx!r} of {tx.conn!r} has failed")
"""


IMPATIENT_LOGIN = b"AUTH LOGIN\r\nYW5u\r\n%b\r\n" % b64encode(PASSWORD.encode())
"""Says the password in plain text, where it must not be said, and waits for no reply."""


def plain(user: str, password: str) -> str:
    return b64encode(f"\0{user}\0{password}".encode()).decode()


def test_no_password_is_written_down(peers: Peers, certificates: Certificates, tmp_path: Path) -> None:
    (tmp_path / "watch.py").write_text(RULES)
    options = ("--tls", "encrypt", *certificates.options, "--upstream-tls", "verify")
    options += ("--upstream-ca", str(peers.ca), "--transcript", "-vv", "--rules", str(tmp_path / "watch.py"))
    trusted = ssl.create_default_context(cafile=str(certificates.ca))
    codes: list[int] = []
    upstream = f"smtp://127.0.0.1:{peers.ports['required']}"
    with running(upstream, tmp_path, *options, rules_fail=True) as proxy:
        for user, password in (("fails", PASSWORD), ("ann", WRONG), ("ann", PASSWORD)):
            for by_itself in (False, True):
                with smtplib.SMTP("localhost", proxy.port, "client.example", timeout=30) as client:
                    client.starttls(context=trusted)
                    client.ehlo()
                    response = plain(user, password)
                    if by_itself:
                        codes.append(client.docmd("AUTH", "PLAIN")[0])
                        if codes[-1] == 334:
                            codes.append(client.docmd(response)[0])
                    else:
                        codes.append(client.docmd("AUTH", f"PLAIN {response}")[0])
                    if codes[-1] == 235:
                        codes.append(client.mail(SENDER)[0])
        for lines in (b"AUTH PLAIN\r\n%b\r\n" % plain("ann", PASSWORD).encode(), IMPATIENT_LOGIN):
            with RawClient(proxy.port) as client:
                client.send(lines)
                codes.append(client.reply().code)
                client.command(b"QUIT")
    written = proxy.log()
    # The rule learns the name of the initial response only, and so refuses only that one.
    assert codes == [451, 334, 235, 451, 535, 334, 535, 235, 451, 334, 235, 451, 530, 530]
    shown = ("AUTH PLAIN ********", "the rule for AuthAttempt", "TLSv1.3")
    assert [each for each in shown if each not in written] == []
    secrets = [
        secret
        for user, password in (("fails", PASSWORD), ("ann", WRONG), ("ann", PASSWORD))
        for secret in (password, plain(user, password), b64encode(password.encode()).decode())
    ]
    assert [secret for secret in secrets if secret[4:-4] in written] == []
