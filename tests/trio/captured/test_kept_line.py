"""The line about each message that the built-in server keeps."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.captured.kept_line import kept_line, lines_of_capture, tell_kept
from trio_proxy.captured.widths import columns_of
from trio_proxy.driver.capture import Kept
from trio_proxy.text import logs
from trio_proxy.text.hiding import Hide, leaving_out

Said = pytest.CaptureFixture[str]
FILE = "new/1795948004.489279.P18897Q0.vm.eml"
BUILT_IN = "127.0.0.1:4711"


pytestmark = pytest.mark.usefixtures("configured_anew")


def values(
    subject: str = "Hi", size: int = 2149, *more: str, sender: str = "ann@example.com"
) -> dict[str, Any]:
    to = [{"address": each} for each in ("bob@example.net", *more)]
    return {"file": FILE, "from": sender, "to": to, "subject": subject, "size": size}


def told(said: Said, kept: Kept, form: Any = "text", *, hide: Hide | None = None, verbosity: int = 0) -> str:
    lines = lines_of_capture(BUILT_IN, all_lines=verbosity > 0)
    logs.configure(verbosity, form=form, hide=hide, lines=lines)
    tell_kept(kept)
    text = said.readouterr().err
    assert text.count("\n") == bool(text)
    return text.removesuffix("\n")


KEPT = Kept(FILE, "ann@example.com", ("bob@example.net", "c@example.net", "d@example.net"), "Grüße", 2149)


def test_for_people(capsys: Said) -> None:
    assert told(capsys, KEPT) == f'kept {FILE}  ann@example.com → bob@example.net, +2  "Grüße"  2.1 kB'


def test_as_json(capsys: Said) -> None:
    line = json.loads(told(capsys, KEPT, "json"))
    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "message kept",
        "file": FILE,
        "from": "ann@example.com",
        "to": [{"address": f"{name}@example.net"} for name in ("bob", "c", "d")],
        "subject": "Grüße",
        "size": 2149,
    }


def test_quiet(capsys: Said) -> None:
    assert told(capsys, KEPT, verbosity=-1) == ""


def test_nobody(capsys: Said) -> None:
    assert '  <> → <>  ""  0 B' in told(capsys, Kept(FILE, "", ("",), "", 0))


def test_addresses_are_hidden(capsys: Said) -> None:
    kept = Kept(FILE, "ann@example.com", ("postmaster", "c@example.net"), "for ann@example.com", 7)
    line = told(capsys, kept, hide=leaving_out)
    assert line == f'kept {FILE}  (address) → (address), +1  "for (address)"  7 B'


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_control_character_is_written(capsys: Said, form: str) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07\r\nfaked\u202e\x9b"
    line = told(capsys, Kept(FILE, nasty, (nasty, "b"), nasty * 100, 7), form)
    assert line.isprintable()


def test_a_terminal_without_these_signs(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(octets, "ascii", write_through=True))
    told(capsys, Kept(FILE, "a@x", ("b@x",), "x" * 300, 7))
    assert octets.getvalue().endswith(b'a@x -> b@x  "%s..."  7 B\n' % (b"x" * 199))


def test_what_was_relayed_to_the_built_in_server_has_one_line(capsys: Said) -> None:
    for verbosity, upstream, lines in ((0, BUILT_IN, 0), (0, "mx.example:25", 1), (1, BUILT_IN, 1)):
        logs.configure(verbosity, lines=lines_of_capture(BUILT_IN, all_lines=verbosity > 0))
        logger: Any = structlog.get_logger()
        logger.tell("message relayed", upstream=upstream)
        logger.tell("message refused", upstream=upstream)
        assert capsys.readouterr().err.count("message relayed") == lines


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
    assert columns_of(told(capsys, Kept(FILE, "a@x", ("b@x",), "x" * 300, 7))) == 100
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))  # as on a serial line
    assert "x" * 199 in told(capsys, Kept(FILE, "a@x", ("b@x",), "x" * 300, 7))
