"""ready:match_login"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

import pytest
from each import each
from harness import configured, mistakes, sent
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.config import Addresses, Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Connection, Headers, Reject, Transaction
from sansio_smtp.testing import session
from trio_proxy.ready.match_login import MatchLogin

OWN = "ann@example.com"
UNREAD = Reject(550, "5.7.0 who has logged in cannot be read, so no address can be its own")


def edited(section: bytes, rule: MatchLogin | None = None, login: str | None = OWN) -> bytes:
    headers = Headers(section)
    assert (rule or MatchLogin()).headers(Transaction(Connection(login=login)), headers) is None
    return headers.raw


def refused(section: bytes, rule: MatchLogin | None = None) -> bool:
    headers = Headers(section)
    verdict = (rule or MatchLogin("refuse")).headers(Transaction(Connection(login=OWN)), headers)
    assert verdict is None or (isinstance(verdict, Reject) and verdict.code == 553)
    assert headers.raw == section
    return verdict is not None


@each(
    ("field", "expected"),
    [
        (b"From: ann@example.com\r\n", b"From: ann@example.com\r\n"),
        (b"From:  Ann <ANN@Example.com> \r\n", b"From:  Ann <ANN@Example.com> \r\n"),
        (
            b"From: Bob <bob@x.example>\r\n",
            b'From: "Bob" <ann@example.com>\r\nReply-To: "Bob" <bob@x.example>\r\n',
        ),
        (
            b"From: bob@x.example\r\n",
            b'From: "bob@x.example" <ann@example.com>\r\nReply-To: bob@x.example\r\n',
        ),
        (
            b"From: bob@x.example (Bob)\r\n",
            b'From: "Bob" <ann@example.com>\r\nReply-To: "Bob" <bob@x.example>\r\n',
        ),
        (
            b'From: "Smith, \\"B\\"" <bob@x.example>\r\n',
            b'From: "Smith, \\"B\\"" <ann@example.com>\r\nReply-To: "Smith, \\"B\\"" <bob@x.example>\r\n',
        ),
        (
            b"From: A <ann@example.com>, B <bob@x.example>\r\n",
            b'From: "A" <ann@example.com>\r\nReply-To: "A" <ann@example.com>, "B" <bob@x.example>\r\n',
        ),
        (
            b"From: Bob <bob@x.example>\r\nReply-To: c@x.example\r\n",
            b'From: "Bob" <ann@example.com>\r\nReply-To: c@x.example\r\n',
        ),
        (
            b"From: ann@example.com\r\nSender: bob@x.example\r\n",
            b"From: ann@example.com\r\n",
        ),
        (
            b"From: Bob <bob@x.example>\r\nSender: ann@example.com\r\n",
            b'From: "Bob" <ann@example.com>\r\nReply-To: "Bob" <bob@x.example>\r\n',
        ),
        (b"From:\r\n", b"From: ann@example.com\r\n"),
        (b"From: undisclosed:;\r\n", b"From: ann@example.com\r\n"),
        (b"From: nobody at all\r\n", None),
        (b"From: =?utf-8?q?=2C\r\n", b"From: =?utf-8?b?PT91dGYtOD9xPz0yQw==?= <ann@example.com>\r\n"),
        (b"From: \\<ann@example.com>\r\n", None),  # what some read as an address that is quoted
        (b"From: x <bob@x.example> <ann@example.com>\r\n", None),
        (b"Subject: hi\r\n", b"Subject: hi\r\n"),
    ],
)
def test_from_becomes_the_login(field: bytes, expected: bytes | None) -> None:
    section = edited(field + b"X: y\r\n\r\n")
    assert section.endswith(b"\r\n\r\n")
    headers = Headers(section)
    if expected is None:
        assert (headers.get("From") or "").endswith("ann@example.com>")
        return
    assert sorted(section.splitlines()) == sorted((expected + b"X: y\r\n\r\n").splitlines())


def test_two_from_fields_become_one() -> None:
    section = edited(b"From: ann@example.com\r\nFrom: bob@x.example\r\n\r\n")
    assert Headers(section).get_all("From") == ["ann@example.com"]
    assert Headers(section).get_all("Reply-To") == ["ann@example.com, bob@x.example"]


def test_a_name_in_encoded_words_stays_a_name() -> None:
    section = edited(b"From: =?utf-8?q?M=C3=BCller=2C_=22x=22_=3Ceve=40x=3E?= <bob@x.example>\r\n\r\n")
    parsed = Headers(section)
    assert section.isascii()
    assert [address for _, address in _addresses(section, "From")] == [OWN]
    assert [address for _, address in _addresses(section, "Reply-To")] == ["bob@x.example"]
    assert "Müller" in (parsed.get("From") or "")


@given(
    st.lists(
        st.sampled_from([*'ab@<>,;:"()\\ .=?_-é', "=?utf-8?q?", "?=", "=2C", "ann@example.com"]), max_size=30
    )
)
def test_whatever_stood_in_from_only_the_login_is_left(pieces: list[str]) -> None:
    section = edited(b"From: " + "".join(pieces).encode() + b"\r\n\r\n")
    assert section.count(b"From:") == 1
    with suppress(AttributeError, IndexError):  # the parser of the standard library does not take everything
        assert {address.lower() for _, address in _addresses(section, "From")} == {OWN}


def test_comments_in_comments_are_a_name_that_fits_into_lines() -> None:
    section = edited(b"From: " + b"(" * 5_000 + b")" * 5_000 + b" bob@x.example\r\n\r\n")
    assert {address for _, address in _addresses(section, "From")} == {OWN}
    assert max(map(len, section.split(b"\r\n"))) < 998


@pytest.mark.parametrize("login", [None, "ann", "EXAMPLE\\ann"])
def test_without_a_login_that_is_an_address_nothing_changes(login: str | None) -> None:
    section = b"From: bob@x.example\r\n\r\n"
    assert edited(section, login=login) == section


def test_logins_that_are_no_addresses_can_be_given_one() -> None:
    rule = MatchLogin(logins={"scanner": "scans@example.com", OWN: "ann.smith@example.com"})
    assert b'From: "bob@x" <scans@example.com>\r\n' in edited(b"From: bob@x\r\n\r\n", rule, "scanner")
    assert b"<ann.smith@example.com>" in edited(b"From: ann@example.com\r\n\r\n", rule)


def test_addresses_may_be_kept() -> None:
    section = b"From: News <1@news.example.com>\r\n\r\n"
    assert edited(section, MatchLogin(keep=("*@NEWS.example.com",))) == section


@pytest.mark.parametrize("login", ["Scanner", "scan\u00adner", "sc\u200banner", " scanner"])
def test_a_login_is_held_to_its_address_however_it_is_spelled(login: str) -> None:
    s = session(MatchLogin("refuse", logins={"SCANNER": "scans@example.com"}), login=login)
    s.mail("ann@example.com")
    assert s.reply is not None
    assert s.reply.code == 553
    s.mail("scans@example.com")
    assert s.ok


def test_logins_that_differ_in_case_may_be_two() -> None:
    rule = MatchLogin("refuse", logins={"scanner": "a@example.com", "Scanner": "b@example.com"})
    for login, own, other in (("scanner", "a", "b"), ("Scanner", "b", "a")):
        s = session(rule, login=login, config=Config(case_sensitive_logins=True))
        s.mail(f"{other}@example.com")
        assert not s.ok
        s.mail(f"{own}@example.com")
        assert s.ok
    s = session(rule, login="scanner")
    assert s.mail("a@example.com") == UNREAD, "one of the two, and nobody knows which"


@pytest.mark.parametrize("mode", ["refuse", "rewrite"])
def test_who_has_logged_in_and_cannot_be_read_is_refused(mode: Literal["refuse", "rewrite"]) -> None:
    rule = MatchLogin(mode, keep=("*@news.example.com",))
    s = session(rule, login_unknown=True)
    assert s.conn.authenticated
    assert s.mail("ann@example.com") == UNREAD
    for sender, content, passes in (
        ("", b"From: ann@example.com\r\n\r\n", False),
        ("1@news.example.com", b"From: ann@example.com\r\n\r\n", False),
        ("1@news.example.com", b"From: \r\n\r\n", False),
        ("1@news.example.com", b"From: 1@news.example.com\r\n\r\n", True),
    ):
        s = session(rule, login_unknown=True)
        assert (sent(s, content, sender=sender) is not None) == passes, (sender, content)


@pytest.mark.parametrize("login", ["ann@", "a b@example.com", "a@b@c", "@example.com"])
def test_a_login_that_is_almost_an_address_is_nobodys(login: str) -> None:
    """A server may read an address of it."""
    assert session(MatchLogin("refuse"), login=login).mail("ann@example.com") == UNREAD


def test_the_envelope_and_the_message_match_the_login() -> None:
    s = configured("[rules.match_login]\nkeep = ['*@news.example.com']", login=OWN)
    content = sent(s, b"From: Bob <bob@x.example>\r\n\r\nhi\r\n", sender="bob@x.example")
    assert content == b'From: "Bob" <ann@example.com>\r\nReply-To: "Bob" <bob@x.example>\r\n\r\nhi\r\n'
    sent(s, sender="1@news.example.com")
    sent(s, sender="")
    assert [message.sender for message in s.delivered] == [OWN, "1@news.example.com", ""]


def test_without_a_login_mail_passes() -> None:
    s = session(MatchLogin())
    assert (
        sent(s, b"From: bob@x.example\r\n\r\nhi\r\n", sender="bob@x.example")
        == b"From: bob@x.example\r\n\r\nhi\r\n"
    )


def test_or_it_is_refused() -> None:
    s = configured("[rules.match_login]\nmode = 'refuse'", login=OWN)
    assert s.mail("bob@x.example") == Reject(553, "5.7.1 the sender is not who has logged in")
    assert sent(s, b"From: bob@x.example\r\n\r\nhi\r\n", sender=OWN) is None
    assert s.reply is not None
    assert (s.reply.code, s.reply.enhanced) == (553, "5.7.1")
    s = session(MatchLogin("refuse"), login=OWN)
    assert sent(s, b"From: Ann <Ann@example.com>\r\n\r\nhi\r\n", sender="ANN@example.com") is not None


@each(
    ("field", "wrong"),
    [
        (b"From: ann@example.com\r\n", False),
        (b"From: bob@x.example\r\n", True),
        (b"From: ann@example.com, bob@x.example\r\n", True),
        (b"From: ann@example.com\r\nFrom: bob@x.example\r\n", True),
        (b"From: ann@example.com\r\nSender: bob@x.example\r\n", True),
        (b"From:\r\n", True),
        (b"From: \\<ann@example.com>\r\n", True),
        (b"From: ann@example.com (Ann)\r\n", False),
        (b'From: "A \\"x\\", B" <ann@example.com> , =?utf-8?q?A?= <ANN@example.com>\r\n', False),
        (b"Subject: hi\r\n", False),
    ],
)
def test_what_is_refused(field: bytes, wrong: bool) -> None:
    assert refused(field + b"\r\n") == wrong


def test_wrong_settings_are_found_at_load() -> None:
    with pytest.raises(LocalProtocolError, match="not an address"):
        MatchLogin(logins={"scanner": "a b"})
    with pytest.raises(ValueError, match="cannot be a login"):
        MatchLogin(logins={"scan\0ner": "a@b"})
    assert "mode" in mistakes("[rules.match_login]\nmode = 'warn'")


def _addresses(section: bytes, name: str) -> list[tuple[str, str]]:
    """As the standard library's other parser reads them, raw: not the one that the rule uses."""
    from email import message_from_bytes
    from email.policy import SMTP

    message = message_from_bytes(section, policy=SMTP)
    return [(a.display_name, a.addr_spec) for field in message.get_all(name, []) for a in field.addresses]


@each(
    ("sender", "kept"),
    [
        ("ann@example.com", True),
        ('"ann"@EXAMPLE.com', True),
        ("any@news.example.com", True),
        ("@evil.example:ann@example.com", False),
        ("eve%evil.example@news.example.com", False),
        ('"eve@evil.example"@news.example.com', False),
        ("ann@example.com(x)", False),
        ("(x)", False),
    ],
)
def test_a_sender_that_may_be_another_is_not_kept(sender: str, kept: bool) -> None:
    rule = MatchLogin(keep=("*@news.example.com",))
    s = session(rule, login="ann@example.com", config=Config(addresses=Addresses.LENIENT))
    s.mail(sender)
    assert s.ok
    sent = s.servers[0][1].commands[-1]
    assert sent == f"MAIL FROM:<{sender if kept else 'ann@example.com'}>".encode()


@pytest.mark.parametrize(
    "line",
    [b"\0From: eve@evil.example", b"\xef\xbb\xbfFrom: eve@evil.example", b"From\x0b: eve@evil.example"],
)
def test_lines_that_some_programs_take_for_from_are_taken_out(line: bytes) -> None:
    s = session(MatchLogin(), login="ann@example.com")
    s.mail("ann@example.com")
    s.rcpt("bob@example.com")
    s.message(b"Subject: x\n" + line + b"\nTo: bob@example.com\n\nhi\n")
    delivered = s.delivered[0].content
    assert line not in delivered
    assert b'From: "eve@evil.example" <ann@example.com>\r\n' in delivered
