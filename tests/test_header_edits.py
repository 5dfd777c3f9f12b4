"""Header edits on real messages and on any octets change only what they name. The messages are those of
tests/messages, the odd ones below, and, if Python's test suite is installed, those with which CPython tests
its own parser. Each is tested as stored, and as it arrives with CRLF.
"""

from __future__ import annotations

import email
import email.policy
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.headers import Headers
from sansio_smtp.rules.message import Message
from sansio_smtp.wire.content import canonical

OWN = Path(__file__).parent / "messages"
ENOUGH = 70

ODD = {
    "nothing": b"",
    "one empty line": b"\r\n",
    "two empty lines": b"\r\n\r\n",
    "one LF": b"\n",
    "one CR": b"\r",
    "one blank": b" ",
    "one colon": b":",
    "one NUL": b"\0",
    "one name": b"Subject",
    "one field": b"Subject:",
    "one field and half a line end": b"Subject: x\r",
    "a body only": b"\r\nSubject: x\r\n",
    "a line of blanks in front of the body": b"Subject: x\r\n \r\nbody\r\n",
    "dots only": b".\r\n..\r\n...\r\n",
    "no name": b": x\r\n\r\nbody",
    "two colons": b"Subject:: x\r\n:\r\n\r\nbody",
    "octets above 127 in a name": b"S\xfcbject: x\r\nA: b\r\n\r\nbody",
    "an mbox line only": b"From a@example.com Tue Mar  3 10:15:00 2026\r\n",
    "an mbox line that is folded": b"From a@example.com\r\n Tue\r\nSubject: x\r\n\r\nbody",
    "mbox lines all over": b"From a Tue\r\nA: b\r\nFrom b Wed\r\nC: d\r\n\r\nFrom c Thu\r\n",
    "a header section that ends in LF": b"A: b\nC: d\n\nE: f\r\n\r\nbody",
    "a field that is all folds": b"A:" + b"\r\n b" * 5_000 + b"\r\n\r\nbody",
    "two thousand fields": b"".join(b"X-%d: %d\r\n" % (i % 10, i) for i in range(2_000)) + b"\r\nbody",
}


Edit = Callable[[Headers], object]


@attrs.frozen
class Part:
    """A part found by reading line by line: a field with its folds; or lines that are not a field, without a
    name."""

    name: bytes
    raw: bytes


def stored() -> Iterator[tuple[str, bytes]]:
    yield from ODD.items()
    for file in sorted(OWN.glob("*.eml")):
        yield file.name, file.read_bytes()
    try:
        found = importlib.util.find_spec("test.test_email")
    except ModuleNotFoundError:
        return
    for place in (found.submodule_search_locations or ()) if found else ():
        for file in sorted(Path(place, "data").glob("*.txt")):
            yield f"CPython's {file.name}", file.read_bytes()


def messages() -> Iterator[tuple[str, bytes]]:
    """By name, as stored and as it arrives."""
    for name, data in stored():
        yield name, data
        if canonical(data) != data:
            yield f"{name}, with CRLF", canonical(data)


MESSAGES = dict(messages())


def read(data: bytes) -> tuple[list[Part], bytes]:
    """The parts of the header section, and the rest with its empty line: by Python, line by line."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    parts: list[Part] = []
    while lines and lines[0] not in (b"\r\n", b"\n", b""):
        line = lines.pop(0)
        if parts and line[:1] in (b" ", b"\t"):
            parts[-1] = Part(parts[-1].name, parts[-1].raw + line)
            continue
        name, colon, _ = line.partition(b":")
        name = name.rstrip(b" \t")
        is_name = colon and name and all(33 <= octet <= 126 for octet in name)
        parts.append(Part(name.lower() if is_name else b"", line))
    return parts, b"".join(lines)


def written(parts: list[Part], rest: bytes) -> bytes:
    return b"".join(part.raw for part in parts) + rest


def edited(data: bytes, edit: Edit) -> bytes:
    """The result of a rule about the whole message, which is the same as that of a rule about its header
    section."""
    message = Message(data)
    section, body = message.headers.raw, message.body
    edit(message.headers)
    headers = Headers(section)
    edit(headers)
    assert headers.raw == message.headers.raw
    assert message.raw == headers.raw + body
    return message.raw


def added(data: bytes, new: bytes, edit: Edit) -> bytes:
    """The edited message without the added field."""
    after = edited(data, edit)
    assert after.count(new) == 1
    left = after.replace(new, b"")
    if left == data + b"\r\n":  # it had no end of line, or of header section, after which to add anything
        assert not read(data)[1]
        return data
    return left


NEW = b"X-Scanned-By: smtp-proxy\r\n"
ADDING: dict[str, Edit] = {
    "add": lambda headers: headers.add("X-Scanned-By", "smtp-proxy"),
    "prepend": lambda headers: headers.prepend("X-Scanned-By", "smtp-proxy"),
    "set": lambda headers: headers.set("X-Scanned-By", "smtp-proxy"),
    "add_raw": lambda headers: headers.add_raw(NEW),
    "prepend_raw": lambda headers: headers.prepend_raw(NEW),
}


def test_there_are_enough_messages() -> None:
    assert len(list(OWN.glob("*.eml"))) + len(ODD) >= ENOUGH
    assert len(dict(stored())) >= ENOUGH


def alterations(data: bytes) -> Iterator[str]:
    """The edits that change more of this message than they name."""
    parts, rest = read(data)
    if Message(data).raw is not data or Headers(written(parts, b"")).raw != written(parts, b""):
        yield "no edit"
    names = {part.name for part in parts} - {b""}
    if b"x-scanned-by" not in names:
        yield from (how for how, edit in ADDING.items() if added(data, NEW, edit) != data)
    for name in names:
        for how, (edit, expected) in edits_of(name, parts).items():
            if edited(data, edit) != written(expected, rest):
                yield f"{how} {name.decode()}"


def edits_of(name: bytes, parts: list[Part]) -> dict[str, tuple[Edit, list[Part]]]:
    """Edits of the fields of a name, and their expected results."""
    text = name.decode()
    new = Part(name, name + b": new\r\n")
    others = [part for part in parts if part.name != name]
    first = [part.name for part in parts].index(name)
    replaced = [
        Part(name, part.raw[: len(name)] + b": new\r\n") if part.name == name else part for part in parts
    ]
    return {
        "remove": (lambda headers: headers.remove(text), others),
        "set": (lambda headers: headers.set(text, "new"), [*others[:first], new, *others[first:]]),
        "replace": (lambda headers: headers.replace(text, "new"), replaced),
        "keep": (lambda headers: headers.replace(text, lambda value: value), parts),
    }


def with_a_word(text: str) -> str:
    return f"{text} too"


def refusal(edit: Edit, headers: Headers) -> str:
    """The reason why an edit is refused; empty if it is not."""
    try:
        edit(headers)
    except LocalProtocolError as error:
        return str(error)
    return ""


def test_no_edit_alters_anything_else() -> None:
    altered = {name: found for name, data in MESSAGES.items() if (found := list(alterations(data)))}
    print(f"{len(altered)} of {len(dict(stored()))} messages altered, in {len(MESSAGES)} forms")
    assert altered == {}


def test_the_standard_librarys_generator_alters_many() -> None:
    """A control: if these messages were harmless, the test above would prove nothing."""
    altered = 0
    arriving = {name: canonical(data) for name, data in stored()}
    for data in arriving.values():
        try:
            message = email.message_from_bytes(data, policy=email.policy.SMTP)
            altered += message.as_bytes() != data
        except Exception:
            altered += 1
    print(f"{altered} of {len(arriving)} messages altered by email's parser and generator")
    assert altered >= 10


@pytest.mark.parametrize("edit", ["add", "prepend"])
def test_a_parser_sees_the_new_field(edit: str) -> None:
    unseen: list[str] = []
    for name, data in stored():
        message = Message(canonical(data))
        ADDING[edit](message.headers)
        seen = email.message_from_bytes(message.raw).get_all("X-Scanned-By", [])
        if (seen[-1:] if edit == "add" else seen[:1]) != ["smtp-proxy"]:
            unseen.append(name)
    assert unseen == []


def test_every_field_of_every_message_can_be_read_and_written_again() -> None:
    refused: list[str] = []
    for data in MESSAGES.values():
        for field in list(Message(data).headers)[:200]:
            assert not set(field.value) & set("\r\n\0")
            if not field.name:
                continue
            headers = Headers(field.raw, utf8=True)
            if why := refusal(partial(Headers.replace, name=field.name, value=with_a_word), headers):
                refused.append(why)
            else:
                assert headers.get(field.name) == with_a_word(field.value).strip()
    assert refused
    assert all("no blank allows to fold" in why for why in refused)


def test_every_message_can_be_parsed() -> None:
    for data in MESSAGES.values():
        parsed = Message(data).parsed()
        for part in parsed.walk():
            assert all(str(value) is not None for value in part.values())


# Any octets

PIECES = [b"A", b"Subject", b"From", b":", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n", b"\r\n ", b"\r\n\r\n"]
PIECES += [
    b"\0",
    b"\xfc",
    b"=?utf-8?q?",
    b"?=",
    b"=0A",
    b"<",
    b">",
    b'"',
    b"\\",
    b",",
    b"(",
    b"=?utf-7?b?+2AA?=",
]
PIECES += [
    b"A: 1\r\n",
    b"b : 2\r\n",
    b"From a@b Tue\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"--b\r\n",
]
OCTETS = st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
NAMES = st.sampled_from(["A", "b", "Subject", "From", "X-New"])
VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=200),
    st.text("ab \t=?_ü🙂", max_size=200),
)


@given(OCTETS)
def test_any_octets_are_kept(section: bytes) -> None:
    headers = Headers(section)
    raw = b"".join(field.raw for field in headers)
    assert section.removeprefix(raw) in (b"", b"\n", b"\r\n")
    assert raw + section[len(raw) :] == section
    assert headers.raw is section
    for field in headers:
        assert field.name.isascii()
        assert not set(field.value.encode().decode()) & set("\r\n\0")
        assert field.octets in field.raw


@given(OCTETS)
def test_any_message_is_its_header_section_and_its_body(data: bytes) -> None:
    message = Message(data)
    assert message.headers.raw + message.body == data
    parts, rest = read(data)
    assert [(field.name.lower().encode(), field.raw) for field in message.headers] == [
        (part.name, part.raw) for part in parts
    ]
    assert rest.endswith(message.body)
    for part in message.parsed().walk():
        for name in part:
            assert str(part[name]) is not None


@given(OCTETS)
def test_any_message_is_altered_by_no_edit_more_than_it_says(data: bytes) -> None:
    assert list(alterations(data)) == []


@given(OCTETS, NAMES, VALUES)
def test_what_is_written_is_one_field(section: bytes, name: str, value: str) -> None:
    headers = Headers(Message(section).headers.raw)
    before = [field.raw.rstrip(b"\r\n") for field in headers]
    if why := refusal(lambda h: h.add(name, value), headers):
        assert (name == "From" and not value.isascii()) or "no blank allows to fold" in why
        assert not headers.edited
        return
    (new,) = headers.changes
    assert new.startswith(f"+ {name}: ")
    after = Headers(headers.raw)
    left = [field.raw.rstrip(b"\r\n") for field in after]
    for raw in before:
        left.remove(raw)
    (raw,) = left
    lines = raw.split(b"\r\n")
    assert all(len(line) <= 998 for line in lines)
    assert all(line.strip(b" \t") for line in lines)
    assert b"\n" not in b"".join(lines)
    assert raw.isascii()


@given(VALUES)
def test_text_comes_back(value: str) -> None:
    headers = Headers(b"A: 1\r\n\r\n")
    if value.isascii() and "=?" in value:
        return  # written as it is, and read as what it says
    headers.add("X-Text", value)
    assert headers.get("X-Text") == value.strip(" \t")
    headers.utf8 = True
    headers.set("X-Text", value)
    assert headers.get("X-Text") == value.strip(" \t") or "=?" in value


@given(OCTETS)
def test_what_is_read_can_be_written(octets: bytes) -> None:
    source = Headers(b"X-A: " + octets)
    copy = Headers(b"")
    for value in source.get_all("X-A"):
        copy.add("X-Copy", value)
        copy.add("X-Text", value + "ü")
    assert copy.get_all("X-Text") == [value + "ü" for value in source.get_all("X-A")]
