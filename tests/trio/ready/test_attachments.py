"""ready:attachments"""

from __future__ import annotations

import base64
from time import perf_counter, process_time
from typing import Any

import pytest
from each import each
from harness import MESSAGE, MIXED, PIECES, configured, mistakes, nested, sent
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.rules import Connection, Message, Reject, Transaction
from sansio_smtp.testing import session
from trio_proxy.ready.attachments import Attachments


def judged(raw: bytes, **settings: Any) -> Reject | None:
    verdict = Attachments(**settings).message(Transaction(Connection()), Message(raw))
    assert verdict is None or isinstance(verdict, Reject)
    return verdict


def attached(fields: str | bytes, body: bytes = b"x") -> bytes:
    octets = fields.encode() if isinstance(fields, str) else fields
    return MIXED + b"\r\n--a\r\n\r\nhello\r\n--a\r\n" + octets + b"\r\n\r\n" + body + b"\r\n--a--\r\n"


@each(
    "fields",
    [
        "Content-Disposition: attachment; filename=evil.exe",
        "Content-Disposition: attachment; filename=EVIL.EXE",
        'Content-Disposition: attachment; filename="evil.exe"',
        'Content-Disposition: attachment; filename="evil.exe. . "',
        'Content-Disposition: attachment; filename="evil.exe::$DATA"',
        "Content-Disposition: attachment; filename=really evil.exe",
        'Content-Disposition: attachment; filename="evil.exe',
        "Content-Disposition: attachment; filename*=utf-8''evil%2Eexe",
        "Content-Disposition: attachment; filename*=utf-8''evil.ex%65",
        "Content-Disposition: attachment; filename*0=evil.; filename*1=exe",
        "Content-Disposition: attachment; filename*1=exe; filename*0*=''evil%2E",
        "Content-Disposition: attachment;\r\n filename*0=ev;\r\n\tfilename*1=il.exe",
        'Content-Disposition: attachment; filename="=?utf-8?B?ZXZpbC5leGU=?="',
        "Content-Disposition: attachment; filename==?iso-8859-1?q?evil=2Eexe?=",
        'Content-Disposition: attachment; filename="=?utf-8?q?evi?= =?utf-8?q?l=2Eexe?="',
        "Content-Disposition: attachment; filename=fine.txt; filename=evil.exe",
        "Content-Disposition: attachment; filename=a.txt\r\nContent-Disposition: inline; filename=evil.exe",
        "Content-Disposition: attachment; filename=fine.txt\r\nContent-Type: image/png; name=evil.exe",
        "Content-Type: application/octet-stream; name=evil.exe",
        "Content-Type: application/octet-stream\r\nContent-Location: http://example.com/evil%2Eexe",
        "CONTENT-TYPE: application/octet-stream; NAME=evil.exe",
        "Content-Type : application/octet-stream; name=evil.exe",
        "Content-Type: application/octet-stream name=evil.exe",
        'Content-Disposition: attachment; filename="C:\\\\tmp\\\\evil.exe"',
        'Content-Disposition: attachment; filename="evil.\uff45\uff58\uff45"',
        'Content-Disposition: attachment; filename="evil.e\u200bx\u202ee"',
        'Content-Disposition: attachment; filename="evil\u2024exe"',
    ],
)
def test_a_name_is_recognised_in_every_spelling(fields: str) -> None:
    verdict = judged(attached(fields), names=("*.exe",))
    assert verdict is not None
    assert verdict.text.startswith("5.7.1 attachments such as ")
    assert judged(attached(fields), names=("*.doc",), broken=False) is None


def test_names_are_found_wherever_they_are() -> None:
    program = b"Content-Type: a/b; name=evil.exe\r\n\r\nx"
    message = attached("Content-Type: message/rfc822", b"Subject: x\r\n" + program)
    encoded = attached(
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64", base64.encodebytes(program)
    )
    uuencoded = MESSAGE + b"begin 644 evil.exe\r\n#0V%T\r\n`\r\nend\r\n"
    unclosed = attached("Content-Type: a/b; name=evil.exe").removesuffix(b"--a--\r\n")
    for raw in (program, message, encoded, uuencoded, unclosed):
        assert judged(raw) == Reject(550, "5.7.1 attachments such as evil.exe are refused here")


def test_folders_are_no_part_of_a_name() -> None:
    for name in ("a/b/invoice 1.zip", "C:\\a\\invoice 1.zip", "invoice.zip"):
        assert (
            judged(attached(f"Content-Disposition: x; filename={name}"), names=("invoice*.zip",)) is not None
        )


def test_other_names_pass() -> None:
    for name in ("report.pdf", "exe", "evil.exe.txt", "exe.", "a.executive"):
        assert judged(attached(f"Content-Disposition: attachment; filename={name}")) is None
    assert judged(MESSAGE + b"Content-Disposition: attachment; filename=evil.exe\r\n") is None


def test_what_is_said_of_a_name_can_be_said() -> None:
    verdict = judged(
        attached("Content-Disposition: attachment; filename*=utf-8''" + "%0D%0Aü" * 90 + ".exe"), names=("*",)
    )
    assert verdict is not None
    assert len(verdict.text) < 120
    assert verdict.text.isascii()


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ("Content-Type: Application/X-MSDownload", True),
        ("Content-Type: audio/mpeg; name=a", True),
        ("Content-Type: image/png", False),
        ("Content-Type: audio", False),
    ],
)
def test_types_are_refused(fields: str, refused: bool) -> None:
    verdict = judged(attached(fields), types=("application/x-msdownload", "AUDIO/*"), broken=False)
    assert (verdict is not None) == refused


@each(
    ("fields", "body", "size"),
    [
        ("Content-Type: a/b", b"x" * 100, 100),
        ("Content-Type: a/b\r\nContent-Transfer-Encoding: base64", base64.encodebytes(b"x" * 100), 100),
        ("Content-Type: a/b\r\nContent-Transfer-Encoding: quoted-printable", b"=78" * 100, 100),
        ("Content-Disposition: attachment", b"x" * 100, 100),
        ("Content-Type: text/plain; name=a", b"x" * 100, 100),
        ("Content-Type: message/rfc822", b"\r\n" + b"x" * 98, 100),
        ("Content-Type: text/plain", b"x" * 100, 0),
        ("Content-Disposition: inline", b"x" * 100, 0),
    ],
)
def test_the_size_of_an_attachment_is_that_of_what_it_holds(fields: str, body: bytes, size: int) -> None:
    raw = attached(fields, body)
    assert judged(raw, max_attachment=max(size, 1)) is None
    if size:
        assert judged(raw, max_attachment=size - 1) == Reject(
            552, "5.3.4 an attachment is larger than 99 octets"
        )


def test_the_size_of_the_message_is_refused_early_if_it_is_declared() -> None:
    s = session(Attachments(max_message=100))
    assert s.mail("ann@example.com", "SIZE=101") == Reject(552, "5.3.4 the message is larger than 100 octets")
    assert sent(s, MESSAGE) == MESSAGE
    s = session(Attachments(max_message=len(MESSAGE)))
    assert sent(s, MESSAGE) == MESSAGE
    assert sent(s, MESSAGE + b"x\r\n") is None
    assert s.reply is not None
    assert (s.reply.code, s.reply.enhanced) == (552, "5.3.4")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (attached("Content-Type: a/b; name=a.txt") + b"--a\r\n\r\nmore\r\n", "parts after the end"),
        (attached("Content-Type: a/b; name=a.txt").replace(b"boundary=a", b"boundary=a (x)"), "a boundary"),
        (attached("Content-Type: a/b; name=a.txt").replace(b"multipart/mixed", b'"multipart/mixed"'), "type"),
        (attached("Content-Type: a/b; name=a.txt").replace(b"--a\r\nC", b"--a x\r\nC"), "a line that"),
        (attached("Content-Type: a/b; name=a.txt\r\nno field\r\nContent-ID: x"), "header fields"),
        (attached("Content-Type: a/b\r\nContent-Transfer-Encoding: base 64"), "a transfer encoding"),
        (attached("Content-Type: message/partial; id=x; number=1"), "a message of a type"),
    ],
)
def test_what_mail_programs_read_differently_is_refused(raw: bytes, what: str) -> None:
    verdict = judged(raw)
    assert verdict is not None
    assert verdict.code == 550
    assert verdict.text.startswith("5.6.0 what mail programs read in different ways is refused here: ")
    assert what in verdict.text
    assert judged(raw, broken=False) is None


def test_what_all_read_alike_is_not_refused() -> None:
    unclosed = attached("Content-Type: a/b").removesuffix(b"--a--\r\n")
    assert judged(unclosed) is None
    assert judged(attached("Content-Type: a/b")) is None


def test_more_parts_than_are_looked_at_are_refused_always() -> None:
    assert judged(nested(20)) is None
    verdict = judged(nested(40))
    assert verdict is not None
    assert verdict.text.startswith("5.6.0 ")


def test_nobody_needs_thousands_of_names() -> None:
    many = "".join(f"; name=file-{number}.txt" for number in range(50_000))
    encoded = b"begin 644 file.txt\r\n" * 500_000
    begin = perf_counter()
    for raw in (attached("Content-Type: a/b" + many), MESSAGE + encoded):
        assert judged(raw) == Reject(550, "5.6.0 more than 1000 names in one part are refused here")
    assert perf_counter() - begin < 10  # a second or so
    assert judged(MESSAGE + encoded[:10_000]) is None


HOSTILE = {
    "boundaries": b"--a x\r\n",
    "fields": b"content-type: a/b; name=x y\r\n",
    "names": b"Content-Type: a/b; name==?x?q?a?= (c) 'd' \"e\r\n",
    "comments": b"Content-Type: a/b; name=((((((((((((((((((((\r\n",
    "begins": b"begin 644 a b\r\n",
    "base64": b"Q=\r\n",
    "dashes": b"--\r\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("broken", [True, False])
def test_time_grows_with_length_only(line: bytes, broken: bool) -> None:
    def seconds(count: int) -> float:
        raw = attached("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64", line * count)
        begin = process_time()
        judged(raw, broken=broken, max_attachment=10_000_000)
        return process_time() - begin

    assert seconds(10_000) < 8 * seconds(2_500) + 0.5  # four times as much; if it were the square, 16 times


@given(st.lists(PIECES | st.binary(max_size=8), max_size=60))
def test_no_octets_make_it_fail(pieces: list[bytes]) -> None:
    judged(b"".join(pieces), types=("x/y",), max_attachment=10, broken=False)
    judged(b"".join(pieces), names=("*",), types=("*",), broken=True)


def test_settings_from_a_file() -> None:
    s = configured(
        """
        [rules.attachments]
        names = ["*.zip"]
        types = ["image/*"]
        max_attachment = "1k"
        max_message = "10k"
        broken = true
        """
    )
    assert sent(s, attached("Content-Disposition: attachment; filename=a.ZIP")) is None
    assert sent(s, attached("Content-Type: image/png")) is None
    assert sent(s, attached("Content-Type: a/b", b"x" * 1_001)) is None
    assert sent(s, attached("Content-Type: a/b; name=evil.exe", b"x" * 1_000)) is not None
    assert sent(s, MESSAGE + b"x\r\n" * 5_000) is None
    assert "max_message" in mistakes("[rules.attachments]\nmax_message = 'big'")


def test_without_settings_programs_are_refused() -> None:
    s = configured("[rules.attachments]")
    assert sent(s, attached("Content-Disposition: attachment; filename=a.zip")) is not None
    assert sent(s, attached("Content-Disposition: attachment; filename=a.JS")) is None
    assert s.reply is not None
    assert (s.reply.code, s.reply.enhanced) == (550, "5.7.1")
