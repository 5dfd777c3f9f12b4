"""What a rule may say."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, get_args

import attrs
import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import verdicts
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Discard, Hold, Redirect, Reject, Verdict

WITH_REPLY = {Reject: "5", Defer: "4", Hold: "245", Close: "45"}
"""Verdict → first digits of the replies that it may give."""
DEFAULTS = {
    Reject(): b"550 5.7.1 refused by policy\r\n",
    Defer(): b"451 4.7.1 try again later\r\n",
    Discard(): b"250 2.0.0 ok\r\n",
    Hold(): b"250 2.0.0 ok\r\n",
    Close(): b"421 4.7.0 closing the connection\r\n",
}


@pytest.mark.parametrize("verdict", DEFAULTS, ids=lambda verdict: type(verdict).__name__)
def test_each_has_a_reply_of_its_own(verdict: Any) -> None:
    assert verdict.reply.raw == DEFAULTS[verdict]
    assert verdict.reply.code == verdict.code


@each("verdict", WITH_REPLY)
@each("code", [200, 250, 299, 300, 354, 399, 400, 421, 499, 500, 554, 599, 600, 99, 0, -450])
def test_the_code_fits_the_verdict(verdict: Any, code: int) -> None:
    if 200 <= code < 600 and str(code)[0] in WITH_REPLY[verdict]:
        assert verdict(code=code, text="2.0.0 x").reply.raw == b"%d 2.0.0 x\r\n" % code
    else:
        with pytest.raises(
            LocalProtocolError, match=rf"^{verdict.__name__}: the reply code is an int, .*not {code}(; .*)?$"
        ):
            verdict(code=code, text="x")


@each("verdict", WITH_REPLY)
@each("code", ["550", 550.0, None, True, "no"])
def test_the_code_is_a_number(verdict: Any, code: Any) -> None:
    with pytest.raises(LocalProtocolError, match=f"{verdict.__name__}: the reply code is an int"):
        verdict(code=code)


@each("verdict", [*WITH_REPLY, Discard])
@each("text", [b"no", None, 5])
def test_the_text_is_a_text(verdict: Any, text: Any) -> None:
    with pytest.raises(LocalProtocolError, match=f"{verdict.__name__}: the text is a str"):
        verdict(text=text)


@each("verdict", [*WITH_REPLY, Discard])
@each("text", ["a\r\n250 ok", "a\nb", "a\rb", "a\0b"])
def test_the_text_is_one_line(verdict: Any, text: str) -> None:
    """Where the verdict is made: the traceback leads there."""
    with pytest.raises(LocalProtocolError, match="CR, LF or NUL"):
        verdict(text=text)


def test_what_is_refused_says_which_codes_there_are() -> None:
    with pytest.raises(
        LocalProtocolError, match=r"^Hold: the reply code is an int, 2xx or 4xx or 5xx, not 354$"
    ):
        Hold(code=354)


@pytest.mark.parametrize(
    ("verdict", "code", "hint"),
    [
        (Reject, "no", "'no'; write Reject(550, 'no')"),
        (Defer, "no", "'no'; write Defer(450, 'no')"),
        (Reject, "550", "'550'; write it without quotes: 550"),
        (Reject, 450, "450; Defer is for 4xx"),
        (Defer, 550, "550; Reject is for 5xx"),
        (Close, 250, "250; Accept() lets it pass"),
        (Reject, 354, "354"),
        (Reject, None, "None"),
    ],
)
def test_a_wrong_code_says_what_was_meant(verdict: Any, code: Any, hint: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        verdict(code)
    assert str(caught.value).endswith(f"xx, not {hint}")


@pytest.mark.parametrize("reason", [b"x", None, 5, ["x"]])
def test_the_reason_of_a_hold_is_a_text(reason: Any) -> None:
    with pytest.raises(LocalProtocolError, match=r"^Hold: the reason is a str, not "):
        Hold(reason)


@pytest.mark.parametrize("upstream", ["host:25", "smtp://[::1]:2525", "unix:/run/x"])
def test_redirect(upstream: str) -> None:
    assert Redirect(upstream).upstream == upstream


@pytest.mark.parametrize("upstream", ["", "a host", "host\r\n", "host\0", None, 25, b"host:25"])
def test_redirect_takes_an_address(upstream: Any) -> None:
    with pytest.raises(LocalProtocolError, match="an address such as 'host:25'"):
        Redirect(upstream)


@pytest.mark.parametrize(
    "verdict", [*DEFAULTS, Accept(), Redirect("host:25")], ids=lambda each: type(each).__name__
)
def test_verdicts_are_values(verdict: Any) -> None:
    assert verdict == type(verdict)(**attrs.asdict(verdict))
    assert len({verdict, type(verdict)(**attrs.asdict(verdict))}) == 1
    with pytest.raises((AttributeError, attrs.exceptions.FrozenInstanceError)):
        verdict.code = 250


@each("phase", PHASES.values())
def test_a_type_checker_is_told_the_same_as_the_loader(phase: Any) -> None:
    name = phase.name.partition("_")[0].title()
    result = getattr(verdicts, f"{name}Result")
    if phase.verdicts:
        alias: Any = getattr(verdicts, f"{name}Verdict")
        awaitable: Any = Awaitable
        assert result == alias | awaitable[alias]
        assert set(get_args(alias)) == {*phase.verdicts, type(None), *[bytes] * phase.octets}
    else:
        assert result == Awaitable[None] | None


def test_verdict_is_any_of_them() -> None:
    assert set(get_args(Verdict)) == {Accept, Reject, Defer, Discard, Hold, Close, Redirect}
