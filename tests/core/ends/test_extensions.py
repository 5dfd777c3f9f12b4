from __future__ import annotations

import pytest
from each import each

from sansio_smtp.ends.access import ANYBODY, Access
from sansio_smtp.ends.extensions import OURS, RELAYED, Offer, keywords
from sansio_smtp.wire.replies import Reply


def offer(given: Reply, relay: frozenset[str] = frozenset(), max_size: int | None = None) -> Reply:
    return Offer(relay, max_size).reply(given)


def test_keywords() -> None:
    reply = Reply.of(250, "mx SIZE", "size 10  ", "8bitmime", "AUTH PLAIN LOGIN", "AUTH=LOGIN", "X-\xff y")
    assert keywords(reply) == {
        "SIZE": "10",
        "8BITMIME": "",
        "AUTH": "PLAIN LOGIN",
        "X-\ufffd\ufffd": "y",
    }


def test_keywords_of_one_line() -> None:
    assert keywords(Reply.of(250, "mx PIPELINING")) == {}


def test_the_first_of_two_lines_counts() -> None:
    assert keywords(Reply.of(250, "mx", "SIZE 10", "SIZE 20")) == {"SIZE": "10"}


def test_a_keyword_is_more_than_its_prefix() -> None:
    assert keywords(Reply.of(250, "mx", "SIZES 10", "XPIPELINING")) == {"SIZES": "10", "XPIPELINING": ""}


@each(
    "hidden",
    [
        "STARTTLS",
        "BINARYMIME",
        "BURL imap",
        "XCLIENT NAME ADDR",
        "XFORWARD NAME",
        "ETRN",
        "TURN",
        "ATRN",
        "XEXCH50",
        "X-EXPS GSSAPI",
        "X-ANONYMOUSTLS",
        "starttls",
        "UNKNOWN",
        "",
        "\xa0SIZE",
    ],
)
def test_what_is_not_framed_is_not_offered(hidden: str) -> None:
    """RFC 5321 §4.1.1.1. An unknown keyword may change how octets are cut."""
    reply = offer(Reply.of(250, "mx", hidden, "DSN"))
    assert reply == Reply.of(250, "mx", "DSN", "PIPELINING")


def test_smtputf8_needs_8bitmime() -> None:
    """RFC 6531 §3.1."""
    assert offer(Reply.of(250, "mx", "SMTPUTF8")) == Reply.of(250, "mx", "PIPELINING")
    both = Reply.of(250, "mx", "SMTPUTF8", "8bitmime")
    assert offer(both) == Reply.of(250, "mx", "SMTPUTF8", "8bitmime", "PIPELINING")


@each("keyword", sorted(RELAYED - {"SMTPUTF8"}))
def test_what_is_relayed_keeps_its_octets(keyword: str) -> None:
    line = f"{keyword.lower()}  Some Thing "
    assert offer(Reply.of(250, "mx", line)) == Reply.of(250, "mx", line, "PIPELINING")


def test_old_auth_line_is_relayed() -> None:
    reply = offer(Reply.of(250, "mx", "AUTH LOGIN", "AUTH=LOGIN"))
    assert reply == Reply.of(250, "mx", "AUTH LOGIN", "AUTH=LOGIN", "PIPELINING")


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        (["AUTH=LOGIN PLAIN"], "LOGIN PLAIN"),
        (["AUTH= LOGIN PLAIN"], "LOGIN PLAIN"),
        (["auth=login"], "login"),
        (["AUTH PLAIN LOGIN", "AUTH=LOGIN PLAIN"], "PLAIN LOGIN"),
        (["AUTH=LOGIN", "AUTH CRAM-MD5 LOGIN", "AUTH"], "LOGIN CRAM-MD5"),
        (["AUTH=", "AUTH  PLAIN "], "PLAIN"),
    ],
)
def test_the_mechanisms_of_all_auth_lines_are_known(lines: list[str], mechanisms: str) -> None:
    assert keywords(Reply.of(250, "mx", *lines))["AUTH"] == mechanisms


def test_limits_have_the_smaller_number_of_recipients() -> None:
    given = Reply.of(250, "mx", "LIMITS RCPTMAX=100")
    assert Offer(max_recipients=20).reply(given).lines[1] == b"LIMITS RCPTMAX=20"
    assert Offer(max_recipients=200).reply(given).lines[1] == b"LIMITS RCPTMAX=100"
    assert Offer().reply(given).lines[1] == b"LIMITS RCPTMAX=100"


def test_pipelining_is_ours_and_offered_once() -> None:
    assert offer(Reply.of(250, "mx", "PIPELINING", "pipelining")) == Reply.of(250, "mx", "PIPELINING")
    assert offer(Reply.of(250, "mx")) == Reply.of(250, "mx", "PIPELINING")
    assert offer(Reply.of(250, "mx", "PIPELINING"), frozenset(OURS)) == Reply.of(250, "mx", "PIPELINING")


def test_further_keywords_may_be_relayed() -> None:
    reply = offer(Reply.of(250, "mx", "X-FINE yes", "X-BAD"), frozenset({"X-FINE"}))
    assert reply == Reply.of(250, "mx", "X-FINE yes", "PIPELINING")


def test_code_and_greeting_line_are_the_servers() -> None:
    assert offer(Reply.of(251, b"mx \xff greets")).raw == b"251-mx \xff greets\r\n251 PIPELINING\r\n"


@each(
    ("line", "announced"),
    [
        ("SIZE 99", "SIZE 99"),
        ("size 100", "size 100"),
        ("SIZE 101", "SIZE 100"),
        ("SIZE 0", "SIZE 100"),  # RFC 1870 §4: no fixed limit
        ("SIZE", "SIZE 100"),
        ("SIZE ", "SIZE 100"),
        ("SIZE +5", "SIZE 100"),
        ("SIZE 5_0", "SIZE 100"),
        ("SIZE 5 6", "SIZE 100"),
        ("SIZE ٣", "SIZE 100"),
        ("SIZE " + "9" * 20, "SIZE 100"),
        ("SIZE " + "9" * 5000, "SIZE 100"),  # int() of more than 4300 digits raises
        ("DSN", "SIZE 100"),
    ],
)
def test_the_smaller_size_is_announced(line: str, announced: str) -> None:
    """RFC 1870 §4: ours or the server's; a limit that cannot be read is none."""
    reply = offer(Reply.of(250, "mx", line), max_size=100)
    assert [text for text in reply.lines if text.upper().startswith(b"SIZE")] == [announced.encode()]


def test_size_is_relayed_where_there_is_no_limit_of_ours() -> None:
    for line in ("SIZE 5000000", "SIZE", "SIZE what"):
        assert offer(Reply.of(250, "mx", line)).lines[1] == line.encode()


def test_one_offer_serves_every_server() -> None:
    """It holds what is configured, and nothing of the reply that it was given."""
    ours = Offer(max_size=100)
    assert ours.reply(Reply.of(250, "mx", "SIZE 50")) == Reply.of(250, "mx", "SIZE 50", "PIPELINING")
    assert ours.reply(Reply.of(250, "other")) == Reply.of(250, "other", "PIPELINING", "SIZE 100")


# What the client may do, and TLS that ends here


def offered(*lines: str, access: Access = ANYBODY, **tls: bool) -> list[bytes]:
    return Offer().reply(Reply.of(250, "mx", *lines), access, **tls).lines[1:]


def test_what_was_made_of_a_reply_is_made_once() -> None:
    """Many servers greet each client by its name, and say the same after that."""
    one, other = (Reply.of(250, f"mx greets {name}", "SIZE 10") for name in "ab")
    assert keywords(one) is keywords(other)
    assert [Offer().reply(each).lines for each in (one, other)] == [
        [b"mx greets a", b"SIZE 10", b"PIPELINING"],
        [b"mx greets b", b"SIZE 10", b"PIPELINING"],
    ]


def test_a_long_reply_is_not_kept() -> None:
    """A server must not fill the memory."""
    reply = Reply.of(250, "mx", *(f"X-{number:0100}" for number in range(20)), "DSN")
    assert keywords(reply) is not keywords(reply)
    assert "DSN" in keywords(reply)
    assert offer(reply).lines == [b"mx", b"DSN", b"PIPELINING"]


def test_what_the_proxy_offers_itself() -> None:
    """STARTTLS and XCLIENT concern one connection: the server's are not the client's."""
    access = Access({b"STARTTLS": b"STARTTLS"})
    assert offered("STARTTLS", "XCLIENT NAME", "XFORWARD NAME") == [b"PIPELINING"]
    assert offered("DSN", access=access) == [b"DSN", b"PIPELINING", b"STARTTLS"]


@pytest.mark.parametrize("line", ["AUTH PLAIN", "AUTH=PLAIN"])
def test_no_auth_to_a_client_that_may_not_log_in(line: str) -> None:
    assert offered(line, access=Access(no_login=Reply.of(538))) == [b"PIPELINING"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("AUTH PLAIN SCRAM-SHA-256-PLUS LOGIN", [b"AUTH PLAIN LOGIN"]),
        ("AUTH=scram-sha-1-plus PLAIN", [b"AUTH=PLAIN"]),
        ("AUTH SCRAM-SHA-1-PLUS", []),
        ("AUTH  PLAIN", [b"AUTH  PLAIN"]),
        ("AUTH", [b"AUTH"]),
    ],
)
def test_channel_binding_does_not_work_through_a_proxy(line: str, kept: list[bytes]) -> None:
    """RFC 5929: only if TLS ends here."""
    assert offered(line, ends_tls=True) == [*kept, b"PIPELINING"]
    assert offered(line) == [line.encode(), b"PIPELINING"]


def test_requiretls() -> None:
    """RFC 8689 §4.2.1."""
    assert offered("REQUIRETLS", requires_tls=True) == [b"REQUIRETLS", b"PIPELINING"]
    assert offered("REQUIRETLS") == [b"PIPELINING"]
    assert offered("DSN", requires_tls=True) == [b"DSN", b"PIPELINING"]


@pytest.mark.parametrize(
    ("line", "limit", "announced"),
    [
        ("SIZE 99", None, "SIZE 89"),
        ("SIZE 99", 50, "SIZE 40"),
        ("SIZE 0", None, "SIZE 0"),
        ("DSN", 5, "SIZE 1"),
    ],
)
def test_the_size_leaves_room(line: str, limit: int | None, announced: str) -> None:
    reply = Offer(max_size=limit, headroom=10).reply(Reply.of(250, "mx", line))
    assert [text for text in reply.lines if text.startswith(b"SIZE")] == [announced.encode()]
