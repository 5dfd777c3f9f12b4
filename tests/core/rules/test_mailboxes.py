"""Lists of mailboxes: what all readers find in them, and what is not clear."""

from __future__ import annotations

import time

import pytest
from each import each
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_smtp.rules.mailboxes import MailboxList, NamedMailbox, read_mailboxes, written

ANN, BOB = "ann@example.com", "bob@x.example"


def read(*values: str) -> MailboxList:
    return read_mailboxes(value.encode("utf-8", "surrogateescape") for value in values)


@each(
    ("value", "name"),
    [
        (" ann@example.com", ""),
        ("<ann@example.com>", ""),
        ("< ann@example.com >", ""),
        ("Ann <ann@example.com>", "Ann"),
        ("Ann<ann@example.com>", "Ann"),
        ("Ann\r\n <ann@example.com>\r\n", "Ann"),
        ('"Smith, Ann" <ann@example.com>', "Smith, Ann"),
        ('"Ann \\"A\\" S" <ann@example.com>', 'Ann "A" S'),
        ('"Ann @ home" <ann@example.com>', "Ann @ home"),
        ('"bob@x.example" <ann@example.com>', "bob@x.example"),
        ("ann@example.com <ann@example.com>", "ann@example.com"),
        ("ANN@example.com <ann@example.com>", "ANN@example.com"),
        ("Ann <ann@example.com> (Sales)", "Ann (Sales)"),
        ("Ann Smith (Jira) <ann@example.com>", "Ann Smith (Jira)"),
        ("Ann () <ann@example.com>", "Ann"),
        ("Smith (Sales), Ann <ann@example.com>", "Smith (Sales), Ann"),
        ("[Support] Ann <ann@example.com>", "[Support] Ann"),
        ("Smith, Ann <ann@example.com>", "Smith, Ann"),
        ('"Smith", Ann <ann@example.com>', "Smith, Ann"),
        ("Smith, ann@example.com", "Smith"),
        ("EXAMPLE\\ann <ann@example.com>", "EXAMPLE\\ann"),
        ("(Ann) ann@example.com", "Ann"),
        ("ann@example.com (Ann)", "Ann"),
        ("ann@example.com (ann@example.com)", "ann@example.com"),
        ("Ann Q. Smith <ann@example.com>", "Ann Q. Smith"),
        ("Sales: ann@example.com;", ""),
        ("Sales: Ann <ann@example.com>;", "Ann"),
        ("=?utf-8?q?J=C3=BCrgen?= <ann@example.com>", "Jürgen"),
        ('"=?utf-8?q?J=C3=BCrgen?=" <ann@example.com>', "Jürgen"),
        ("=?utf-8?q?M=2C_A?= =?utf-8?b?bm4=?= <ann@example.com>", "M, Ann"),
        ("=?utf-8?q?ann=40example.com?= <ann@example.com>", "ann@example.com"),
        ("Jürgen <ann@example.com>", "Jürgen"),
        ("J\udcfcrgen <ann@example.com>", "Jürgen"),
        ("ann@example.com,", ""),
    ],
)
def test_one_mailbox_that_all_readers_find(value: str, name: str) -> None:
    found = read(value)
    assert found.found == (NamedMailbox(name, ANN),)
    assert found.clear


@pytest.mark.parametrize(
    "value",
    [
        "ann@example.com, Bob <bob@x.example>",
        "Team: ann@example.com, bob@x.example;",
        "ann@example.com; bob@x.example",
        "<ann@example.com>, (Bob) bob@x.example",
    ],
)
def test_several_mailboxes(value: str) -> None:
    found = read(value)
    assert [each.address for each in found.found] == [ANN, BOB]
    assert found.clear


def test_several_fields() -> None:
    found = read(ANN, BOB)
    assert [each.address for each in found.found] == [ANN, BOB]
    assert read() == MailboxList((), True)


@each(
    "value",
    [
        "bob@x.example <ann@example.com>",
        "Ann bob@x.example <ann@example.com>",
        '"bob@x.example" ann@example.com',
        '"bob@x.example""" <ann@example.com>',
        '"bob@x.example" Bob <ann@example.com>',
        '"x"ann@example.com',
        "Ann ann@example.com",
        "ann@example.com Sales",
        "ann@example.com Sales <ann@example.com>",
        "<bob@x.example> <ann@example.com>",
        "Ann <ann@example.com> Sales",
        "Ann <ann@example.com> bob@x.example",
        "Ann <ann@example.com> (bob@x.example)",
        'Ann <ann@example.com> ("x")',
        "(bob@x.example) ann@example.com",
        "(bob@x.example)",
        "(Ann (A)) ann@example.com",
        "(Ann ann@example.com",
        '"Ann <ann@example.com>',
        "Ann <ann@example.com",
        "Ann > <ann@example.com>",
        ") ann@example.com",
        "Ann <@relay.example:ann@example.com>",
        "Ann <ann(x)@example.com>",
        "Ann <ann@example.com(x)>",
        "Ann <ann @example.com>",
        'Ann <"ann"@example.com>',
        "Ann <ann@[192.0.2.1]>",
        "Ann <ann>",
        "Ann <>",
        "ann@bob@example.com",
        "\\<ann@example.com>",
        "Ann\\ <ann@example.com>",
        '"x\\" <bob@x.example>, \\"y" <ann@example.com>',
        "=?utf-8?q?bob=40x.example?= <ann@example.com>",
        "=?utf-8?q?=3Cbob=3E?= <ann@example.com>",
        "=?utf-8?q?x <ann@example.com>",
        "=?utf-8?q?=61nn?=@example.com",
        '"=?utf-8?q?bob=40x.example?=" <ann@example.com>',
        "ann@example.com (=?utf-8?q?bob=40x.example?=)",
        "Sales: ann@example.com",
        "a: b: ann@example.com;",
        "bob@x.example: ann@example.com;",
        '"bob@x.example": ann@example.com;',
        "<bob@x.example>: ann@example.com;",
        '"bob@x.example", ann@example.com',
        "bob@x.example Bob, ann@example.com",
        "Ann\x1b[31m <ann@example.com>",
        "Ann\0 <ann@example.com>",
        "ann@exam\u00adple.com",
        "ann@example.com\u2003x",
        "nobody",
        "=?utf-8?q?x?=@example.com <ann@example.com>",
    ],
)
def test_what_is_not_clear(value: str) -> None:
    assert not read(value).clear


@each(
    ("value", "name", "address"),
    [
        ('"Ann <bob@x.example>', "Ann", BOB),
        ("Bob Smith bob@x.example", "Bob Smith", BOB),
        ("Bob <@relay.example:bob@x.example>", "Bob", BOB),
        ("Bob <bob@x.example", "Bob", BOB),
        ("nobody at all", "nobody at all", ""),
        ("root (Cron Daemon)", "root (Cron Daemon)", ""),
        ("Re: Bob <bob@x.example>", "Re: Bob", BOB),
        ("Support: <bob@x.example>", "Support", BOB),
        ("Smith, Bob", "Smith, Bob", ""),
        ("Bob <bob>", "Bob", "bob"),
        ("@@", "", "@@"),
    ],
)
def test_the_best_guess(value: str, name: str, address: str) -> None:
    """For a rule that writes the field anew: the whole name stays."""
    found = read(value)
    assert not found.clear
    assert found.found[0] == NamedMailbox(name, address)


@pytest.mark.parametrize("value", ["", " ", "undisclosed:;", "(nobody)", ",", ";"])
def test_nobody(value: str) -> None:
    assert read(value).found == ()


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("", b"ann@example.com"),
        ("Ann", b'"Ann" <ann@example.com>'),
        ('Smith, "Ann" \\', b'"Smith, \\"Ann\\" \\\\" <ann@example.com>'),
        ("a\r\nb\x1b", b'"a  b" <ann@example.com>'),
        ("Jürgen", b"=?utf-8?b?SsO8cmdlbg==?= <ann@example.com>"),
        ("=?utf-8?q?x?=", b"=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <ann@example.com>"),
    ],
)
def test_how_a_mailbox_is_written(name: str, octets: bytes) -> None:
    assert written(NamedMailbox(name, ANN)) == octets


def test_names_in_utf8() -> None:
    assert written(NamedMailbox("Jürgen", ANN), utf8=True) == '"Jürgen" <ann@example.com>'.encode()
    assert b"=?utf-8?" in written(NamedMailbox("Jürgen =?", ANN), utf8=True)


@given(st.text(st.characters(blacklist_categories=("C", "Z")) | st.sampled_from(' "\\,;:()')))
@example("a" + "ü" * 60)
@example("aa" + "€" * 60)
def test_what_is_written_is_read_again(name: str) -> None:
    name = " ".join(name.split())
    for utf8 in (False, True):
        octets = written(NamedMailbox(name, ANN), utf8=utf8)
        assert utf8 or octets.isascii()
        assert max(map(len, octets.split(b" "))) < 998
        assert read_mailboxes([octets]).found == (NamedMailbox(name, ANN),)


@given(st.lists(st.sampled_from([*'ab@<>,;:"()\\ .=?\té\x1b', "=?utf-8?q?", "?=", ANN, BOB])))
def test_any_text_is_read(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = read(text)
    if found.clear:
        assert all(each.address.count("@") == 1 for each in found.found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", ['"', '\\"', "(", "((", "<", "<a@b", "a@b ", ",", ":", ";", "=?", "a@b <", '"a', "\\"]
)
def test_time_grows_with_length(piece: str) -> None:
    value = piece.encode() * (100_000 // len(piece))
    began = time.process_time()
    read_mailboxes([value])
    assert time.process_time() - began < 3
