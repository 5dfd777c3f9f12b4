"""docs/how-to/diagnose.md: what it shows of the log and of commands is what they say."""

from __future__ import annotations

import re
from pathlib import Path

from commands import Proxy, connect, once, proxy, say_hello
from pages import ROOT, blocks

RULES = """
from sansio_smtp.rules import Discard, Reject


def rcpt(tx, to):
    if to.domain == "old.example":
        return Reject(550, "5.1.6 That domain has moved")
    return Discard() if to.address.startswith("spam@") else None


def headers(tx, headers):
    if headers.get("Subject") == "break":
        raise ValueError("this message breaks the rule")
"""


def said_by(running: Proxy) -> str:
    """The log of clients with one problem each."""
    in_mail = (b"MAIL FROM:<ann@example.com>", b"RCPT TO:<%s>")
    talks: list[tuple[bytes, bytes, str]] = [
        (b"bob@old.example", b"", "RCPT refused"),
        (b"spam@example.net", b"Subject: x\r\n\r\nx\r\n.\r\n", "message discarded"),
        (b"bob@example.net", b"Subject: x\n\nx\n.\n", "in mid-message"),
        (b"", b"GET / HTTP/1.1\r\n", "not HTTP"),
        (b"", b"\x16\x03\x01\r\n", "TLS on"),
        (b"bob@example.net", b"Subject: break\r\n\r\nx\r\n.\r\n", "message refused"),
        (b"ann@example.net", b"Subject: hello\r\n\r\nx\r\n.\r\n", "kept new/"),
    ]
    for to, octets, line in talks:
        client = connect(("127.0.0.1", running.port))
        if to:
            say_hello(client)
            client.send(in_mail[0], in_mail[1] % to)
            client.expect(b"250 ...", b"550 ..." if to.endswith(b"old.example") else b"250 ...")
            if line == "kept new/":
                client.send(in_mail[1] % b"kim@example.net")
                client.expect(b"250 ...")
            if octets:
                client.send(b"DATA")
                client.expect(b"354 ...")
        else:
            client.expect(b"220 ...")
        client.raw(octets)
        if octets.endswith(b"\r\n"):
            client.line()
        client.close()
        running.wait_for(line)
    return running.said()


def test_what_the_page_shows(tmp_path: Path) -> None:
    (tmp_path / "my_rules.py").write_text(RULES)
    (tmp_path / "captured-mail" / "new").mkdir(parents=True)
    shown = once("show", directory=tmp_path)
    checked = once("check", "--upstream", "127.0.0.1:1", "--listen", "127.0.0.1:0", directory=tmp_path)
    running = Proxy(tmp_path, "-v", "-l", "127.0.0.1:0", "-r", "my_rules.py")  # with the traceback of a rule
    try:
        said = said_by(running)
    finally:
        running.kill()
    assert "\n  listening " in running.out.read_text()
    log = running.err.read_text()
    assert "listening" not in log
    assert "\nTraceback (most recent call last):\n" in log
    with proxy(tmp_path, "-l", "127.0.0.1:0", "-u", "127.0.0.1:1") as running:
        client = connect(("127.0.0.1", running.port))
        client.expect(b"421 4.4.1 ...")
        client.close()
        running.wait_for("cannot be reached")
        said += running.said()
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--bare-newline", "reject") as running:
        client = connect(("127.0.0.1", running.port))
        client.expect(b"220 ...")
        client.raw(b"EHLO laptop.example\n")
        client.expect(b"500 5.5.2 line ended by a bare LF, not CRLF; closing")
        client.close()
        running.wait_for("bare LF")
        said += running.said()
    said += shown.stdout + checked.stdout + checked.stderr
    lines = [
        line
        for block in blocks(ROOT / "docs" / "how-to" / "diagnose.md", "text")
        for line in block.splitlines()
    ]
    assert len(lines) == 13
    # It would take two seconds: test_rule_patience.py has it.
    lines = [line for line in lines if "has no verdict after 2 s" not in line]
    assert len(lines) == 12
    assert RULES.splitlines()[4].startswith("def rcpt(")
    for line in lines:
        pattern = re.escape(line).replace(r"\ …\ ", r"\ (?:.*\ )?").replace(r"\ …", ".*").replace("…", ".*")
        assert re.search(pattern, said), f"{line}\n\n{said}"
