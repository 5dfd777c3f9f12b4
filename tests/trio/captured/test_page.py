"""Captured mail as people see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mailboxes import ENVELOPE, HELLO, keep
from test_contents import full

from trio_proxy.captured.contents import contents_of
from trio_proxy.captured.mailbox import Mailbox
from trio_proxy.captured.page import list_lines, message_lines
from trio_proxy.captured.widths import columns_of

NASTY = "\x1b[2J\x1b]0;owned\x07\u202e\x9b\0"
HTML = b"Content-Type: text/html\r\n\r\n<p>hello</p>"


def listed(directory: Path, columns: int | None = None) -> list[str]:
    mailbox = Mailbox(directory)
    return list(list_lines(map(mailbox.summary, mailbox.messages()), columns))


def shown(directory: Path) -> list[str]:
    mailbox = Mailbox(directory)
    stored = mailbox.message(None)
    lines = list(message_lines(mailbox.summary(stored), contents_of(mailbox.content(stored))))
    assert lines.pop(0) == f"message {stored.number}  {stored.path}"
    assert lines.pop(0).startswith("  kept  20")
    return lines


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_795_948_004.489279)
    monkeypatch.setenv("TZ", "UTC")


def test_the_list(tmp_path: Path) -> None:
    keep(tmp_path)
    keep(tmp_path, b"Subject: x\r\n\r\n" + b"x" * 5_000, {"mail_from": "", "rcpt_to": ["d@mx.example"]})
    assert listed(tmp_path) == [
        "N  kept                 from            to                    size  subject",
        "1  2026-11-29 10:26:44  ann@me.example  bob@mx.example, +1    75 B  Grüße",
        "2  2026-11-29 10:26:44  <>              d@mx.example        5.0 kB  x",
    ]


@pytest.mark.parametrize("columns", [80, 100, 150])
def test_the_list_fits_into_the_terminal(columns: int, tmp_path: Path) -> None:
    long = ["a" * 64 + "@mx.example"] * 3
    subject = ("日本" * 200).encode()
    keep(tmp_path, b"Subject: %s\r\n\r\n" % subject, {"mail_from": "日" * 70, "rcpt_to": long})
    keep(tmp_path)
    assert all(columns_of(line) <= columns for line in listed(tmp_path, columns))
    assert columns_of(listed(tmp_path)[1]) > 400
    assert "a…, +2  " in listed(tmp_path, columns)[1]


def test_a_message(tmp_path: Path) -> None:
    keep(tmp_path)
    assert shown(tmp_path) == [
        "  from  ann@me.example",
        "  to    bob@mx.example, carol@mx.example",
        "",
        "From: Ann <ann@me.example>",
        "Subject: Grüße",
        "",
        "hello",
    ]


@pytest.mark.parametrize(
    ("login", "line"), [("ann", "ann, with PLAIN"), (None, "(a name that cannot be read), with PLAIN")]
)
def test_who_has_logged_in(login: str | None, line: str, tmp_path: Path) -> None:
    keep(tmp_path, HELLO, {**ENVELOPE, "login": login, "login_mechanism": "PLAIN"})
    assert shown(tmp_path)[2] == f"  login {line}"


def test_attachments_and_html(tmp_path: Path) -> None:
    keep(tmp_path, full(), {})
    lines = shown(tmp_path)
    assert lines[:2] == ["", "Subject: Grüße"]
    assert lines[-7:] == [
        "(this message has HTML too, which --json and --raw show)",
        "",
        "hello",
        "",
        "attachment  Rechnung für Ann.pdf  application/pdf  4 B",
        "attachment  notes.txt  text/plain  6 B",
        "attachment  (no name)  message/rfc822  1 B",
    ]


def test_html_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, HTML)
    assert shown(tmp_path)[-3:] == ["(this message has HTML only; this is its text)", "", "hello"]
    monkeypatch.setattr("trio_proxy.captured.page.text_of_html", lambda _: None)
    note, _, page = shown(tmp_path)[-3:]
    assert "pip install 'sansio-smtp[html]'" in note
    assert page == "<p>hello</p>"


def test_no_control_character_is_shown(tmp_path: Path) -> None:
    nasty = NASTY.encode()
    part = b'\r\n--b\r\nContent-Type: %s; name="%s"\r\n\r\n%s' % (b"a/b", nasty, nasty)
    head = b"Subject: %s\r\nX-%s: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" % (nasty, nasty)
    keep(tmp_path, head + b"--b\r\n\r\n" + nasty + part, {"mail_from": NASTY, "rcpt_to": [NASTY, NASTY]})
    assert all(line.isprintable() for line in (*listed(tmp_path), *shown(tmp_path)))
    keep(tmp_path, HTML + b"&#27;[2J" + nasty)
    assert all(line.isprintable() for line in shown(tmp_path))


def test_what_newsletters_are_full_of(tmp_path: Path) -> None:
    keep(tmp_path, "Subject: Bonjour\u00a0!\r\n\r\nprix\u202f:\u00a07\u200c\u00ad\r\n".encode())
    assert shown(tmp_path)[-3:] == ["Subject: Bonjour !", "", "prix : 7"]


def test_a_subject_of_ten_kilobytes(tmp_path: Path) -> None:
    keep(tmp_path, b"Subject: " + b"\x1b[31m" * 2_000 + b"\r\n\r\n")
    assert columns_of(listed(tmp_path, 120)[1]) <= 120
    assert "\x1b" not in "".join(shown(tmp_path))
