"""ready:secret_scan"""

from __future__ import annotations

import base64
import itertools
import re
from typing import Any

import pytest
from each import each
from harness import MESSAGE, MIXED, PIECES, configured, mistakes, nested, sent
from hypothesis import given
from hypothesis import strategies as st
from pairs import DEEP

from sansio_smtp.rules import Connection, Defer, Headers, Message, Reject, Transaction
from sansio_smtp.testing import session
from trio_proxy.ready import secret_scan
from trio_proxy.ready.secret_scan import SecretScan

KEY = b"AKIAIOSFODNN7EXAMPLE"
SECRETS = {
    "aws": KEY,
    "github": b"ghp_" + b"a1B2" * 9,
    "google": b"AIza" + b"a-_1Z" * 7,
    "password": b"Password = hunter2",
    "private_key": b"-----BEGIN OPENSSH PRIVATE KEY-----",
    "slack": b"xoxb-1234567890-abcdef",
    "stripe": b"sk_live_" + b"aB3d" * 6,
}
FOUND = Reject(550, "5.7.1 the message seems to hold a secret (aws)")


def streamed(rule: SecretScan, body: bytes, cuts: list[int] | None = None) -> object:
    """The verdict on a body that comes in these pieces."""
    tx = Transaction(Connection())
    places = [0, *sorted(min(cut, len(body)) for cut in cuts or ()), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(places) if a < b]
    verdicts = (rule.search_piece(tx, piece) for piece in [*pieces, b""])
    return next((verdict for verdict in verdicts if verdict is not None), None)


def held(rule: SecretScan, raw: bytes) -> object:
    return rule.search_whole(Transaction(Connection()), Message(raw))


@pytest.mark.parametrize("name", SECRETS)
def test_the_built_in_patterns_find_what_they_are_for(name: Any) -> None:
    rule = SecretScan(builtin=(name,))
    found = Reject(550, f"5.7.1 the message seems to hold a secret ({name})")
    assert streamed(rule, b"a secret:\r\n" + SECRETS[name] + b"\r\n") == found
    assert (
        streamed(rule, b"no secret: AKIA, ghp_short, AIza, password policy, PRIVATE KEY, xoxb-, sk_live_\r\n")
        is None
    )


def test_a_password_is_looked_for_on_demand_only() -> None:
    assert streamed(SecretScan(), b"password: hunter2\r\n") is None
    assert {name for name in SECRETS if streamed(SecretScan(), SECRETS[name]) is None} == {"password"}


@each("at", [*range(65_536 - 40, 65_536 + 20), *range(2 * 65_536 - 1_100, 2 * 65_536 - 1_000, 7)])
def test_a_secret_is_found_wherever_windows_meet(at: int) -> None:
    body = b"x " * (at // 2) + b"x" * (at % 2) + b" " + KEY + b" " + b"y" * 70_000
    assert streamed(SecretScan(), body) == FOUND
    assert streamed(SecretScan(), body, list(range(0, len(body), 4_000))) == FOUND


# With what they look at on either side they are two octets long at most, without one octet of context.
SHORT = [rb"\ba\b", rb"a(?<=\b--a)", rb"(?<!a)a(?!a)", rb"a--?\b", rb"-a\Z", rb"(?m)^-a", rb"(?<!-)-(?!-)"]
LONG = [rb"a{3,}", rb"a[^-]*-a", rb"(?s)a.*-a-a", rb"-a{5}-", rb"a+\b", rb"(?m)-\S*\r?$"]


@pytest.mark.parametrize("pattern", SHORT)
def test_windows_find_what_is_found_in_one_piece(pattern: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_scan, "WINDOW", 0)
    monkeypatch.setattr(secret_scan, "ORDINARY", b"")
    rule = SecretScan(builtin=(), patterns={"x": re.compile(pattern.decode())}, max_match=2)
    for length in (0, 1, 12, 13):  # a window has 12, and begins 6 after the last one
        for octets in itertools.islice(itertools.product(b"a-", repeat=length), 0, None, 1 if DEEP else 3):
            body = bytes(octets)
            assert (streamed(rule, body) is not None) == bool(re.search(pattern, body)), body


@given(
    body=st.text("aa-", max_size=60).map(str.encode),
    cuts=st.lists(st.integers(0, 60), max_size=12),
    pattern=st.sampled_from(SHORT + LONG),
)
def test_the_verdict_does_not_depend_on_cuts(body: bytes, cuts: list[int], pattern: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret_scan, "WINDOW", 0)
        patch.setattr(secret_scan, "ORDINARY", b"")
        rule = SecretScan(builtin=(), patterns={"x": re.compile(pattern.decode())}, max_match=2)
        whole = streamed(rule, body)
        assert streamed(rule, body, cuts) == whole
        assert streamed(rule, body, list(range(len(body)))) == whole


def test_what_is_kept_is_bounded() -> None:
    rule, tx = SecretScan(), Transaction(Connection())
    for _ in range(200):
        assert rule.search_piece(tx, b"x" * 10_000) is None
    (windows,) = (tx.data[key] for key in tx.data._items)
    assert len(windows._held) <= 65_536 + 10_000


def test_two_of_them_do_not_meddle() -> None:
    tx = Transaction(Connection())
    one, two = SecretScan(), SecretScan(builtin=("slack",))
    for rule in (one, two):
        assert rule.search_piece(tx, KEY[:10]) is None
    assert one.search_piece(tx, KEY[10:] + b" ") is None  # not full yet
    assert two.search_piece(tx, b"") is None
    assert one.search_piece(tx, b"") == FOUND


def test_header_fields_are_searched_raw_and_decoded() -> None:
    rule, tx = SecretScan(), Transaction(Connection())
    for field in (
        b"Subject: " + KEY,
        b"X-Other: a\r\n\t" + KEY,
        b"Subject: =?utf-8?b?" + base64.b64encode(b"my " + KEY) + b"?=",
    ):
        assert rule.headers(tx, Headers(field + b"\r\n\r\n")) == FOUND
    assert rule.headers(tx, Headers(b"Subject: hi\r\n\r\n")) is None


def test_a_message_with_a_secret_does_not_arrive() -> None:
    s = session(SecretScan())
    assert sent(s) == MESSAGE
    s.mail("ann@example.com")
    s.rcpt("bob@example.com")
    assert s.message(MESSAGE + b"x\r\n" * 60_000 + KEY + b"\r\n", pieces=1_000) == FOUND
    assert len(s.delivered) == 1
    assert s.reply is not None
    assert (s.reply.code, s.reply.enhanced) == (550, "5.7.1")


def test_it_may_be_deferred() -> None:
    s = configured("[rules.secret_scan]\naction = 'defer'")
    assert sent(s, KEY.join([MESSAGE, b"\r\n"])) is None
    assert s.reply is not None
    assert (s.reply.code, s.reply.enhanced) == (451, "4.7.1")
    verdict = streamed(SecretScan(action="defer", text="no secrets, 5.0"), KEY)
    assert verdict == Defer(451, "no secrets, 5.0 (aws)")


@pytest.mark.parametrize(
    "raw",
    [
        MESSAGE + KEY,
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"my " + KEY),
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nmy AKIAIOS=\r\nFODNN7EXAM=50LE",
        b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(KEY.decode().encode("utf-16")),
        MIXED
        + b"\r\n--a\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(b"x = " + KEY)
        + b"--a--\r\n",
        MIXED + b"\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(KEY)
        + b"--a--\r\n",
        MIXED + b"\r\n--a\r\nX: =?utf-8?b?" + base64.b64encode(KEY) + b"?=\r\n\r\n--a--\r\n",
    ],
)  # fmt: skip
def test_held_whole_it_is_found_in_parts_too(raw: bytes) -> None:
    assert held(SecretScan(whole=True), raw) == FOUND
    s = session(SecretScan(whole=True))
    assert sent(s, raw) is None


def test_held_whole_a_report_that_is_encoded_is_searched_too() -> None:
    report = b"Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert held(SecretScan(whole=True), report + base64.encodebytes(b"Status: 5.1.1 " + KEY)) == FOUND


def test_held_whole_other_messages_pass() -> None:
    assert sent(session(SecretScan(whole=True)), MESSAGE) == MESSAGE
    assert held(SecretScan(whole=True), nested(20)) is None


def test_more_parts_than_are_looked_at_are_refused() -> None:
    refused = held(SecretScan(whole=True, broken=False), nested(40))
    assert isinstance(refused, Reject)
    assert refused.text.startswith(
        "5.6.0 what mail programs read in different ways is refused here: more than"
    )


DOUBTFUL = b"Content-Type: multipart/mixed; boundary=a (x)\r\n\r\n--a\r\n%b\r\n--a--\r\n"


def test_held_whole_what_mail_programs_read_differently_is_refused() -> None:
    raw = DOUBTFUL % b"\r\nhello"
    refused = held(SecretScan(whole=True), raw)
    assert isinstance(refused, Reject)
    assert refused.text.endswith("is refused here: a boundary that can be read in two ways")
    assert isinstance(held(SecretScan(whole=True, action="defer"), raw), Defer)
    assert held(SecretScan(whole=True, broken=False), raw) is None


@pytest.mark.parametrize(
    "part",
    [
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"my " + KEY),
        b"Content-Transfer-Encoding: (x) base64\r\n\r\n" + base64.encodebytes(b"my " + KEY),
        b"Content-Transfer-Encoding: base64\r\n\r\n!a=" + base64.encodebytes(b"my " + KEY),
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nAKIAIOS= \r\nFODNN7EXAMPLE",
        b"X: y\r\n\r\nbegin 644 x\r\n7;7D@04M)04E/4T9/1$Y.-T5804U03$4 \r\n`\r\nend",
    ],
)
def test_without_broken_each_reading_is_searched(part: bytes) -> None:
    assert held(SecretScan(whole=True, broken=False), DOUBTFUL % part) == FOUND
    text = b"Subject: x\r\n\r\nthis is what I saw:\r\n" + part
    assert held(SecretScan(whole=True), text) == FOUND


@given(st.lists(PIECES | st.binary(max_size=8), max_size=60))
def test_no_octets_make_it_fail(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    held(SecretScan(), raw)
    streamed(SecretScan(), raw)


def test_only_one_way_of_looking_is_used() -> None:
    assert {rule.phase for rule in session(SecretScan()).rules.rules} == {"headers", "body"}
    assert {rule.phase for rule in session(SecretScan(whole=True)).rules.rules} == {"headers", "message"}


def test_settings_from_a_file() -> None:
    s = configured(
        r"""
        [rules.secret_scan]
        builtin = ["slack"]
        patterns = { ticket = '(?i)secret-\d{6}', umlaut = 'Schlüssel' }
        text = "5.7.1 no"
        max_match = 100
        """
    )
    assert sent(s, MESSAGE + KEY) is not None
    for text, name in (
        (b"SECRET-123456", b"ticket"),
        ("Schlüssel".encode(), b"umlaut"),
        (SECRETS["slack"], b"slack"),
    ):
        s = session(s.rules)
        assert sent(s, MESSAGE + text) is None
        assert s.reply is not None
        assert s.reply.lines == [b"5.7.1 no (%b)" % name]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("builtin = ['awz']", "builtin"),
        ("patterns = { x = '(' }", "patterns"),
        ("patterns = { x = 'a*' }", 'the pattern "x" finds something in every message'),
        ("action = 'hold'", "action"),
        ("max_match = 0", "max_match"),
        ('text = "a\\nb"', "CR, LF"),
    ],
)
def test_wrong_settings_are_found_at_load(settings: str, said: str) -> None:
    assert said in mistakes(f"[rules.secret_scan]\n{settings}")
