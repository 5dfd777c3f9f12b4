"""ready:rate_limit"""

from __future__ import annotations

from typing import Any

import pytest
from each import each
from harness import MESSAGE, configured, loaded, mistakes, sent
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp.config import Config
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Connection, Defer, Recipient, Reject, Sender, Transaction
from sansio_smtp.testing import session
from trio_proxy.ready.rate_limit import RateLimit


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def limiter(**settings: Any) -> tuple[RateLimit, Clock]:
    rule, clock = RateLimit(**settings), Clock()
    rule.clock = clock
    return rule, clock


def mail(
    rule: RateLimit, sender: str = "a@b.example", ip: str = "192.0.2.1", login: str | None = None
) -> Defer | None:
    verdict = rule.mail(Transaction(Connection(f"{ip}:1", login=login)), Sender.of(sender))
    assert verdict is None or isinstance(verdict, Defer)
    return verdict


def test_a_bucket_empties_and_fills_again() -> None:
    rule, clock = limiter(messages={"minute": 3})
    assert [mail(rule) for _ in range(3)] == [None] * 3
    assert mail(rule) == Defer(450, "4.7.1 sending rate exceeded, try again in 20 s")
    clock.now += 19.5
    assert mail(rule) == Defer(450, "4.7.1 sending rate exceeded, try again in 1 s")
    clock.now += 0.5
    assert mail(rule) is None
    assert mail(rule) is not None
    for pause in (60, 6_000):
        clock.now += pause
        assert [mail(rule) is None for _ in range(4)] == [True] * 3 + [False]


def test_what_was_refused_does_not_count() -> None:
    rule, clock = limiter(messages={"minute": 1})
    mail(rule)
    for _ in range(100):
        assert mail(rule) is not None
    clock.now += 60
    assert mail(rule) is None


def test_every_period_counts_and_the_longest_wait_is_said() -> None:
    rule, clock = limiter(messages={"second": 1, "day": 2})
    assert mail(rule) is None
    assert mail(rule) == Defer(450, "4.7.1 sending rate exceeded, try again in 1 s")
    clock.now += 1
    assert mail(rule) is None
    clock.now += 1
    verdict = mail(rule)
    assert verdict is not None
    assert "in 43198 s" in verdict.text


@pytest.mark.parametrize("limits", [{"second": 2, "hour": 3}, {"hour": 3, "second": 2}])
def test_periods_are_counted_apart(limits: dict[str, int]) -> None:
    rule, clock = limiter(messages=limits)
    passed: list[bool] = []
    for pause in (0, 0, 0, 10, 10):
        clock.now += pause
        passed.append(mail(rule) is None)
    assert passed == [True, True, False, True, False]


@given(limit=st.integers(1, 50), steps=st.lists(st.floats(0, 30), max_size=120))
def test_never_more_than_the_bucket_and_what_flowed_in(limit: int, steps: list[float]) -> None:
    rule, clock = limiter(messages={"minute": limit})
    passed: list[float] = []
    for step in steps:
        clock.now += step
        if mail(rule) is None:
            passed.append(clock.now)
        else:  # it was right to refuse: the bucket is full
            assert len(passed) >= limit
    for at, begin in enumerate(passed):
        for number, end in enumerate(passed[at:], 1):
            assert number <= limit + (end - begin) * limit / 60 + 1e-3


@each(
    ("per", "first", "second", "together"),
    [
        ("ip", {"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}, False),
        ("ip", {"login": "ann"}, {"login": "bob"}, True),
        ("ip", {"sender": "a@b"}, {"sender": "c@d"}, True),
        ("ip", {"ip": ""}, {"ip": ""}, True),
        ("login", {"login": "ann", "ip": "192.0.2.1"}, {"login": "ann", "ip": "192.0.2.2"}, True),
        ("login", {"login": "ann"}, {"login": "bob"}, False),
        ("login", {"login": "ann"}, {}, False),
        ("login", {"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}, False),
        ("login", {}, {}, True),
        ("login", {"login": "192.0.2.1"}, {"ip": "192.0.2.1"}, False),
        ("sender", {"sender": "a@b"}, {"sender": "A@B"}, True),
        ("sender", {"sender": "a@b"}, {"sender": "c@b"}, False),
        ("sender", {"sender": ""}, {"sender": "", "ip": "192.0.2.2"}, False),
        ("sender", {"sender": ""}, {"sender": ""}, True),
    ],
)
def test_who_is_counted_together(
    per: str, first: dict[str, str], second: dict[str, str], together: bool
) -> None:
    rule, _ = limiter(messages={"minute": 1}, per=per)
    assert mail(rule, **first) is None
    assert (mail(rule, **second) is not None) == together


def test_recipients_have_limits_of_their_own() -> None:
    rule, clock = limiter(messages={"minute": 1}, recipients={"minute": 2}, per="sender")
    tx = Transaction(Connection("192.0.2.1:1"), Sender.of("a@b"))
    assert mail(rule, "a@b") is None
    verdicts = [rule.rcpt(tx, Recipient.of(f"{n}@c")) for n in range(3)]
    assert verdicts[:2] == [None, None]
    assert isinstance(verdicts[2], Defer)
    clock.now += 30
    assert rule.rcpt(tx, Recipient.of("d@e")) is None


def test_who_is_exempt_is_not_counted() -> None:
    rule, _ = limiter(messages={"minute": 1}, per="login", exempt=("News*", "192.0.2.?"))
    for _ in range(3):
        assert mail(rule, login="newsletter", ip="203.0.113.9") is None
        assert mail(rule) is None
    assert mail(rule, login="ann") is None
    assert mail(rule, login="ann") is not None


def test_all_spellings_of_a_login_have_one_bucket() -> None:
    rule, _ = limiter(messages={"minute": 1}, per="login", exempt=("NewsLetter",))
    replies = [session(rule, login=login).mail("a@b") for login in ("scanner", "Scanner", "scan\u00adner")]
    assert [reply is None for reply in replies] == [True, False, False]
    for login in ("newsletter", "NEWSLETTER", "news\u200bletter"):
        assert session(rule, login=login).mail("a@b") is None
    config = Config(case_sensitive_logins=True)
    replies = [session(rule, login=login, config=config).mail("a@b") for login in ("ann", "Ann", "ann")]
    assert [reply is None for reply in replies] == [True, True, False]
    replies = [session(rule, login="newsletter", config=config).mail("a@b") for _ in range(2)]
    assert [reply is None for reply in replies] == [True, False], "another login than NewsLetter"


def test_who_has_logged_in_and_cannot_be_read_is_refused() -> None:
    unread = Reject(550, "5.7.0 who has logged in cannot be read, so its rate cannot be limited")
    rule, _ = limiter(recipients={"minute": 9}, per="login", exempt=("*",))
    assert session(rule, login_unknown=True).mail("a@b") == unread
    rule, _ = limiter(recipients={"minute": 9}, per="ip")
    assert session(rule, login_unknown=True).mail("a@b") is None


def test_memory_is_bounded_and_who_sent_last_is_remembered() -> None:
    rule, _ = limiter(messages={"day": 1, "hour": 5}, per="sender", max_keys=100)
    assert mail(rule, "often@x") is None
    for number in range(1_000):
        assert mail(rule, f"{number}@x") is None
        assert len(rule.used) <= 100
    assert mail(rule, "999@x") is not None
    assert mail(rule, "often@x") is None  # forgotten

    rule, _ = limiter(messages={"day": 9}, per="sender", max_keys=100)
    for number in range(800):
        mail(rule, f"{number}@x")
        if number % 90 == 0:  # nine times
            assert mail(rule, "often@x") is None
    assert mail(rule, "often@x") is not None


def test_the_client_is_told_and_may_go_on() -> None:
    s = configured(
        "[rules.rate_limit]\nper = 'login'\nmessages = { hour = 1 }\nrecipients = { day = 2 }", login="ann"
    )
    assert sent(s, MESSAGE, "a@b.example") == MESSAGE
    assert isinstance(s.mail("ann@example.com"), Defer)
    assert s.reply is not None
    assert (s.reply.code, s.reply.enhanced) == (450, "4.7.1")
    s = session(loaded("[rules.rate_limit]\nrecipients = { day = 2 }").ruleset)
    assert sent(s, MESSAGE, "a@b.example", "c@b.example", "d@b.example") == MESSAGE
    assert s.delivered[0].recipients == ("a@b.example", "c@b.example")


def test_the_real_clock_counts_seconds() -> None:
    rule = RateLimit(messages={"day": 1})
    assert mail(rule) is None
    assert mail(rule) == Defer(450, "4.7.1 sending rate exceeded, try again in 86400 s")


def test_wrong_settings_are_found_at_load() -> None:
    with pytest.raises(ValueError, match="neither messages nor recipients"):
        RateLimit()
    with pytest.raises(ValueError, match="at least 1"):
        RateLimit(messages={"hour": 0})
    with pytest.raises(LocalProtocolError, match="CR, LF"):
        RateLimit(messages={"hour": 1}, text="a\nb")
    said = mistakes("[rules.rate_limit]\nper = 'user'\nmessages = { minuet = 3 }\nmax_keys = 0")
    for text in ("per", "minuet", "max_keys"):
        assert text in said


@pytest.mark.parametrize(
    ("sender", "exempt"),
    [("news@example.com", True), ('"news"@EXAMPLE.com', True), ("news%evil.example@example.com", False)],
)
def test_a_sender_is_exempt_in_any_spelling_but_not_if_it_routes(sender: str, exempt: bool) -> None:
    s = session(RateLimit("sender", {"day": 1}, exempt=("127.0.0.1", "*@example.com")))
    s.mail(sender)
    s.command("RSET")
    s.mail(sender)
    assert s.ok == exempt
