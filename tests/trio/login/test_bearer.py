"""XOAUTH2 and OAUTHBEARER: to the octet, and with the ways in which servers refuse a token."""

from __future__ import annotations

import json

import pytest
from each import each

from trio_proxy.login.bearer import OAuthBearer, XOAuth2

GMAIL = b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'


def test_the_first_messages() -> None:
    assert XOAuth2("ann@example.com", "ya29.abc").initial == (
        b"user=ann@example.com\1auth=Bearer ya29.abc\1\1"
    )
    assert OAuthBearer("ann@example.com", "ya29.abc").initial == (
        b"n,a=ann@example.com,\1auth=Bearer ya29.abc\1\1"
    )


def test_the_example_of_rfc_7628() -> None:
    mechanism = OAuthBearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    mechanism.host, mechanism.port = "server.example.com", 587
    assert mechanism.initial == (
        b"n,a=user@example.com,\1host=server.example.com\1port=587\1"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
    )


def test_a_name_with_characters_of_the_grammar() -> None:
    assert OAuthBearer("a=b,c", "t").initial.startswith(b"n,a=a=3Db=2Cc,\1")


@each("kind", [XOAuth2, OAuthBearer])
@each("account", ["", "a\1auth=Bearer evil", "a\nb", "a\0b", "a\x7f"])
def test_a_name_cannot_add_to_the_message(kind: type, account: str) -> None:
    with pytest.raises(ValueError, match="account name"):
        kind(account, "token")


@each("kind", [XOAuth2, OAuthBearer])
@each("token", ["", "a b", "a\1\1", "a\r\nRSET", "tök"])
def test_nor_can_a_token(kind: type, token: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        kind("ann", token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(("kind", "farewell"), [(XOAuth2, b""), (OAuthBearer, b"\1")])
def test_an_error_object_is_answered_with_nothing_new(kind: type, farewell: bytes) -> None:
    mechanism = kind("ann", "token")
    assert mechanism.objection == ""
    assert mechanism.respond(GMAIL) == farewell
    assert mechanism.objection == "the token is refused, status 400, scope https://mail.google.com/"
    with pytest.raises(ValueError, match="another challenge after the refusal"):
        mechanism.respond(GMAIL)


@pytest.mark.parametrize("kind", [XOAuth2, OAuthBearer])
def test_an_empty_challenge_asks_for_the_first_message_once(kind: type) -> None:
    mechanism = kind("ann", "token")
    assert mechanism.respond(b"") == mechanism.initial
    with pytest.raises(ValueError, match="again and again"):
        mechanism.respond(b"")


@pytest.mark.parametrize(
    "challenge",
    [b"{", b"\xff", b"[]", b"7", b'{"status": 7}', b"[" * 100_000, b'{"status": "a\\nb", "scope": {}}'],
)
def test_an_error_object_that_is_none(challenge: bytes) -> None:
    mechanism = XOAuth2("ann", "token")
    assert mechanism.respond(challenge) == b""
    assert mechanism.objection == "the token is refused"


@pytest.mark.parametrize("kind", [XOAuth2, OAuthBearer])
def test_it_is_not_complete_after_an_error_object(kind: type) -> None:
    mechanism = kind("ann", "token")
    assert mechanism.complete
    mechanism.respond(GMAIL)
    assert not mechanism.complete


@pytest.mark.parametrize("kind", [XOAuth2, OAuthBearer])
def test_forgotten_tokens(kind: type) -> None:
    mechanism = kind("ann", "S3cret")
    mechanism.forget()
    assert b"S3cret" not in mechanism.initial


@pytest.mark.parametrize("kind", [XOAuth2, OAuthBearer])
def test_nothing_shows_the_token(kind: type) -> None:
    mechanism = kind("ann", "S3cret+token/with=")
    mechanism.respond(json.dumps({"status": "S3cret+token/with="}).encode())
    assert "S3cret" not in repr(mechanism)
    assert "S3cret" not in mechanism.objection
