"""Where parts lie: trio_proxy.ready._parts"""

from __future__ import annotations

import email
from email.message import Message
from pathlib import Path
from time import perf_counter

import pytest
from each import each
from harness import MIXED, PIECES, SHIPPED, needs_shipped, nested
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.wire.content import canonical
from trio_proxy.ready import _parts
from trio_proxy.ready._parts import TOO_MANY, Part, parameters, read


def leaves(part: Part) -> list[Part]:
    return [each for each in part.walk() if not each.parts]


def as_the_standard_library_sees(message: Message) -> list[tuple[str, object]]:
    """Type and content of each leaf; it takes all of message/* for messages, which not all are."""
    kind = message.get_content_type()
    if kind in ("message/delivery-status", "message/external-body"):
        return [(kind, None)]
    if not message.is_multipart():
        return [(kind, message.get_payload(decode=True))]
    return [leaf for part in message.get_payload() for leaf in as_the_standard_library_sees(part)]  # type: ignore[arg-type]


@needs_shipped
def test_the_shipped_messages_are_there() -> None:
    assert len(SHIPPED) >= 45


@needs_shipped
@each("path", SHIPPED or [Path()])
def test_real_messages_have_the_parts_that_the_standard_library_sees(path: Path) -> None:
    raw = canonical(path.read_bytes())
    root = read(raw)
    assert raw[root.body :] in raw
    if any(part.flaw for part in root.walk()) or root.content_type.startswith("message/"):
        return
    seen = as_the_standard_library_sees(email.message_from_bytes(raw))
    found = [(part.content_type, part.content) for part in leaves(root)]
    assert [kind for kind, _ in found] == [kind for kind, _ in seen]
    for (_, content), (_, expected) in zip(found, seen, strict=True):
        assert expected in (content, None)


@needs_shipped
def test_most_real_messages_have_no_flaw() -> None:
    flawed = [path.stem for path in SHIPPED if any(p.flaw for p in read(canonical(path.read_bytes())).walk())]
    assert len(flawed) < len(SHIPPED) / 3, flawed


@given(st.lists(PIECES | st.binary(max_size=8), max_size=60))
def test_any_octets_can_be_read(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    root = read(raw)
    assert (root.start, root.end) == (0, len(raw))
    for part in root.walk():
        assert 0 <= part.start <= part.body <= part.end <= len(part.raw)
        for inner in part.parts:
            if inner.raw is part.raw:
                assert part.body <= inner.start
                assert inner.end <= part.end
        assert isinstance(part.content, bytes)
        assert isinstance(part.text + part.encoding + part.disposition + "".join(part.names), str)


def test_depth_is_bounded() -> None:
    assert [part.flaw for part in read(nested(20)).walk()] == [""] * 21
    assert TOO_MANY in [part.flaw for part in read(nested(_parts.DEEPEST + 1)).walk()]
    deep = b"Content-Type: message/rfc822\r\n\r\n" * 5_000
    assert len(list(read(deep).walk())) <= _parts.DEEPEST + 1


def test_the_number_of_parts_is_bounded() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\n" * 100_000
    root = read(raw)
    assert root.flaw == TOO_MANY
    assert len(list(root.walk())) <= _parts.MOST + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        "; a=" * 50_000,
        ";" * 200_000,
        ' ; a="' * 40_000,
        '; a="\\' * 40_000,
        " " * 200_000,
        "a" * 200_000,
        "; a*1" * 40_000,
    ],
)
def test_time_grows_with_length_only(value: str) -> None:
    raw = (
        b"Content-Type: text/plain"
        + value.encode()
        + b"\r\nContent-Disposition: x"
        + value.encode()
        + b"\r\n\r\n"
    )
    begin = perf_counter()
    part = read(raw)
    assert isinstance(part.names, tuple)
    assert perf_counter() - begin < 5  # 200 kB take some 0.1 s; if it were their square, minutes


@each(
    ("value", "expected"),
    [
        ("text/plain", []),
        ("text/plain; charset=utf-8", [("charset", "utf-8")]),
        ('text/plain; Charset = "utf-8" ; x=y', [("charset", "utf-8"), ("x", "y")]),
        ('a/b; name="a;b=\\"c\\".exe"; x=1', [("name", 'a;b="c".exe'), ("x", "1")]),
        ("a/b; name=two words.exe; x=1", [("name", "two words.exe"), ("x", "1")]),
        ('a/b; name="open', [("name", "open")]),
        ("a/b name=x", [("name", "x")]),
        ("a/b; name*=utf-8''na%C3%AFve", [("name", "naïve")]),
        ("a/b; name*=iso-8859-1'fr'na%EFve", [("name", "naïve")]),
        ("a/b; name*=na%C3%AFve", [("name", "naïve")]),
        ("a/b; name*=nonsense''%C3%AF", [("name", "ï")]),
        ("a/b; name*=zlib''%C3%AF", [("name", "ï")]),
        ("a/b; name*1=b; name*0=a; x=1", [("x", "1"), ("name", "ab")]),
        ("a/b; name*0*=utf-8''%61%; name*1=%62; name*2*=%63", [("name", "a%%62c")]),
        ("a/b; x=1; x=2", [("x", "1"), ("x", "2")]),
    ],
)
def test_parameters_in_any_spelling(value: str, expected: list[tuple[str, str]]) -> None:
    assert parameters(value) == expected


@each(
    ("fields", "names"),
    [
        (b"Content-Disposition: attachment; filename=a.exe", ("a.exe",)),
        (
            b"Content-Type: a/b; name=a.exe\r\nContent-Disposition: attachment; filename=b.txt",
            ("a.exe", "b.txt"),
        ),
        (b"Content-Disposition: inline\r\nContent-Disposition: attachment; filename=a.exe", ("a.exe",)),
        (b'Content-Type: a/b; name="=?utf-8?b?YS5leGU=?="', ("a.exe",)),
        (b"Content-Type: a/b; name==?utf-8?q?a=2Eexe?=", ("a.exe",)),
        (b"Content-Type: a/b;\r\n name=a.exe", ("a.exe",)),
        (b"Content-Type: a/b", ()),
        (b"X-Other: a/b; name=a.exe", ()),
    ],
)
def test_every_name_is_found(fields: bytes, names: tuple[str, ...]) -> None:
    assert set(names) <= set(read(fields + b"\r\n\r\nbody").names)
    assert bool(names) == bool(read(fields + b"\r\n\r\nbody").names)


NO_END = "a multipart that does not begin or end"
TWO_WAYS = "header fields that can be read in two ways"


@each(
    ("raw", "flaw"),
    [
        (MIXED + b"\r\n--a\r\n\r\nx\r\n--a--\r\n", ""),
        (MIXED + b"\r\npreamble\r\n--a \t\r\n\r\nx\r\n--a--\r\nepilogue --a\r\n", ""),
        (MIXED + b"\r\n--a\r\n\r\nx\r\n--a--\r\n--a\r\n", "parts after the end of a multipart"),
        (MIXED + b"\r\n--a\r\n\r\nx\r\n--a--", ""),
        (MIXED + b"\r\n--a\r\n\r\nx\r\n", NO_END),
        (
            b'Content-Type: multipart/x; boundary="(a+.*) b"\r\n\r\n--(a+.*) b\r\n\r\nx\r\n--(a+.*) b--\r\n',
            "",
        ),
        (b"Content-Type: multipart/x; boundary=a.c\r\n\r\n--abc\r\n\r\nx\r\n--abc--\r\n", NO_END),
        (MIXED + b"\r\n--a--\r\n", NO_END),
        (MIXED + b"\r\nno boundary\r\n", NO_END),
        (MIXED + b"\r\n--ab\r\n\r\nx\r\n--ab--\r\n", NO_END),
        (MIXED, NO_END),
        (b"Content-Type: multipart/mixed\r\n\r\n--a--\r\n", "a multipart without a boundary"),
        (
            MIXED + b"Content-Transfer-Encoding: base64\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n",
            "a multipart that is encoded",
        ),
        (MIXED * 2 + b"\r\n--a\r\n\r\nx\r\n--a--\r\n", TWO_WAYS),
        (b"Content-Type: text/plain x=y\r\n\r\n", "a content type that can be read in two ways"),
        (b"Content-Type: text\r\n\r\n", ""),
        (b"Subject: x\r\nno field\r\n\r\n", TWO_WAYS),
        (b"Subject : x\r\n\r\n", TWO_WAYS),
        (b"Subject: x\r\n y\r\n\r\nbody\r\n", ""),
        (b"", ""),
        (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==",
            "an attached message that is encoded",
        ),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, flaw: str) -> None:
    assert read(raw).flaw == flaw


def test_a_part_ends_before_the_line_end_of_its_boundary_and_is_not_empty() -> None:
    raw = MIXED + b"\r\n--a\r\n\r\none\r\n\r\n--a\r\n--a\r\nContent-Type: x/y\r\n\r\n--a\r\n\r\n--a--\r\n"
    assert [(part.content_type, part.content) for part in read(raw).parts] == [
        ("text/plain", b"one\r\n"),
        ("x/y", b""),
        ("text/plain", b""),
    ]


def test_the_parts_of_a_digest_are_messages() -> None:
    raw = b"Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\nSubject: x\r\n\r\nbody\r\n--a--\r\n"
    (message,) = read(raw).parts
    assert message.content_type == "message/rfc822"
    assert message.parts[0].content == b"body"


@each(
    ("encoding", "body", "content"),
    [
        (b"base64", b"YWJj\r\nZGVm\r\n", b"abcdef"),
        (b"BASE64 (comment)", b"YWJj", b"abc"),
        (b"base64", b"YQ==YWI=", b"aab"),
        (b"base64", b"YWJj!\xff*ZA", b"abcd"),
        (b"base64", b"YWJjZ", b"abc"),
        (b"base64", b"====", b""),
        (b"quoted-printable", b"a=3D=\r\nb", b"a=b"),
        (b"Quoted-Printable", b"=ZZ=", b"=ZZ"),
        (b"8bit", b"=3D", b"=3D"),
        (b"x-unknown", b"=3D", b"=3D"),
    ],
)
def test_contents_are_decoded_as_far_as_possible(encoding: bytes, body: bytes, content: bytes) -> None:
    assert read(b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body).content == content


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("iso-8859-1", b"\xfc", "ü"),
        ("UTF-8", b"\xc3\xbc\xff", "ü\ufffd"),
        ("utf-16", "\ufeffü".encode("utf-16-le"), "ü"),
        ("nonsense", b"\xc3\xbc", "ü"),
        ("zlib", b"a", "a"),
        ("rot13", b"a", "a"),
        ("", b"a", "a"),
    ],
)
def test_text_is_read_by_its_charset(charset: str, octets: bytes, text: str) -> None:
    assert read(f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + octets).text == text
