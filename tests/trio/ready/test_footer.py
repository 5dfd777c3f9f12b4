"""ready:footer"""

from __future__ import annotations

import base64
import email
import html
import quopri
import re
from collections.abc import MutableMapping
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from each import each
from harness import PIECES, SHIPPED, configured, mistakes, needs_shipped, sent
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.rules import Connection, Message, Transaction
from sansio_smtp.testing import FakeServer, session
from sansio_smtp.wire.content import canonical
from trio_proxy.ready._parts import Part, read
from trio_proxy.ready.footer import Footer

ASCII = Footer("Example Ltd\n1 Example Street")
UMLAUT = Footer("Größe GmbH")
HTML = b"<p>Example Ltd<br>\r\n1 Example Street</p>"


def footed(raw: bytes, rule: Footer = ASCII, times: int = 1) -> bytes:
    for _ in range(times):
        msg = Message(raw)
        rule.message(Transaction(Connection()), msg)
        assert msg.edited == (msg.raw != raw)
        raw = msg.raw
    return raw


def text(body: bytes, kind: str = "text/plain", encoding: str = "") -> bytes:
    fields = f"Subject: x\r\nContent-Type: {kind}\r\n" + (
        f"Content-Transfer-Encoding: {encoding}\r\n" * bool(encoding)
    )
    return fields.encode() + b"\r\n" + body


def b64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"hello\r\n", b"hello\r\n\r\nExample Ltd\r\n1 Example Street\r\n"),
        (b"hello", b"hello\r\n\r\nExample Ltd\r\n1 Example Street"),
        (b"hello\r\n\r\n", b"hello\r\n\r\n\r\nExample Ltd\r\n1 Example Street\r\n"),
        (b"", b"\r\nExample Ltd\r\n1 Example Street\r\n"),
    ],
)
def test_plain_text_gets_it_at_its_end(body: bytes, expected: bytes) -> None:
    for head in (
        b"Subject: x\r\n\r\n",
        text(b""),
        text(b"", "text/plain; charset=iso-8859-15", "8bit"),
        b"\r\n",
    ):
        assert footed(head + body) == head + expected
        assert footed(head + body, times=2) == head + expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            text(b"gr\xfc\xdfe\r\n", "text/plain; charset=iso-8859-1", "8bit"),
            text(b"gr\xfc\xdfe\r\n\r\nGr\xf6\xdfe GmbH\r\n", "text/plain; charset=iso-8859-1", "8bit"),
        ),
        (
            text("grüße\r\n".encode(), "text/plain; charset=UTF-8", "8bit"),
            text("grüße\r\n\r\nGröße GmbH\r\n".encode(), "text/plain; charset=UTF-8", "8bit"),
        ),
        (
            text(b"gr=FC=DFe=20\r\nlong=\r\n line\r\n", "text/plain; charset=iso-8859-1", "quoted-printable"),
            text(
                b"gr=FC=DFe=20\r\nlong=\r\n line\r\n\r\nGr=F6=DFe GmbH\r\n",
                "text/plain; charset=iso-8859-1",
                "quoted-printable",
            ),
        ),
        (
            text(b"soft=20end=", "text/plain; charset=utf-8", "quoted-printable"),
            text(b"soft end\r\n\r\nGr=C3=B6=C3=9Fe GmbH", "text/plain; charset=utf-8", "quoted-printable"),
        ),
        (
            text(b64("grüße\r\n".encode()), "text/plain; charset=utf-8", "base64"),
            text(b64("grüße\r\n\r\nGröße GmbH\r\n".encode()), "text/plain; charset=utf-8", "base64"),
        ),
        (
            text(b64("你好".encode("gb18030")), "text/plain; charset=gb18030", "base64"),
            text(b64("你好\r\n\r\nGröße GmbH".encode("gb18030")), "text/plain; charset=gb18030", "base64"),
        ),
        (
            text(b"\xff not UTF-8\r\n", "text/plain; charset=utf-8", "quoted-printable"),
            text(
                b"\xff not UTF-8\r\n\r\nGr=C3=B6=C3=9Fe GmbH\r\n",
                "text/plain; charset=utf-8",
                "quoted-printable",
            ),
        ),
    ],
)
def test_charset_and_encoding_stay(raw: bytes, expected: bytes) -> None:
    assert footed(raw, UMLAUT) == expected
    assert footed(raw, UMLAUT, 2) == expected


@pytest.mark.parametrize(
    ("body", "kind", "encoding", "before"),
    [
        (b"hello\r\n", "text/plain", "", "hello\r\n"),
        (b"hello\r\n", "text/plain; charset=us-ascii; format=flowed", "7bit", "hello\r\n"),
        (b"hello\r\n", "text/plain; charset=utf-8", "7bit", "hello\r\n"),
        (b"hello\r\n", 'text/plain; charset="utf-8"', "8bit", "hello\r\n"),
        (b"\xe1\xe2\r\n", "text/plain; charset=iso-8859-7", "8bit", "αβ\r\n"),
        (b"=E1=E2\r\n", "text/plain; charset=iso-8859-7; x=y", "quoted-printable", "αβ\r\n"),
        (b64("αβ.\r\n".encode("utf-16")), "text/plain; charset=utf-16", "base64", "αβ.\r\n"),
        (b64("日本語\r\n".encode("iso-2022-jp")), "text/plain; charset=iso-2022-jp", "base64", "日本語\r\n"),
    ],
)
def test_where_there_is_no_room_the_part_becomes_utf_8(
    body: bytes, kind: str, encoding: str, before: str
) -> None:
    raw = text(body, kind, encoding)
    once = footed(raw, UMLAUT)
    assert once.isascii()
    message = email.message_from_bytes(once, policy=SMTP)
    assert isinstance(message, EmailMessage)
    assert message.get_content().replace("\r\n", "\n") == f"{before}\r\nGröße GmbH\r\n".replace("\r\n", "\n")
    assert (message["Subject"], message["MIME-Version"]) == ("x", "1.0")
    assert dict(message["Content-Type"].params) == {
        **dict(email.message_from_bytes(raw, policy=SMTP)["Content-Type"].params),
        "charset": "utf-8",
    }
    assert footed(once, UMLAUT) == once


@each(
    ("body", "kind", "encoding"),
    [
        (b"\xff\xfe\x81\r\n", "text/plain; charset=us-ascii", "8bit"),
        (b"\xcf\xf0\xe8\xe2\xe5\xf2\r\n", "text/plain", "8bit"),
        (b"+AGE-\r\n", "text/html; charset=utf-7", "7bit"),
        (b"hello\r\n", "text/plain; charset=nonsense", "7bit"),
        (b"hello\r\n", "text/plain; charset=rot13", "7bit"),
        (b"hello\r\n", "text/plain; charset=zlib", "7bit"),
        (b"hello\r\n", "text/plain; charset=idna", "7bit"),
        (b"hello\r\n", "text/plain", "x-uuencode"),
        (b"aGVsbG8", "text/plain", "base64"),
        (b"aGVs*G8=", "text/plain", "base64"),
        (b"aGVsbG8=aGVsbG8=", "text/plain", "base64"),
    ],
)
def test_what_is_not_what_it_says_is_left_alone(body: bytes, kind: str, encoding: str) -> None:
    assert footed(text(body, kind, encoding), Footer("→ Größe")) == text(body, kind, encoding)


@pytest.mark.parametrize("line", ["x" * 2_000, "ü" * 100, "xü" * 100, "xxü" * 100, "xxxü" * 100, "= x" * 100])
def test_long_lines_of_a_footer_are_never_sent_as_such(line: str) -> None:
    once = footed(text(b"hello\r\n"), Footer("x" * 2_000 + "\n" + line))
    assert max(map(len, once.split(b"\r\n"))) <= 76
    assert not re.search(rb"=(?!\r\n|[0-9A-F]{2})", once.partition(b"\r\n\r\n")[2])
    expected = f"hello\r\n\r\n{'x' * 2_000}\r\n{line}\r\n".encode()
    assert email.message_from_bytes(once).get_payload(decode=True) == expected


def test_what_has_the_footer_keeps_its_octets() -> None:
    body = base64.b64encode(b"hello " * 30 + b"\r\n\r\nExample Ltd\r\n1 Example Street\r\n \r\n") + b"\r\n"
    assert footed(text(body, "text/plain", "base64")) == text(body, "text/plain", "base64")
    body = b64("hello\r\n\r\nExample Ltd\r\n1 Example Street\r\n".encode("utf-16"))
    raw = text(body, "text/plain; charset=utf-16", "base64")
    assert footed(raw) == raw


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html><body>hi</body></html>\r\n", b"<html><body>hi\r\n%b\r\n</body></html>\r\n"),
        (b"<BODY>hi</Body >", b"<BODY>hi\r\n%b\r\n</Body >"),
        (b"<pre></body></pre></body>", b"<pre></body></pre>\r\n%b\r\n</body>"),
        (b"<html>hi</html>", b"<html>hi\r\n%b\r\n</html>"),
        (b"<p>hi</p>\r\n", b"<p>hi</p>\r\n\r\n%b\r\n"),
        (b"", b"\r\n%b\r\n"),
    ],
)
def test_html_gets_it_before_its_end(body: bytes, expected: bytes) -> None:
    raw = text(body, "text/html; charset=utf-8")
    assert footed(raw) == text(expected % HTML, "text/html; charset=utf-8")
    assert footed(raw, times=2) == footed(raw)


@each(
    ("page", "closing"),
    [
        ("<p>Hello <!-- </body> --> world</p>", ""),
        ("<body>Hello <a title='</body>' href=x>link</a>", ""),
        ("<body>Hello<script>var x='</body>';</script></html>", ""),
        ("<body>Hello<style>/* </body> */</style>", ""),
        ("<title></body></title>Hello", ""),
        ("<p>a<!-- never closed </body>", "--></p>"),
        ("<p>a<script>", "</script></p>"),
        ("<p>a<script><!--<script>", "</script></script></p>"),
        ("a<textarea></body>", "</textarea>"),
        ("a<template><!-- </body>", "--></template>"),
        ("a<template><template><style>", "</style></template></template>"),
        ("a<select><option>b", "</option></select>"),
        ("a<svg><title>b", "</title></svg>"),
        ("a<svg><![CDATA[", "]]></svg>"),
        ("a<table><tr>", "</table>"),
        ("a<video>b<table><tr></body>", "</table></video>"),
        ("a<noscript><!-- b", "--></noscript>"),
        ("a<div hidden>b", "</div>"),
        ('a<a href="', '"></a>'),
        ("a<a href='", "'></a>"),
        ("a<details>b", "</details>"),
    ],
)
def test_html_gets_it_where_it_is_seen(page: str, closing: str) -> None:
    raw = text(page.encode(), "text/html")
    once = footed(raw)
    assert closing.encode() + b"\r\n" + HTML in once
    assert once.replace(closing.encode() + b"\r\n" + HTML + b"\r\n", b"") == raw
    assert footed(once) == once


@pytest.mark.parametrize("page", ["<frameset><frame src=x></frameset>", "<div>" * 500, "<template>" * 40])
def test_a_page_in_which_nothing_more_can_be_seen_is_left_alone(page: str) -> None:
    assert footed(text(page.encode(), "text/html")) == text(page.encode(), "text/html")


def test_after_plaintext_there_are_no_tags() -> None:
    once = footed(text(b"a<plaintext>b", "text/html"))
    assert once == text(b"a<plaintext>b\r\n\r\nExample Ltd\r\n1 Example Street", "text/html")
    assert footed(once) == once


@pytest.mark.parametrize("page", ["a<!-- {} -->", "a<!-- {}", "<a title='{}'>a</a>", "a<div hidden>{}"])
def test_a_footer_that_is_not_seen_does_not_count(page: str) -> None:
    raw = text(page.format(HTML.decode()).encode(), "text/html")
    assert footed(raw).count(HTML) == 2


def test_a_large_page_is_read_in_a_process() -> None:
    page = b"<body>" + b"<p>hello</p>\r\n" * 15_000
    once = footed(text(page + b"</body>", "text/html"))
    assert once == text(page + b"\r\n" + HTML + b"\r\n</body>", "text/html")
    assert footed(once) == once


def test_which_is_ended_when_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_proxy.ready._html._PATIENCE", 0.01)
    raw = text(b"<p>hello</p>" * 20_000, "text/html")
    assert footed(raw) == raw


def test_a_page_that_takes_too_long_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_proxy.ready._html._ENOUGH", 0.0)
    raw = text(b"<p>hello</p>", "text/html")
    assert footed(raw) == raw


def test_an_empty_text_keeps_nothing_from_its_footer() -> None:
    empty = b"Content-Type: text/plain\r\n"
    raw = b"Subject: x\r\n" + multi("alternative", empty, WEB)
    now = empty + b"\r\n\r\nExample Ltd\r\n1 Example Street\r\n"
    assert footed(raw) == b"Subject: x\r\n" + multi("alternative", now, WEB_FOOTED)
    assert footed(raw, times=2) == footed(raw)
    raw = b"Subject: x\r\n" + multi("mixed", part("Content-Type: text/plain", b"\r\n"), IMAGE, WEB)
    assert footed(raw).endswith(multi("mixed", IMAGE, WEB_FOOTED).partition(b"preamble\r\n")[2])


def test_one_form_that_cannot_take_it_does_not_keep_others_from_it() -> None:
    old = part("Content-Type: text/plain; charset=x-old", b"\xff")
    raw = b"Subject: x\r\n" + multi("alternative", old, WEB)
    assert footed(raw) == b"Subject: x\r\n" + multi("alternative", old, WEB_FOOTED)


def test_a_message_that_gets_no_footer_is_told_in_the_log(logs: list[MutableMapping[str, Any]]) -> None:
    footed(text(b"<frameset><frame src=x></frameset>", "text/html"))
    footed(multi("mixed", PLAIN, IMAGE).removesuffix(b"--b--"))
    footed(multi("signed", PLAIN, IMAGE))
    assert [entry["event"] for entry in logs] == [
        "a part has no place for the footer",
        "the message gets no footer",
    ]
    assert logs[0]["part"] == "text/html"
    assert "multipart" in logs[1]["error"]


def test_html_is_made_of_the_text_or_given() -> None:
    raw = text(b"<body></body>", "text/html")
    assert b"\r\n<p>a &lt;&amp;&gt;<br>\r\nb</p>\r\n</body>" in footed(raw, Footer("a <&>\nb"))
    assert b"<body>\r\n<b>a</b>\r\n</body>" in footed(raw, Footer("a", "<b>a</b>\n"))


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("charset", ["us-ascii", "iso-8859-7", "utf-8", "utf-16"])
def test_html_in_any_charset_and_encoding(charset: str, encoding: str) -> None:
    source = "<body>100 = 1e2 " + "long " * 40 + "</body>"
    octets = source.encode(charset)
    if encoding == "7bit" and charset == "utf-16":
        return  # there is no such thing
    body = {"7bit": octets, "quoted-printable": quopri.encodestring(octets), "base64": b64(octets)}[encoding]
    once = footed(text(canonical(body), f"text/html; charset={charset}", encoding), UMLAUT)
    assert once.isascii()
    message = email.message_from_bytes(once, policy=SMTP)
    assert isinstance(message, EmailMessage)
    content = html.unescape(message.get_content().replace("\r\n", "\n")).rstrip("\n")
    assert content == source.replace("</body>", "\n<p>Größe GmbH</p>\n</body>")
    assert footed(once, UMLAUT) == once


def test_the_end_of_html_is_found_across_soft_line_breaks() -> None:
    raw = text(
        b"<body>=C3=BC one\r\ntwo =\r\nthree </bo=\r\ndy>\r\n</html>\r\n", "text/html", "quoted-printable"
    )
    assert footed(raw, Footer("x")) == text(
        b"<body>=C3=BC one\r\ntwo =\r\nthree=20\r\n<p>x</p>\r\n</body>\r\n</html>\r\n",
        "text/html",
        "quoted-printable",
    )


FLOWED = "text/plain; charset=us-ascii; format=flowed"


def test_format_flowed_keeps_the_lines_of_the_footer() -> None:
    rule = Footer("-- \n  indented   \n> not a quote\nFrom here\nplain ")
    once = footed(text(b"a paragraph that flows \r\n", FLOWED), rule)
    assert once == text(
        b"a paragraph that flows \r\n\r\n-- \r\n   indented\r\n > not a quote\r\n From here\r\nplain\r\n",
        FLOWED,
    )
    assert footed(once, rule) == once


def part(fields: str, body: bytes) -> bytes:
    return fields.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


def multi(kind: str, *parts: bytes, boundary: str = "b") -> bytes:
    """A part, without the line end after it."""
    line = b"--" + boundary.encode()
    inner = b"".join(line + b"\r\n" + each + b"\r\n" for each in parts)
    return part(
        f'Content-Type: multipart/{kind}; boundary="{boundary}"', b"preamble\r\n" + inner + line + b"--"
    )


PLAIN = part("Content-Type: text/plain", b"hello")
PLAIN_FOOTED = part("Content-Type: text/plain", b"hello\r\n\r\nExample Ltd\r\n1 Example Street")
WEB = part("Content-Type: text/html", b"<body>hello</body>")
WEB_FOOTED = part("Content-Type: text/html", b"<body>hello\r\n" + HTML + b"\r\n</body>")
FILE = part("Content-Type: text/plain\nContent-Disposition: attachment", b"notes")
NAMED = part("Content-Type: text/plain; name=notes.txt", b"notes")
IMAGE = part("Content-Type: image/png\nContent-Transfer-Encoding: base64", b"iVBORw0KGgo=")
INVITATION = part("Content-Type: text/calendar", b"BEGIN:VCALENDAR")
LETTER = part("Content-Type: message/rfc822", b"Subject: y\r\n\r\ninner")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (multi("mixed", PLAIN, IMAGE), multi("mixed", PLAIN_FOOTED, IMAGE)),
        (multi("mixed", IMAGE, PLAIN, PLAIN), multi("mixed", IMAGE, PLAIN_FOOTED, PLAIN)),
        (multi("mixed", FILE, NAMED, WEB, PLAIN), multi("mixed", FILE, NAMED, WEB_FOOTED, PLAIN)),
        (multi("mixed", LETTER, PLAIN), multi("mixed", LETTER, PLAIN_FOOTED)),
        (multi("x-unheard-of", PLAIN), multi("x-unheard-of", PLAIN_FOOTED)),
        (multi("related", WEB, IMAGE), multi("related", WEB_FOOTED, IMAGE)),
        (multi("alternative", PLAIN, WEB), multi("alternative", PLAIN_FOOTED, WEB_FOOTED)),
        (
            multi("alternative", PLAIN, WEB, INVITATION),
            multi("alternative", PLAIN_FOOTED, WEB_FOOTED, INVITATION),
        ),
        (
            multi(
                "mixed",
                multi("alternative", PLAIN, multi("related", WEB, IMAGE, boundary="d"), boundary="c"),
                FILE,
            ),
            multi(
                "mixed",
                multi(
                    "alternative",
                    PLAIN_FOOTED,
                    multi("related", WEB_FOOTED, IMAGE, boundary="d"),
                    boundary="c",
                ),
                FILE,
            ),
        ),
        (
            multi("mixed", multi("mixed", FILE, boundary="c"), multi("mixed", PLAIN, boundary="d")),
            multi("mixed", multi("mixed", FILE, boundary="c"), multi("mixed", PLAIN_FOOTED, boundary="d")),
        ),
        (
            multi("mixed", b"\r\nno fields"),
            multi("mixed", b"\r\nno fields\r\n\r\nExample Ltd\r\n1 Example Street"),
        ),
    ],
)
def test_every_form_of_the_first_text_gets_it_and_nothing_else(before: bytes, after: bytes) -> None:
    for tail in (b"", b"\r\n", b"\r\nepilogue\r\n"):
        assert footed(b"Subject: x\r\n" + before + tail) == b"Subject: x\r\n" + after + tail
        assert footed(b"Subject: x\r\n" + before + tail, times=2) == b"Subject: x\r\n" + after + tail


def test_one_form_may_become_utf_8_while_others_stay() -> None:
    raw = b"MIME-Version: 1.0\r\n" + multi("alternative", PLAIN, WEB)
    once = footed(raw, UMLAUT)
    message = email.message_from_bytes(once, policy=SMTP)
    assert isinstance(message, EmailMessage)
    plain, web = message.iter_parts()
    assert plain.get_content() == "hello\r\n\r\nGröße GmbH"
    assert b"Gr&#246;&#223;e GmbH" in web.get_payload(decode=True)
    assert once.count(b"MIME-Version") == 1
    assert footed(once, UMLAUT) == once


@each(
    "raw",
    [
        multi("signed", PLAIN, part("Content-Type: application/pgp-signature", b"x")),
        multi("encrypted", part("Content-Type: application/pgp-encrypted", b"Version: 1"), IMAGE),
        multi("mixed", multi("signed", PLAIN, IMAGE, boundary="c"), PLAIN),
        multi("mixed", PLAIN, part("Content-Type: application/pkcs7-mime", b"x")),
        text(b"x", "application/x-pkcs7-mime; smime-type=signed-data", "base64"),
        text(b"-----BEGIN PGP SIGNED MESSAGE-----\r\nhello\r\n"),
        text(b64(b"-----BEGIN PGP MESSAGE-----\r\nhello\r\n"), "text/plain", "base64"),
        multi("alternative", part("Content-Type: text/plain", b"-----BEGIN PGP MESSAGE-----"), WEB),
        multi("report", PLAIN, part("Content-Type: message/delivery-status", b"x")),
        multi("digest", LETTER),
        multi("mixed", LETTER, FILE, NAMED, INVITATION),
        text(b"x", "image/png"),
        text(b"x", "text/calendar"),
        part("Content-Type: text/plain\nContent-Disposition: attachment; filename=a", b"x"),
        LETTER,
        multi("mixed", PLAIN, IMAGE).removesuffix(b"--"),
        multi("mixed", PLAIN, IMAGE).removesuffix(b"--b--"),
        multi("mixed", multi("alternative", PLAIN, WEB, boundary="c").removesuffix(b"--c--"), IMAGE),
        part("Content-Type: multipart/mixed; boundary=b", b"hello\r\n"),
        part("Content-Type: multipart/mixed", b"--b\r\n\r\nhello\r\n--b--"),
        b"Subject: nothing but fields",
        b"Subject: nothing but fields\r\nContent-Transfer-Encoding: base64\r\n\t",
        multi("mixed", b"Content-Type: text/plain"),
        part("Content-Type: text/plain\nContent-Type: text/html", b"hello"),
        part("Content-Type: text/plain\nno field", b"hello"),
        multi(
            "mixed", PLAIN, part("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit", b"x")
        ),
    ],
)
def test_signed_encrypted_odd_or_broken_messages_are_left_alone(raw: bytes) -> None:
    assert footed(raw) == raw
    assert footed(raw + b"\r\n") == raw + b"\r\n"


def test_what_is_broken_in_an_attached_message_is_its_own_affair() -> None:
    broken = part(
        "Content-Type: message/rfc822", multi("signed", PLAIN).removesuffix(b"--b--").replace(b"b", b"c")
    )
    raw = multi("mixed", PLAIN, broken)
    assert footed(raw) == multi("mixed", PLAIN_FOOTED, broken)


@needs_shipped
@each("path", SHIPPED or [Path()])
def test_real_messages_keep_all_else(path: Path) -> None:
    raw = canonical(path.read_bytes())
    for rule in (ASCII, UMLAUT):
        once = footed(raw, rule)
        assert footed(once, rule) == once
        if once == raw:
            continue
        before, after = list(read(raw).walk()), list(read(once).walk())
        assert [each.content_type for each in before] == [each.content_type for each in after]
        changed = [
            (old, new)
            for old, new in zip(before, after, strict=True)
            if not old.parts and octets(old) != octets(new)
        ]
        assert changed
        for old, new in changed:
            was, now = (" ".join(each.text.split()) for each in (old, new))
            added = " ".join(html.escape(rule.text).split())
            assert added in html.unescape(now.replace("<br>", ""))
            assert added not in was
            if old.content_type == "text/plain":
                assert now.startswith(was)


def octets(each: Part) -> bytes:
    return each.raw[each.start : each.end]


@needs_shipped
def test_most_real_messages_get_it() -> None:
    got = [path for path in SHIPPED if footed(raw := canonical(path.read_bytes())) != raw]
    assert len(got) > len(SHIPPED) / 3


@given(st.lists(PIECES | st.binary(max_size=8), max_size=60))
def test_no_octets_make_it_fail_and_twice_is_once(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    for rule in (ASCII, UMLAUT):
        once = footed(raw, rule)
        assert footed(once, rule) == once


@given(
    body=st.lists(st.sampled_from([*"ab=. \tü€\r\n<", "\r\n", "</body>", "=\r\n"]), max_size=60).map("".join),
    charset=st.sampled_from(
        ["us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "utf-16", "utf-7", "iso-2022-jp", "gb18030"]
    ),
    encoding=st.sampled_from(["7bit", "8bit", "quoted-printable", "base64"]),
    kind=st.sampled_from(["text/plain", "text/html"]),
    last=st.sampled_from([b"", b"\r\n"]),
)
def test_the_text_itself_stays(body: str, charset: str, encoding: str, kind: str, last: bytes) -> None:
    body = body.replace("\r\n", "\n").replace("\r", "").replace("\n", "\r\n")
    source = body.encode(charset, "replace")
    if encoding in ("7bit", "8bit"):
        wire = source.replace(b"\0", b"").replace(b"\r", b"").replace(b"\n", b"\r\n")
    elif encoding == "base64":
        wire = b64(source)
    else:
        wire = canonical(quopri.encodestring(source.replace(b"\r\n", b"\n")))
    raw = text(wire.removesuffix(b"\r\n") + last, f"{kind}; charset={charset}", encoding)
    was = read(raw).text
    for rule in (ASCII, UMLAUT):
        once = footed(raw, rule)
        if once == raw:
            continue
        now = read(once).text
        assert any(now.startswith(was[:at]) and now.endswith(was[at:]) for at in range(len(was) + 1))
        assert footed(once, rule) == once
        assert once.isascii() or not raw.isascii()


def test_a_server_without_8bitmime_is_sent_no_8_bit() -> None:
    s = session(UMLAUT, server=lambda: FakeServer(keywords=("SIZE",)))
    content = sent(s, b"Subject: x\r\n\r\nhello\r\n")
    assert content is not None
    assert content.isascii()


def test_settings_from_a_file() -> None:
    s = configured(
        """
        [rules.footer]
        text = '''
        --
        Example Ltd'''
        html = "<hr>"
        """.replace("        ", "")
    )
    assert sent(s, b"Subject: x\r\n\r\nhello\r\n") == b"Subject: x\r\n\r\nhello\r\n\r\n--\r\nExample Ltd\r\n"
    content = sent(s, text(b"<body></body>\r\n", "text/html"))
    assert content == text(b"<body>\r\n<hr>\r\n</body>\r\n", "text/html")
    assert 'missing key "text"' in mistakes("[rules.footer]\nhtml = 'x'")
