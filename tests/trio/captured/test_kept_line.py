"""The line about each message that the built-in server keeps."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp import ClientInfo
from trio_proxy.account.kept import Kept
from trio_proxy.account.lines import write_line
from trio_proxy.account.records import Fate, MessageRecord, Recipient
from trio_proxy.captured.kept_line import kept_line, lines_of_capture
from trio_proxy.captured.widths import columns_of
from trio_proxy.text import logs
from trio_proxy.text.hiding import Hide, leaving_out
from trio_proxy.text.session_log import SessionLog

Said = pytest.CaptureFixture[str]
FILE = "new/1795948004.489279.P18897Q0.vm.eml"


pytestmark = pytest.mark.usefixtures("configured_anew")


def values(
    subject: str = "Hi", size: int = 2149, *more: str, sender: str = "ann@example.com"
) -> dict[str, Any]:
    to = [{"address": each} for each in ("bob@example.net", *more)]
    return {"file": FILE, "from": sender, "to": to, "subject": subject, "size": size}


def kept(
    subject: str = "Grüße",
    sender: str = "ann@example.com",
    *to: Recipient,
    size: int = 2149,
    bare_lf: str = "",
) -> MessageRecord:
    """The record of a message that is kept."""
    recipients = to or tuple(each(f"{name}@example.net") for name in "bcd")
    return MessageRecord(
        "ann@example.com",
        recipients,
        "server",
        "250 2.0.0 kept as X.eml",
        250,
        received=size,
        queue_id="X.eml",
        upstream="built-in",
        bare_lf=bare_lf,
        kept=Kept(FILE, sender, subject),
    )


def each(address: str, sent_as: str = "", fate: Fate = Fate.KEPT) -> Recipient:
    if fate is Fate.DISCARDED:
        return Recipient(address, fate, "rule:r", "250 ok")
    return Recipient(address, fate, "server", "250 2.0.0 kept as X.eml", sent_as, queue_id="X.eml")


def told(
    said: Said,
    record: MessageRecord,
    form: Any = "text",
    *,
    hide: Hide | None = None,
    verbosity: int = 0,
) -> str:
    logs.configure(verbosity, form=form, hide=hide, lines=lines_of_capture(says_all=verbosity > 0))
    write_line(SessionLog("c7", ClientInfo(address="192.0.2.1:25")), record)
    text = said.readouterr().err
    assert text.count("\n") == bool(text)
    return text.removesuffix("\n")


def test_for_people(capsys: Said) -> None:
    assert told(capsys, kept()) == f'kept {FILE}  ann@example.com → b@example.net, +2  "Grüße"  2.1 kB'


def test_as_json(capsys: Said) -> None:
    line = json.loads(told(capsys, kept(), "json"))
    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "message kept",
        "conn": "c7",
        "peer": "192.0.2.1:25",
        "from": "ann@example.com",
        "to": [{"address": f"{name}@example.net", "fate": "kept"} for name in "bcd"],
        "by": "server",
        "reply": "250 2.0.0 kept as X.eml",
        "queue_id": "X.eml",
        "file": FILE,
        "subject": "Grüße",
        "upstream": "built-in",
        "size": 2149,
    }


def test_with_more(capsys: Said) -> None:
    line = told(capsys, kept("a b", "sam@example.com", each("b@example.net", "new@example.net")), verbosity=1)
    assert line == (
        f'kept {FILE}  sam@example.com → new@example.net  "a b"  2.1 kB  conn=c7 peer=192.0.2.1:25 '
        "from=ann@example.com to=[b@example.net as new@example.net] by=server "
        "reply='250 2.0.0 kept as X.eml' queue_id=X.eml sent_from=sam@example.com upstream=built-in"
    )


def test_lines_that_ended_in_lf(capsys: Said) -> None:
    record = kept("x", "ann@example.com", each("b@x"), bare_lf="normalised")
    assert told(capsys, record).endswith('→ b@x  "x"  2.1 kB  bare LF normalised')


def test_a_recipient_that_was_discarded(capsys: Said) -> None:
    """The line is that of any message whose recipients differ, and says where the message is."""
    record = kept("x", "ann@example.com", each("b@x"), each("c@x", fate=Fate.DISCARDED))
    line = told(capsys, record)
    assert "] message split conn=c7 " in line
    assert " to=[b@x kept, c@x discarded by rule:r (250 ok)] by=server " in line
    assert f" file={FILE} subject=x " in line


def test_quiet(capsys: Said) -> None:
    assert told(capsys, kept(), verbosity=-1) == ""


def test_nobody(capsys: Said) -> None:
    assert '  <> → <>  ""  0 B' in told(capsys, kept("", "", each(""), size=0))


def test_addresses_are_hidden(capsys: Said) -> None:
    record = kept("for ann@example.com", "sam@example.com", each("postmaster"), each("c@example.net"), size=7)
    line = told(capsys, record, hide=leaving_out)
    assert line == f'kept {FILE}  (address) → (address), +1  "for (address)"  7 B'


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_control_character_is_written(capsys: Said, form: str) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07\r\nfaked\u202e\x9b"
    line = told(capsys, kept(nasty * 100, nasty, each(nasty), each("b"), size=7), form)
    assert line.isprintable()
    assert FILE in line


def test_a_terminal_without_these_signs(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(octets, "ascii", write_through=True))
    told(capsys, kept("x" * 300, "a@x", each("b@x"), size=7))
    assert octets.getvalue().endswith(b'a@x -> b@x  "%s..."  7 B\n' % (b"x" * 199))


# The width


def test_a_short_line_stays_as_it_is() -> None:
    whole = kept_line(values(), None)
    assert kept_line(values(), columns_of(whole)) == whole


def test_the_name_is_shortened_first_then_the_subject_then_addresses() -> None:
    whole = kept_line(values("A rather long subject"), None)
    assert kept_line(values("A rather long subject"), len(whole) - 1) == (
        'kept new/1795948004….eml  ann@example.com → bob@example.net  "A rather long subject"  2.1 kB'
    )
    assert kept_line(values("A rather long subject"), 85) == (
        'kept new/1795948004….eml  ann@example.com → bob@example.net  "A rather long…"  2.1 kB'
    )
    long = values("A rather long subject", 7, sender="a-name-of-some-length@example.com")
    assert kept_line(long, 80) == (
        'kept new/1795948004….eml  a-name-of-some-… → bob@example.net  "A rather lo…"  7 B'
    )


@pytest.mark.parametrize("subject", ["x" * 10_000, "日本" * 500, "\\x1b[31m" * 100])
@pytest.mark.parametrize("sender", ["a@x", "a" * 64 + "@example.com"])
@pytest.mark.parametrize("columns", [90, 120, 200])
def test_it_fits(subject: str, sender: str, columns: int) -> None:
    assert columns_of(kept_line(values(subject, 123_456, "c", sender=sender), columns)) <= columns


@given(st.text(), st.text(), st.integers(1, 300))
def test_any_texts_make_a_line(subject: str, sender: str, columns: int) -> None:
    assert kept_line(values(subject, sender=sender), columns).startswith("kept new/1795948004")


def test_the_width_is_that_of_the_terminal(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2, raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((100, 24)))
    assert columns_of(told(capsys, kept("x" * 300, "a@x", each("b@x"), size=7))) == 100
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))  # as on a serial line
    assert "x" * 199 in told(capsys, kept("x" * 300, "a@x", each("b@x"), size=7))
