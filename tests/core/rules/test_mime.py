"""Text in header fields, in both directions, and what of the standard library is wrapped."""

from __future__ import annotations

import email.policy
import time
from email.message import EmailMessage, Message
from typing import Any

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import mime
from sansio_smtp.rules.mime import decode, encode


@each(
    ("value", "text"),
    [
        (b"", ""),
        (b" plain ", "plain"),
        (b" a\r\n b", "a b"),
        (b" a\r\n\t b\r\n c", "a\t b c"),
        (b" a\n b", "a b"),
        (b"a\r\nb", "a  b"),
        (b"a\rb\0c", "a b\ufffdc"),
        ("Grüße".encode(), "Grüße"),
        (b"Gr\xfc\xdfe", "Grüße"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?utf-8?b?R3LDvMOfZQ?=", "Grüße"),
        (b"=?iso-8859-1?Q?Gr=FC=DFe_an_alle?=", "Grüße an alle"),
        (b"=?iso-8859-1?q?a b?=", "a b"),
        (b"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?windows-1252?q?=80?=", "€"),
        (b"=?koi8-u?b?8NLJ18XU?=", "Привет"),
        (b"=?utf-8*de?q?=C3=BC?=", "ü"),
        (b"a =?utf-8?q?b?= c", "a b c"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= - =?utf-8?q?b?=", "a - b"),
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=FC?=", "aü"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        (b"=?utf-8?b?w7w?= =?utf-8?q?=C3=9F?=", "üß"),
        (b"=?utf-8?q??=", ""),
        (b"=?us-ascii?q?=FC?=", "ü"),
        (b"=?x-unknown?q?=C3=BC?=", "ü"),
        (b"=?rot13?q?abc?=", "abc"),
        (b"=?hex?q?abc?=", "abc"),
        (b"=?utf-8?q?=C3?=x", "\ufffdx"),
        (b"=?utf-8?b?x?=", "=?utf-8?b?x?="),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?abc", "=?utf-8?q?abc"),
        (b"=?utf-7?q?+2AA-?=", "\ufffd"),
        (b"=?utf-8?q?a=0D=0ABcc:_x=00?=", "a  Bcc: x\ufffd"),
    ],
)
def test_values_are_read(value: bytes, text: str) -> None:
    assert decode(value) == text


@each(
    ("value", "text"),
    [
        (b"=?utf-8?q?M=C3=BCller?= <j@x>", "Müller <j@x>"),
        (b"=?utf-8?q?M=C3=BC=2C?= J <j@x>", '"Mü," J <j@x>'),
        (b"=?utf-8?q?boss=40x.example=3E=2C?= <evil@y>", '"boss@x.example>," <evil@y>'),
        (b"=?utf-8?q?=22=5C?= <a@b>", '"\\"\\\\" <a@b>'),
        (b'"=?utf-8?q?M=C3=BC=2C_J?=" <j@x>', '"Mü, J" <j@x>'),
        (b'"=?utf-8?q?a=22b?=" <j@x>', '"a\\"b" <j@x>'),
        (b'"a \\" b" <j@x>, =?utf-8?q?=C3=BC?= <k@x>', '"a \\" b" <j@x>, ü <k@x>'),
        (b'=?utf-8?q?=C3=BC?= "open', 'ü "open'),
    ],
)
def test_what_an_encoded_word_hides_is_no_address(value: bytes, text: str) -> None:
    assert decode(value, "From") == text
    if '"Mü,"' in text:
        assert decode(value, "Subject") == "Mü, J <j@x>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'text/plain; name="=?utf-8?q?a=22=3B_boundary=3Dx?="', 'text/plain; name="a\\"; boundary=x"'),
        (b"text/plain; name==?utf-8?q?a=3Bb?=", 'text/plain; name="a;b"'),
        (b"text/plain; name==?utf-8?q?a(b?=", "text/plain; name=a(b"),
    ],
)
def test_nor_a_parameter(value: bytes, text: str) -> None:
    assert decode(value, "Content-Type") == text


@each(
    ("name", "old", "text", "value"),
    [
        ("Subject", b"=?x-old?q?=FC?=", "[ext] ü", b"[ext] =?x-old?q?=FC?="),
        ("Subject", b"=?x-old?q?=FC?=", "[ü] ü", b"=?utf-8?b?W8O8XSA=?= =?x-old?q?=FC?="),
        (
            "Subject",
            b"=?gb2312?b?6Uo=?= =?utf-8?q?=FF?=",
            "[ext] 镕\ufffd",
            b"[ext] =?utf-8?b?6ZWV?= =?utf-8?q?=FF?=",
        ),
        ("Subject", b"\xcf\xf0\xe8\xe2", "[ext] Ïðèâ", b"[ext] \xcf\xf0\xe8\xe2"),
        ("Subject", b"\xcf\xf0\xe8\xe2", "ü: Ïðèâ", b"=?utf-8?b?w7w6?= \xcf\xf0\xe8\xe2"),
        ("Subject", b"=?utf-8?q?=3D=3Fx=3Fq=3Fy=3F=3D?=", "- =?x?q?y?=", b"- =?utf-8?b?PT94P3E/eT89?="),
        ("Subject", b"old", "- =?x?q?y?=", b"- =?x?q?y?="),
        ("From", b"=?x-old?q?=FC?= <a@b>", "ü <c@d>", b"=?x-old?q?=FC?= <c@d>"),
        ("From", b'"=?x-old?q?=FC?=" <a@b>', '[ext] "ü" <a@b>', b'[ext] "=?x-old?q?=FC?=" <a@b>'),
        ("From", b"=?x-old?q?=FC?= <a@b>", "é ü <a@b>", b"=?utf-8?b?w6kg?= =?x-old?q?=FC?= <a@b>"),
        ("From", b"=?x-old?q?=FC?= <a@b>", "[ext]ü <a@b>", b"=?utf-8?q?=5Bext=5D?= =?x-old?q?=FC?= <a@b>"),
        ("From", b"\xcf\xf0\xe8\xe2 <a@b>", "Ïðèâ <c@d>", b"\xcf\xf0\xe8\xe2 <c@d>"),
        ("From", b"a@b (=?x-old?q?=FC?=)", "a@b (é ü)", b"a@b (=?utf-8?b?w6kg?= =?x-old?q?=FC?=)"),
        (
            "From",
            b"=?utf-8?q?=3D=3Fx=3Fq=3Fy=3F=3D?= <a@b>",
            "=?x?q?y?= <c@d>",
            b"=?utf-8?b?PT94P3E/eT89?= <c@d>",
        ),
        ("Content-Type", b"a/b; n==?x-old?q?=FC?=", "c/d; n=ü", b"c/d; n==?x-old?q?=FC?="),
        ("Content-Type", b"a/b; n==?x-old?q?=FC?=", "a/b; n=éü", b"a/b; n*=utf-8''%C3%A9%C3%BC"),
        ("Date", b"=?x-old?q?=FC?= today", "ü tomorrow", b"=?x-old?q?=FC?= tomorrow"),
    ],
)
def test_what_could_not_be_read_keeps_its_octets(name: str, old: bytes, text: str, value: bytes) -> None:
    assert encode(name, text, old) == value


@pytest.mark.parametrize(
    ("name", "old", "text", "value"),
    [
        ("Subject", b"=?x-old?q?=FC?=", "[ü] ü", "[ü] =?x-old?q?=FC?=".encode()),
        ("Subject", b"=?x-old?q?=FC?=", "ü!ü", b"=?utf-8?b?w7wh?= =?x-old?q?=FC?="),
        ("Subject", b"\xcf\xf0\xe8\xe2", "[ü] Ïðèâ", b"=?utf-8?q?=5B=C3=BC=5D?= \xcf\xf0\xe8\xe2"),
        (
            "Subject",
            b"=?utf-8?q?=3D=3Fx=3Fq=3Fy=3F=3D?=",
            "ü =?x?q?y?=",
            "ü =?utf-8?b?PT94P3E/eT89?=".encode(),
        ),
        ("From", b"=?x-old?q?=FC?= <a@b>", "ü <ü@d>", "=?x-old?q?=FC?= <ü@d>".encode()),
        ("To", b"", "ü <ü@d>", "ü <ü@d>".encode()),
    ],
)
def test_so_it_does_among_utf_8(name: str, old: bytes, text: str, value: bytes) -> None:
    assert encode(name, text, old, utf8=True) == value


@each(
    ("name", "text", "value"),
    [
        ("Subject", "Grüße", b"=?utf-8?q?Gr=C3=BC=C3=9Fe?="),
        ("Subject", "日本", b"=?utf-8?b?5pel5pys?="),
        ("Subject", "für", b"=?utf-8?q?f=C3=BCr?="),
        ("Subject", "[list] für _alle_ = now", b"[list] =?utf-8?q?f=C3=BCr?= _alle_ = now"),
        ("Subject", "a\tü b ü\tc", b"a\t=?utf-8?q?=C3=BC_b_=C3=BC?=\tc"),
        ("Subject", "ü  ?_=x", b"=?utf-8?q?=C3=BC?=  ?_=x"),
        ("Subject", "x=?utf-8?q?a?= ü", b"=?utf-8?q?x=3D=3Futf-8=3Fq=3Fa=3F=3D_=C3=BC?="),
        ("X-A", "a\udcfcb", b"=?utf-8?q?a=C3=BCb?="),
        ("X-A", "aü_b c?d=e", b"=?utf-8?q?a=C3=BC=5Fb?= c?d=e"),
        ("From", "Jürgen Müller <j@x>", b"=?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <j@x>"),
        ("From", '"Mü, \\"J\\"" <j@x>', b"=?utf-8?q?M=C3=BC=2C_=22J=22?= <j@x>"),
        ("To", "plain <a@x>,ü<b@x>", b"plain <a@x>, =?utf-8?q?=C3=BC?= <b@x>"),
        ("To", "Ämter: a@x, ü <b@x>;", b"=?utf-8?q?=C3=84mter?=: a@x, =?utf-8?q?=C3=BC?= <b@x>;"),
        ("To", "a@x (für \\) ü), b@x", b"a@x (=?utf-8?b?ZsO8ciApIMO8?=), b@x"),
        ("To", "a@x (ü", b"a@x (=?utf-8?q?=C3=BC?="),
        (
            "Content-Type",
            'text/plain; name="ü \\" a"; x=y',
            b"text/plain; name*=utf-8''%C3%BC%20%22%20a; x=y",
        ),
        ("Content-Disposition", "attachment; filename=ü.txt", b"attachment; filename*=utf-8''%C3%BC.txt"),
        ("Content-Type", 'a/b; x="; y=z"; n=ü', b"a/b; x=\"; y=z\"; n*=utf-8''%C3%BC"),
    ],
)
def test_values_are_written_in_ascii(name: str, text: str, value: bytes) -> None:
    assert encode(name, text) == value


@pytest.mark.parametrize("name", ["Subject", "To", "Content-Type", "Date"])
def test_ascii_is_written_as_it_is(name: str) -> None:
    assert encode(name, 'a; b="c" <d@e>') == b'a; b="c" <d@e>'


@pytest.mark.parametrize("name", ["Subject", "X-A", "Comments", "Received"])
def test_free_text_comes_back_as_it_was(name: str) -> None:
    for text in [
        "ü" * 400,
        "aü " * 100 + "x",
        "日本語 " * 50,
        "🙂" * 200,
        "ü  \t ü",
        "a ü=?b",
        "\x85ü\u2028",
    ]:
        written = encode(name, text)
        assert decode(written, name) == text.strip(" \t")
        # RFC 2047 §2 and §5: no word is longer, none holds half a character.
        assert all(len(word) <= 75 and "\ufffd" not in decode(word) for word in written.split(b" "))


def test_the_standard_library_reads_the_same() -> None:
    make: Any = email.policy.default.header_factory
    text = 'A: j@x.example (Jürgen), "Mü, J" <a@b.c>;, <c@d.e>,Jürgen M.<d@e.f>'
    header = make("To", encode("To", text).decode())
    people = [(person.display_name, person.addr_spec) for person in header.addresses]
    assert people == [("", "j@x.example"), ("Mü, J", "a@b.c"), ("", "c@d.e"), ("Jürgen M.", "d@e.f")]
    header = make("Content-Type", encode("Content-Type", 'text/plain; name="größe 1.txt"').decode())
    assert header.params["name"] == "größe 1.txt"
    assert str(make("Subject", encode("Subject", "Grüße an alle").decode())) == "Grüße an alle"


@each(
    ("name", "text"),
    [
        ("From", "jü@x.example"),
        ("To", "J <j@ü.example>"),
        ("To", "<@ü:a@x>"),
        ("Reply-To", "Jürgen"),
        ("Cc", '"Jü" a@x'),
        ("Date", "heute, 5. März"),
        ("Message-ID", "<ü@x>"),
        ("Content-Type", "text/plain; ü=a"),
        ("Content-Type", "text/ü"),
        ("Content-Type", "text/plain; x*=ü"),
    ],
)
def test_where_there_is_no_place_for_it(name: str, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"{name} has no place for what is not ASCII there"):
        encode(name, text)


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode("Subject", "a\ud800")


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ["ü(", "ü<", 'ü"', 'ü "', "ü.", "ü:", '"\\', "(", "\\(", "ü,", "ü ", "(\\)", "=?", "=?a?q?x?= "]
)
def test_time_grows_with_length_only(piece: str) -> None:
    """With what makes the standard library take a minute. Growth is measured, not time."""

    def cost(count: int) -> float:
        text = "ü" + piece * count
        start = time.process_time()
        for name in ("To", "Subject", "Content-Type"):
            decode(text.encode(), name)
            try:
                encode(name, text)
            except LocalProtocolError:
                continue
        return time.process_time() - start

    little = min(cost(1_000) for _ in range(5))
    assert any(cost(16_000) / little < 80 for _ in range(3))


def test_a_message_is_parsed() -> None:
    message = mime.parse(b"Subject: =?utf-8?q?=C3=BC?=\r\nTo: A <a@x>\r\n\r\nbody\r\n")
    assert isinstance(message, EmailMessage)
    assert message["subject"] == "ü"
    assert message["to"].addresses[0].addr_spec == "a@x"
    assert message.get_content() == "body\r\n"


def test_a_field_that_cannot_be_taken_apart_reads_as_empty() -> None:
    broken = b"To: " + b"(" * 5_000 + b"\r\nSubject: x\r\n\r\n"
    with pytest.raises(RecursionError):
        email.message_from_bytes(broken, policy=email.policy.default)["to"]
    message = mime.parse(broken)
    assert (message["to"], message["subject"]) == ("", "x")
    assert message["to"].addresses == ()


def test_what_a_rule_sets_is_never_dropped() -> None:
    many = ", ".join(["a@x.example"] * 2_000)
    message = mime.parse(b"To: x\r\n\r\n")
    message.replace_header("To", many)
    assert mime.serialise(message).count(b"a@x.example") == 2_000
    assert len(message["To"].addresses) == 2_000


def test_a_long_structured_field_reads_as_empty() -> None:
    many = ", ".join(["a@x.example"] * 2_000)
    message = mime.parse(f"To: {many}\r\nX-Long: {many}\r\n\r\n".encode())
    assert message["to"] == ""
    assert message["x-long"] == many


@pytest.mark.slow
def test_parts_in_parts_in_parts_do_not_raise() -> None:
    nested = [b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(1_200)]
    data = b"Subject: x\r\n" + b"".join(nested)
    assert mime.parse(data)["subject"] == "x"


def test_a_message_whose_parts_cannot_be_found_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise RecursionError

    monkeypatch.setattr(email, "message_from_bytes", fail)
    message = mime.parse(
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b--\r\n"
    )
    assert message["subject"] == "x"
    assert not message.is_multipart()
    assert message.get_payload() == "--b\r\n\r\na\r\n--b--\r\n"


def test_a_message_is_written() -> None:
    message = EmailMessage()
    message["Subject"] = "ü"
    message.set_content("ä\n", cte="8bit")
    written = mime.serialise(message)
    assert b"Subject: =?utf-8?q?=C3=BC?=\r\n" in written
    assert written.endswith(b"\r\n\r\n" + "ä\r\n".encode())
    assert written.replace(b"\r\n", b"").count(b"\n") == 0
    assert b"Subject: \xc3\xbc\r\n" in mime.serialise(message, utf8=True)


def test_what_was_read_is_written_as_it_was() -> None:
    data = b"X-Long: " + b"word " * 50 + b"\r\nSubject: x\r\n\r\nbody\r\n"
    assert mime.serialise(mime.parse(data)) == data


def test_what_cannot_be_written_is_refused() -> None:
    message = EmailMessage()
    message.set_payload("\ud800")
    with pytest.raises(LocalProtocolError, match="the message cannot be written: "):
        mime.serialise(message)
    no_message: Any = "Subject: x"
    with pytest.raises(LocalProtocolError, match="an EmailMessage or bytes, not str"):
        mime.serialise(no_message)


def test_a_message_of_the_old_kind_will_do() -> None:
    old = Message()
    old["Subject"] = "x"
    old.set_payload("a\nb\n")
    assert mime.serialise(old) == b"Subject: x\r\n\r\na\r\nb\r\n"


@given(
    st.lists(
        st.sampled_from(
            [b"a", b" ", b"\t", b"=", b"?", b"=?", b'"', b"\\", b"<b@c>", b"(", b",", b";x=", b"%41", b"~"]
        )
    ),
    st.sampled_from(["", "Subject", "From", "Content-Type", "Content-Disposition"]),
)
def test_ordinary_values_are_what_they_are(parts: list[bytes], name: str) -> None:
    value = b"".join(parts)
    assert mime.decode(value, name) == "".join(piece.text for piece in mime._pieces(value, name)).strip(" \t")
