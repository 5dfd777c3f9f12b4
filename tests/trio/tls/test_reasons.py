"""Why a handshake has failed, in words."""

from __future__ import annotations

import ssl

import pytest

from trio_proxy.tls.reasons import reason


def error(known: str | None) -> ssl.SSLError:
    made = ssl.SSLError(1, "[SSL] (_ssl.c:1000)")
    made.reason = known  # type: ignore[assignment]  # None, if the connection was broken off
    return made


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ("WRONG_VERSION_NUMBER", "what came is not TLS"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the peer demands a certificate"),
        ("SOME_OTHER_THING", "some other thing"),
        (None, "it was broken off"),
    ],
)
def test_reasons(known: str | None, text: str) -> None:
    assert reason(error(known)) == text


def test_a_certificate_is_wrong_for_a_reason_without_words_of_ours() -> None:
    made = ssl.SSLCertVerificationError(1, "")
    made.verify_code, made.verify_message = 999, "unheard of"
    assert reason(made) == "unheard of"
