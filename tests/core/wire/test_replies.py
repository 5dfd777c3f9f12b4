from __future__ import annotations

from typing import Any

import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.wire.replies import Origin, Reply


@each(
    ("reply", "raw"),
    [
        (Reply.of(250), b"250\r\n"),
        (Reply.of(250, ""), b"250\r\n"),
        (Reply.of(250, "ok"), b"250 ok\r\n"),
        (Reply.of(250, b"\xff"), b"250 \xff\r\n"),
        (Reply.of(250, "grüß"), "250 grüß\r\n".encode()),
        (Reply.of(250, "a", "", "b"), b"250-a\r\n250-\r\n250 b\r\n"),
        (Reply.of(250, "a", ""), b"250-a\r\n250\r\n"),
        (Reply.of(550, "no", "never", enhanced="5.7.1"), b"550-5.7.1 no\r\n550 5.7.1 never\r\n"),
        (Reply.of(200, "x"), b"200 x\r\n"),
        (Reply.of(599, "x"), b"599 x\r\n"),
    ],
)
def test_of(reply: Reply, raw: bytes) -> None:
    """RFC 5321 §4.2.1: code, hyphen on all lines but the last."""
    assert reply.raw == raw


@pytest.mark.parametrize("code", [-1, 0, 100, 199, 600, 2500])
def test_of_refuses_a_code_that_is_none(code: int) -> None:
    with pytest.raises(LocalProtocolError):
        Reply.of(code, "x")


@pytest.mark.parametrize("line", ["a\r\n250 b", "a\n", "a\r", "a\0", b"\r\n354 go"])
def test_of_refuses_a_line_that_is_two(line: str | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Reply.of(250, "fine", line)
    with pytest.raises(LocalProtocolError):
        Reply.of(250, "fine", enhanced="2.0.0\n")


@pytest.mark.parametrize(("code", "severity"), [(200, 2), (299, 2), (354, 3), (421, 4), (599, 5)])
def test_severity(code: int, severity: int) -> None:
    assert Reply.of(code).severity == severity


def test_lines() -> None:
    assert Reply.of(250, "mx greets", "SIZE 10", "").lines == [b"mx greets", b"SIZE 10", b""]
    assert Reply.of(250, "a", "b").lines == [b"a", b"b"]


@each(
    ("text", "enhanced"),
    [
        ("5.7.1 no", "5.7.1"),
        ("5.7.1", "5.7.1"),
        ("2.123.999 x", "2.123.999"),
        ("5.7.1x", None),
        ("3.7.1 x", None),
        ("5.7 x", None),
        ("5.1234.1 x", None),
        (" 5.7.1 x", None),
        ("", None),
    ],
)
def test_enhanced(text: str, enhanced: str | None) -> None:
    """RFC 3463 §2: class.subject.detail, up to three digits each."""
    assert Reply.of(550, text).enhanced == enhanced


def test_brief_has_no_text() -> None:
    assert Reply.of(550, "5.7.1 hunter2").brief == "<550 5.7.1>"
    assert Reply.of(550, "hunter2").brief == "<550>"


def test_equality_is_that_of_octets() -> None:
    assert Reply.of(250, "a") == Reply(250, b"250 a\r\n")
    assert hash(Reply.of(250, "a")) == hash(Reply(250, b"250 a\r\n"))
    assert Reply.of(250, "a") != Reply.of(250, "b")
    assert Reply.of(250, "a") != b"250 a\r\n"


@pytest.mark.parametrize(
    ("code", "raw", "error", "text"),
    [
        (
            250,
            "x",
            TypeError,
            "raw of a reply is bytes, as they are sent, not str; make a reply with Reply.of",
        ),
        ("250", b"250 x\r\n", TypeError, "the code of a reply is an int such as 250, not str"),
        (
            250,
            b"550 x\r\n",
            LocalProtocolError,
            r"is not one reply with the code 250; make a reply with Reply.of",
        ),
        (250, b"250 x", LocalProtocolError, "is not one reply"),
        (250, b"250 x\r\n250 y\r\n", LocalProtocolError, "is not one reply"),
    ],
)
def test_a_reply_that_was_made_by_hand(code: Any, raw: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Reply(code, raw).check()


def test_a_reply_that_is_right() -> None:
    for reply in (
        Reply.of(250, "a", "b"),
        Reply.of(250),
        Reply.parse("334 "),
        Reply(421, b"421-x\r\n421 y\r\n"),
    ):
        reply.check()


def test_str() -> None:
    assert str(Reply.of(250, "a", b"\xff")) == "250-a / 250 \\xff"


def test_who_has_decided_a_reply_is_no_part_of_it() -> None:
    """`Reply.of` makes replies of our own; what is read is the server's."""
    read, own = Reply(250, b"250 ok\r\n"), Reply.of(250, "ok")
    ruled = Reply.of(250, "ok", origin=Origin.RULE)
    assert [each.origin for each in (read, own, ruled)] == [Origin.SERVER, Origin.PROXY, Origin.RULE]
    assert read == own == ruled
    assert "origin" not in repr(ruled)


@pytest.mark.parametrize("line", ["250 2.1.0 ok", "250", "334 ", b"554 no"])
def test_a_reply_may_be_written_as_one_line(line: str | bytes) -> None:
    raw = line.encode() if isinstance(line, str) else line
    reply = Reply.parse(line)
    assert reply == Reply.parse(reply)
    assert (reply.raw, reply.origin) == (raw + b"\r\n", Origin.PROXY)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ok", "not a reply: b'ok'; it begins with a code from 200 to 599"),
        ("250ok", "not a reply"),
        ("250-ok", "not a reply"),
        ("150 ok", "not a reply"),
        ("250 ok\r\n", "write it without CRLF, and one of several lines as Reply.of"),
    ],
)
def test_a_line_that_is_no_reply(line: str, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        Reply.parse(line)


def test_wrong_types_are_named() -> None:
    for make, text in (
        (lambda: Reply.parse(250), 'a reply is a str, bytes or Reply, not int; such as "250 ok"'),  # type: ignore[arg-type]
        (lambda: Reply.of("250 ok"), r'an int such as 250, not str; write Reply.of\(250, "ok"\)'),  # type: ignore[arg-type]
        (lambda: Reply.of(250, ["a", "b"]), r'a str or bytes, not list; write Reply.of\(250, "first line", '),  # type: ignore[arg-type]
        (lambda: Reply.of(550, "no", enhanced=5.7), 'is a str such as "5.7.1", not float'),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=text):
            make()


@pytest.mark.parametrize(
    ("enhanced", "text"),
    [
        ("4.7.1", "550 and 4.7.1 do not go together: their first digits differ"),
        ("5.7", "'5.7' is no enhanced code; it has three numbers"),
        ("5.7.1 no", "is no enhanced code"),
    ],
)
def test_an_enhanced_code_that_does_not_go_with_the_reply(enhanced: str, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        Reply.of(550, "no", enhanced=enhanced)
