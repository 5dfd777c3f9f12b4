"""Small inputs that once slipped past a rule: each file of tests/cases, played through the ready rules.

CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

import tomllib
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from sansio_smtp.rules import RuleError
from sansio_smtp.testing import Session, session
from sansio_smtp.testing.peers import Accepted
from trio_proxy.rulebook.load import load
from trio_proxy.settings.tables import RuleTable

CASES = sorted((Path(__file__).parent.parent / "cases").glob("*.toml"))
KEYS = {"about", "login", "mail", "rcpt", "rules", "right", "not_yet"}
HIDDEN = ("script", "style", "title", "template", "textarea")
RIGHT = {"mail", "rcpt", "message", "delivered_to", "fields", "shown", "hidden", "unchanged"}


def cases() -> list[Any]:
    found: list[Any] = []
    for path in CASES:
        case = tomllib.loads(path.read_text("utf-8"))
        marks = [pytest.mark.xfail(strict=True)] if case.get("not_yet") else []
        found.append(pytest.param(path, case, id=path.stem, marks=marks))
    return found


@pytest.mark.parametrize(("path", "case"), cases())
def test_case(path: Path, case: dict[str, Any]) -> None:
    right = case["right"]
    assert case.keys() <= KEYS, "a key that nobody reads"
    assert right, "a case says what is right"
    assert right.keys() <= RIGHT, "a key that nobody checks"
    dialogue = session(_rules(case["rules"]), login=case.get("login"))
    message = _message(path)
    _play(dialogue, case, message)
    _check_delivered(dialogue.delivered, right, message)


def test_there_are_cases() -> None:
    assert len(CASES) > 30
    stray = {path.stem for path in CASES[0].parent.glob("*.eml")} - {path.stem for path in CASES}
    assert not stray, "a message that no case sends"


def _rules(tables: dict[str, dict[str, Any]]) -> Any:
    settings = {name: RuleTable(table, {}, "proxy.toml") for name, table in tables.items()}
    try:
        return load([f"ready:{name}" for name in tables], settings).ruleset
    except RuleError as error:
        raise AssertionError(f"the rules of the case cannot be loaded: {error}") from error


def _message(path: Path) -> bytes:
    """The message, with CRLF."""
    file = path.with_suffix(".eml")
    octets = file.read_bytes() if file.exists() else b"Subject: hi\n\nhello\n"
    return octets if b"\r\n" in octets else octets.replace(b"\n", b"\r\n")


def _play(dialogue: Session, case: dict[str, Any], message: bytes) -> None:
    """Sends the case's lines and its message, as far as they are taken, and checks each reply."""
    right = case["right"]
    steps = [
        ("mail", [case.get("mail", "MAIL FROM:<ann@example.com>")]),
        ("rcpt", case.get("rcpt", ["RCPT TO:<bob@example.com>"])),
    ]
    for name, lines in steps:
        for line in lines:
            dialogue.command(line)
            assert dialogue.reply is not None
            assert dialogue.reply.code in _codes(right.get(name, 250)), f"{line}: {dialogue.reply}"
            if not dialogue.ok:
                return
    dialogue.message(message)
    assert dialogue.reply is not None
    assert dialogue.reply.code in _codes(right.get("message", 250)), str(dialogue.reply)


def _codes(right: int | list[int]) -> list[int]:
    return right if isinstance(right, list) else [right]


def _check_delivered(delivered: list[Accepted], right: dict[str, Any], message: bytes) -> None:
    wanted = {"delivered_to", "fields", "shown", "hidden", "unchanged"} & right.keys()
    if not wanted:
        return
    if not delivered and wanted == {"delivered_to"}:
        assert right.get("rcpt", 250) != 250, "nothing was delivered, and the case does not expect a refusal"
        return
    (sent,) = delivered
    if "delivered_to" in right:
        assert sorted(sent.recipients) == sorted(right["delivered_to"])
    if right.get("unchanged"):
        assert sent.content == message
    read = cast(EmailMessage, message_from_bytes(sent.content, policy=policy.default))
    for name, value in right.get("fields", {}).items():
        assert str(read[name]) == value
    texts = [
        _shown(cast(EmailMessage, part)) for part in read.walk() if part.get_content_maintype() == "text"
    ]
    for text in right.get("shown", []):
        assert all(text in each for each in texts), texts
        assert texts, "the message has a text"
    for text in right.get("hidden", []):
        assert text not in sent.content.decode("utf-8", "replace")


def _shown(part: EmailMessage) -> str:
    """The text of a part as a mail program shows it."""
    text = str(part.get_content())
    if part.get_content_subtype() != "html":
        return text
    shown = _Shown()
    shown.feed(text)
    shown.close()
    return "".join(shown.text)


class _Shown(HTMLParser):
    """Collects the text outside of elements that are not shown."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in HIDDEN and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)
