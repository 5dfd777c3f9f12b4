"""ready:allow_list"""

from __future__ import annotations

import pytest
from each import each
from harness import configured, mistakes

from sansio_smtp import Addresses, Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Reject
from sansio_smtp.testing import session
from trio_proxy.ready.allow_list import AllowList

REFUSAL = Reject(550, "5.7.1 not on the list of allowed addresses")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("ann@example.com", True),
        ("ANN@Example.COM", True),
        ("ann@sub.example.com", False),
        ("ann@example.com.evil.example", False),
        ("ann@example.org", False),
        ("Postmaster", True),
        ("postmaster@evil.example", False),
        ("a1@two.example", True),
        ("a12@two.example", False),
        ("ann@[192.0.2.1]", True),
        ('"x@example.com"@evil.example', False),
    ],
)
def test_recipients_that_no_pattern_fits_are_refused(address: str, allowed: bool) -> None:
    s = session(AllowList(("*@EXAMPLE.com", "postmaster", "a?@two.example", "*@[192.0.2.1]")))
    s.mail("anyone@evil.example")
    assert s.rcpt(address) == (None if allowed else REFUSAL)
    assert s.reply is not None
    assert s.reply.code == (250 if allowed else 550)


@pytest.mark.parametrize(
    ("sender", "senders", "allowed"),
    [
        ("ann@example.com", ("*@example.com",), True),
        ("ann@evil.example", ("*@example.com",), False),
        ("", ("*@example.com",), False),
        ("", ("*@example.com", "<>"), True),
        ("", ("*",), True),
    ],
)
def test_senders_may_be_limited_too(sender: str, senders: tuple[str, ...], allowed: bool) -> None:
    s = session(AllowList(("*",), senders))
    assert s.mail(sender) == (None if allowed else REFUSAL)


def test_only_who_is_allowed_gets_the_message() -> None:
    s = configured(
        """
        [rules.allow_list]
        recipients = ["*@example.com"]
        text = "5.7.1 write to example.com"
        code = 554
        """
    )
    s.mail("ann@example.com")
    s.rcpt("bob@example.com")
    assert s.rcpt("eve@evil.example") == Reject(554, "5.7.1 write to example.com")
    s.message(b"Subject: hi\n\nhello\n")
    assert [message.recipients for message in s.delivered] == [("bob@example.com",)]


def test_a_reply_that_cannot_be_said_is_found_at_once() -> None:
    with pytest.raises(LocalProtocolError, match="5xx"):
        AllowList(("*",), code=250)
    with pytest.raises(LocalProtocolError, match="CR, LF"):
        AllowList(("*",), text="5.7.1 no\r\n250 yes")
    assert "Reject: the reply code is an int, 5xx, not 450" in mistakes(
        "[rules.allow_list]\nrecipients = []\ncode = 450"
    )
    assert 'missing key "recipients"' in mistakes("[rules.allow_list]\n")


@each(
    "path",
    [
        "bob@evil.example(@example.com",
        "bob@evil.example(x)@example.com",
        "bob@evil.example\\@example.com",
        "bob@evil.example.@example.com",
        "bob@evil.example@example.com",
        "bob @example.com",
        "bob@example.com.",
    ],
)
@each("addresses", Addresses)
def test_what_can_be_read_in_two_ways_is_on_no_list(path: str, addresses: Addresses) -> None:
    s = session(AllowList(("*",)), config=Config(addresses=addresses))
    s.mail("ann@example.com")
    s.rcpt(path)
    assert str(s.reply).startswith("501 5.1.3" if addresses is Addresses.STRICT else "550 5.7.1")
    s = session(AllowList(("*",), ("*",)), config=Config(addresses=addresses))
    s.mail(path)
    assert str(s.reply).startswith("501 5.1.7" if addresses is Addresses.STRICT else "550 5.7.1")


@pytest.mark.parametrize(
    "path",
    [
        "bob%evil.example@example.com",
        "evil.example!bob@example.com",
        '"bob@evil.example"@example.com',
        '"bob%evil.example"@example.com',
        '"b\\ob%evil.example"@example.com',
        "@evil.example:bob@example.com",
        '"@evil.example:bob"@example.com',
    ],
)
def test_what_the_server_may_send_on_is_on_no_list(path: str) -> None:
    s = session(AllowList(("*@example.com",), ("*@example.com",)))
    assert s.mail(path) == REFUSAL
    s.mail("ann@example.com")
    assert s.rcpt(path) == REFUSAL
    s = session(AllowList(("*@example.com",), ("*@example.com",), routing=True))
    assert s.mail(path) is None
    assert s.rcpt(path) is None
    assert s.ok


@pytest.mark.parametrize("path", ['"bob"@example.com', '"b\\ob"@EXAMPLE.com', "BOB@Example.Com"])
def test_a_mailbox_is_the_same_in_all_its_spellings(path: str) -> None:
    s = session(AllowList(("Bob@example.com.",)))
    s.mail("ann@example.com")
    assert s.rcpt(path) is None
    assert s.servers[0][1].commands[-1] == f"RCPT TO:<{path}>".encode(), "as the client has sent it"


def test_a_pattern_that_can_fit_nothing_is_found_at_once() -> None:
    assert '"example.com" fits no address' in mistakes('[rules.allow_list]\nrecipients = ["example.com"]')
    assert '"@x" fits no address' in mistakes('[rules.allow_list]\nrecipients = []\nsenders = ["@x"]')


@pytest.mark.parametrize("sender", ["ann%x@example.com", "x!ann@example.com", "@x.example:ann@example.com"])
def test_anybody_may_send_in_any_way_if_senders_are_not_limited(sender: str) -> None:
    for senders, code in ((("*",), 250), (("*@example.com",), 550)):
        s = session(AllowList(("*@example.com",), senders))
        s.command(f"MAIL FROM:<{sender}>")
        assert s.reply is not None
        assert s.reply.code == code


@pytest.mark.parametrize(
    ("patterns", "limits"),
    [
        *((("*",), False), (("*@*",), False), (("**",), False), (("*.*", "<>"), False)),
        *((("*@example.com",), True), (("*@*.example",), True), (("postmaster",), True)),
    ],
)
def test_a_list_on_which_everybody_is_limits_nothing(patterns: tuple[str, ...], limits: bool) -> None:
    assert AllowList(patterns).limits_recipients == limits
