"""The strict reader of paths: what it takes, the mailbox that it reads, and what it says of the rest."""

from __future__ import annotations

import pytest
from each import each
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.errors import MailboxError
from sansio_smtp.wire.paths import (
    NOBODY,
    USUAL,
    Mailbox,
    guessed_mailbox,
    is_parameter,
    local_of,
    parse_mailbox,
    quoted,
    read_path,
)


def to(argument: str, *, utf8: bool = False) -> Mailbox:
    return read_path(argument.encode("utf-8", "surrogateescape"), forward=True, utf8=utf8)


@each(
    ("argument", "address"),
    [
        ("TO:<bob@example.com>", "bob@example.com"),
        ("to:<Bob@Example.COM>", "Bob@example.com"),
        ("TO: \t<bob@example.com>  ", "bob@example.com"),
        ("TO:bob@example.com", "bob@example.com"),
        ("TO:bob@example.com NOTIFY=NEVER", "bob@example.com"),
        ("TO:<bob@example.com> NOTIFY=NEVER  ORCPT=rfc822;bob+40x X-1", "bob@example.com"),
        ('TO:<"bob"@example.com>', "bob@example.com"),
        ('TO:<"b\\ob"@example.com>', "bob@example.com"),
        ('TO:<"bob jones"@example.com>', '"bob jones"@example.com'),
        ('TO:<"b\\"o\\\\b>"@example.com>', '"b\\"o\\\\b>"@example.com'),
        ('TO:<"b(o)b@x"@example.com>', '"b(o)b@x"@example.com'),
        ("TO:<b!o#$%&'*+-/=?^_`{|}~@example.com>", "b!o#$%&'*+-/=?^_`{|}~@example.com"),
        ("TO:<a.b.c@example.com>", "a.b.c@example.com"),
        ("TO:<@a.example,@b.example:bob@example.com>", "bob@example.com"),
        ("TO:<bob@[192.0.2.1]>", "bob@[192.0.2.1]"),
        ("TO:bob@[IPv6:2001:DB8::1]", "bob@[ipv6:2001:db8::1]"),
        ("TO:<Postmaster>", "postmaster"),
        (f"TO:<{'a' * 242}@example.com>", f"{'a' * 242}@example.com"),
    ],
)
def test_what_is_taken(argument: str, address: str) -> None:
    mailbox = to(argument)
    assert mailbox.address == address
    assert to(f"TO:<{mailbox.address}>") == mailbox
    assert parse_mailbox(mailbox.address) == mailbox


@each(
    ("argument", "why"),
    [
        ("", "write RCPT TO:"),
        ("FROM:<bob@x>", "write RCPT TO:"),
        ("TO :<bob@x>", "write RCPT TO:"),
        ("<bob@x>", "write RCPT TO:"),
        ("TO:", "no path"),
        ("TO:<>", "recipient is empty"),
        ("TO:<bob>", "no domain"),
        ("TO:postmaster", "not <local-part@domain>"),
        ("TO:<bob@x", "no closing bracket"),
        ("TO:bob@x>", "no parameter"),
        ("TO:bob>", "no opening bracket"),
        ("TO:<bob@evil.example(@example.com>", "comment"),
        ("TO:<bob@evil.example(x)@example.com>", "comment"),
        ("TO:<(x)bob@example.com>", "comment"),
        ("TO:<bob@example.com(x)>", "comment"),
        ("TO:<bob @example.com>", "blank"),
        ("TO:<bob@example.com >", "blank"),
        ("TO:< bob@example.com>", "blank"),
        ("TO:<bob\t@example.com>", "blank"),
        ("TO:<b\\ob@example.com>", "escape"),
        ("TO:<bob@evil.example\\@example.com>", "escape"),
        ('TO:<bob@"example.com">', "domain is quoted"),
        ("TO:<bob@evil.example@example.com>", "not <local-part@domain>"),
        ("TO:<bob@a,eve@b>", "not <local-part@domain>"),
        ("TO:<bob@a;eve@b>", "not <local-part@domain>"),
        ("TO:<Bob:bob@a;>", "not <local-part@domain>"),
        ('TO:"bob"@example.com', "not <local-part@domain>"),
        ("TO:@a:bob@example.com", "not <local-part@domain>"),
        ('TO:<"bob"x@example.com>', "not <local-part@domain>"),
        ('TO:<a."b"@example.com>', "not <local-part@domain>"),
        ('TO:<"bob@example.com>', "not <local-part@domain>"),
        ('TO:<"b\\\x07"@example.com>', "control character"),
        ("TO:<b\0b@example.com>", "control character"),
        ("TO:<b\x7fb@example.com>", "control character"),
        ("TO:<@a;@b:bob@example.com>", "not <local-part@domain>"),
        ("TO:<@-:bob@example.com>", "begins or ends in -"),
        ("TO:<.bob@example.com>", "local-part begins or ends with a dot"),
        ("TO:<bob.@example.com>", "local-part begins or ends with a dot"),
        ("TO:<b..b@example.com>", "local-part begins or ends with a dot"),
        ('TO:<""@example.com>', "local-part is empty"),
        ("TO:<@example.com>", "not <local-part@domain>"),
        ("TO:<bob@>", "not <local-part@domain>"),
        ("TO:<bob@example.com.>", "empty label"),
        ("TO:<bob@example.com><eve@example.com>", "no parameter"),
        ("TO:<bob@example.com> <eve@example.com>", "no parameter"),
        ("TO:<bob@example.com>, <eve@example.com>", "no parameter"),
        ("TO:<bob@example.com>X", "no parameter"),
        ("TO:<bob@example.com> X=", "no parameter"),
        ("TO:<bob@example.com> =1", "no parameter"),
        ("TO:<bob@example.com> X=\x01", "no parameter"),
        ("TO:bob@example.com eve@example.com", "no parameter"),
        (f"TO:<{'a' * 243}@example.com>", "longer than 256"),
        ("TO:<böb@example.com>", "not in ASCII"),
        ("TO:<bob@bücher.example>", "not in ASCII"),
        ("TO:<bob@example.com> X=ü", "not in ASCII"),
        ("TO:<b\udcffb@example.com>", "not in UTF-8"),
    ],
)
def test_what_is_not_taken(argument: str, why: str) -> None:
    with pytest.raises(MailboxError, match=why):
        to(argument)


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("TO:<jürgen@example.com>", "jürgen@example.com"),
        ("TO:<jürgen@BÜCHER.example>", "jürgen@xn--bcher-kva.example"),
        ('TO:<"jürgen k"@example.com>', '"jürgen k"@example.com'),
        ('TO:<"jürgen"@example.com> ORCPT=utf-8;jürgen', "jürgen@example.com"),
        ("TO:<用户@例え.テスト>", "用户@xn--r8jz45g.xn--zckzah"),
    ],
)
def test_beyond_ascii(argument: str, address: str) -> None:
    assert to(argument, utf8=True).address == address
    assert to(f"TO:<{address}>", utf8=True).address == address


@each(
    ("argument", "why"),
    [
        ("TO:<ju\u0308rgen@example.com>", "different ways"),
        ("TO:<bob\uff20evil.example@example.com>", "different ways"),
        ("TO:<bob\uff05evil.example@example.com>", "different ways"),
        ("TO:<b\u200bob@example.com>", "different ways"),
        ("TO:<b\u202eob@example.com>", "different ways"),
        ("TO:<b\u00a0b@example.com>", "different ways"),
        ('TO:<"b\u0085b"@example.com>', "different ways"),
        ('TO:<"b\\ü"@example.com>', "escape outside|not <local-part"),
        ("TO:<po\u017ftmaster>", "no domain"),
        ("TO:<bob@example.com> X=a\u2028b", "no parameter"),
    ],
)
def test_beyond_ascii_there_is_one_spelling(argument: str, why: str) -> None:
    with pytest.raises(MailboxError, match=why):
        to(argument, utf8=True)


def test_a_reverse_path() -> None:
    assert read_path(b"FROM:<> SIZE=1", forward=False, utf8=False) is NOBODY
    assert (NOBODY.address, NOBODY.routes) == ("", False)
    assert read_path(b"from: ann@me.example", forward=False, utf8=False) == Mailbox("ann", "me.example")
    for argument, why in (("FROM:<postmaster>", "no domain"), ("TO:<a@b>", "write MAIL FROM:")):
        with pytest.raises(MailboxError, match=why):
            read_path(argument.encode(), forward=False, utf8=False)


@each(
    ("argument", "routes"),
    [
        ("TO:<bob@x>", False),
        ("TO:<bob%evil.example@x>", True),
        ("TO:<evil.example!bob@x>", True),
        ('TO:<"bob@evil.example"@x>', True),
        ('TO:<"bob%evil.example"@x>', True),
        ('TO:<"@evil.example:bob"@x>', True),
        ("TO:<@evil.example:bob@x>", True),
        ("TO:<bob+evil@x>", False),
        ("TO:<|cat@x>", False),
        ("TO:</etc/passwd@x>", False),
        ("TO:<postmaster>", False),
    ],
)
def test_what_routes(argument: str, routes: bool) -> None:
    assert to(argument).routes == routes


def test_a_source_route_is_no_part_of_the_mailbox() -> None:
    assert to("TO:<@a:bob@x>") == to("TO:<bob@x>")


@each(
    ("text", "why"),
    [
        ("", "no domain"),
        ("bob", "no domain"),
        ("<bob@x>", "closing bracket|not <local-part"),
        ("@a:bob@x", "not <local-part"),
        ("bob@x NOTIFY=NEVER", "blank"),
        ("bob@x\r\nDATA", "control character"),
        ("bob@x.", "empty label"),
        (f"{'a' * 243}@example.com", "longer than 254"),
        ("b\udcff@x", "different ways"),
    ],
)
def test_a_mailbox_by_itself(text: str, why: str) -> None:
    with pytest.raises(MailboxError, match=why):
        parse_mailbox(text)


def test_what_settings_name() -> None:
    assert parse_mailbox("PostMaster") == Mailbox("postmaster", "")
    assert parse_mailbox('"bob"@BÜCHER.example').address == "bob@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("text", "local"),
    [("bob", "bob"), ('"bob"', "bob"), ('"b\\"b"', 'b"b'), ("b.b", "b.b"), ('"b b"', "b b")],
)
def test_a_local_part(text: str, local: str) -> None:
    assert local_of(text) == local
    assert local_of(quoted(local)) == local


@each("text", ["", ".b", "b.", '"b', '"b"b"', "b b", '""', "b@b"])
def test_no_local_part(text: str) -> None:
    with pytest.raises(MailboxError):
        local_of(text)


@each(
    ("word", "right"),
    [
        *(("SIZE=1", True), ("BODY", True), ("XVERP=+=", True), ("ORCPT=rfc822;a=b@c", True)),
        *(("=1", False), ("X=", False), ("<a@b>", False), ("", False)),
    ],
)
def test_parameters(word: str, right: bool) -> None:
    assert is_parameter(word) == right


@each(
    ("text", "address", "routes"),
    [
        ("bob@evil.example(@example.com", "bob@evil.example", False),
        ("bob@evil.example(x)@example.com", '"bob@evil.example"@example.com', True),
        ("bob@evil.example\\@example.com", '"bob@evil.example"@example.com', True),
        ("bob@evil.example.@example.com", '"bob@evil.example."@example.com', True),
        ("b\\oss@example.com", "boss@example.com", False),
        ("boss @ Example.com.", "boss@example.com", False),
        ("boss@example.com(x (y) z\\))", "boss@example.com", False),
        ('boss@"example.com"', "boss@example.com", False),
        ('"b\\"o ss"@x', '"b\\"o ss"@x', False),
        ("@a,@b:boss@example.com", "boss@example.com", True),
        ("@example.com", "@example.com", False),
        ("boss", "boss", False),
        ("boss@exam_ple..com", "boss@exam_ple..com", False),
        ("", "", False),
        ("\\", "", False),
    ],
)
def test_the_best_guess(text: str, address: str, routes: bool) -> None:
    guess = guessed_mailbox(text)
    assert (guess.address, guess.routes) == (address, routes)


@given(st.text(st.sampled_from('ab.@"\\(),:<> \té'), max_size=14))
def test_a_guess_never_raises_and_is_right_about_what_is_clear(text: str) -> None:
    guess = guessed_mailbox(text)
    try:
        mailbox = parse_mailbox(text)
    except MailboxError:
        return
    assert guess == mailbox


# The usual path

_WORDS = [
    "a",
    "Bob",
    "a.b",
    "a..b",
    ".a",
    "-",
    "a-",
    "x_y",
    "9",
    "b1",
    "ex",
    "xn--a",
    "a" * 63,
    "a" * 64,
    "a" * 200,
]
_MARKS = ["@", "@", ".", "<", ">", " ", ":", '"', "\\", "(", "[", "%", "!", "\t", "é", "\0", "\n", ","]
_TAILS = [
    "",
    " ",
    " SIZE=7",
    " SIZE=7 BODY=8BITMIME",
    "  A",
    " A\tB",
    " A=",
    " =B",
    " A=\x7f",
    " A=é",
    " -A",
    "x",
]


@given(st.data())
def test_a_usual_path_is_read_as_every_path(data: st.DataObject) -> None:
    """In one search; it says nothing of others."""
    parts = data.draw(st.lists(st.sampled_from([*_WORDS, *_MARKS]), max_size=6))
    usual = "@".join(
        [".".join(data.draw(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=3))) for _ in "ab"]
    )
    path = data.draw(st.sampled_from(["".join(parts), usual]))
    forward = data.draw(st.booleans())
    keyword = data.draw(st.sampled_from(["TO:", "to:", "FROM:", "TO: ", "TO:\t"]))
    line = f"{'RCPT' if forward else 'MAIL'} {keyword}<{path}>{data.draw(st.sampled_from(_TAILS))}".encode()
    found = USUAL.fullmatch(line)
    try:
        read = read_path(line[5:], forward=forward, utf8=False)
    except MailboxError:
        assert found is None
    else:
        if found is not None:
            assert Mailbox(found[1].decode(), found[2].decode().lower()) == read
            assert not read.has_route


def test_usual_paths() -> None:
    for line in (b"RCPT TO:<bob@example.com>", b"mail from:<B.o-b@Mail.Example.COM> SIZE=7 BODY=8BITMIME"):
        assert USUAL.fullmatch(line) is not None
    longest = b"RCPT TO:<" + b"a" * 244 + b"@mx.exampl>"
    assert USUAL.fullmatch(longest.replace(b"mx.", b"m.")) is not None
    for line in (
        b"MAIL FROM:<>",
        b"RCPT TO:<postmaster>",
        b"RCPT TO:bob@mx",
        b"MAIL TO:<bob@mx>",
        longest + b"e>",
    ):
        assert USUAL.fullmatch(line) is None
