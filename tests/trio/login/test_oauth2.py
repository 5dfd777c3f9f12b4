"""The grants over HTTP, against a token endpoint on a loopback port that answers as it is told."""

from __future__ import annotations

import math
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from token_endpoint import TokenEndpoint, answer, refusal, token, token_endpoint

from trio_proxy.commands.findings import Findings
from trio_proxy.commands.oauth import check_tokens
from trio_proxy.login.oauth2 import OAuth2
from trio_proxy.login.secret_files import RefreshTokens
from trio_proxy.login.tokens import Token, TokenCache, TokenError
from trio_proxy.settings.options import Options

SECRETS = ("r3fresh-secret", "cl1ent-secret")


def refresh(endpoint: TokenEndpoint, **more: Any) -> OAuth2:
    arguments: dict[str, Any] = {
        "url": endpoint.url,
        "client_id": "app",
        "client_secret": SECRETS[1],
        "scope": "https://mail.google.com/",
        "refresh_tokens": RefreshTokens(given=SECRETS[0]),
    }
    return OAuth2(**arguments | more)


async def test_the_refresh_grant() -> None:
    async with token_endpoint(token("abc")) as endpoint:
        before = trio.current_time()
        got = await refresh(endpoint).fetch("ann")
    assert got.value == "abc"
    assert before + 3600 <= got.expires <= trio.current_time() + 3600
    assert endpoint.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": SECRETS[0],
            "client_id": "app",
            "client_secret": SECRETS[1],
            "scope": "https://mail.google.com/",
        }
    ]
    assert endpoint.heads[0].startswith("POST /token HTTP/1.1\r\n")


async def test_the_client_credentials_grant() -> None:
    async with token_endpoint(token("abc")) as endpoint:
        source = refresh(endpoint, refresh_tokens=None, scope="")
        assert source.is_shared
        assert (await source.fetch("ann")).value == "abc"
    assert endpoint.forms == [
        {"grant_type": "client_credentials", "client_id": "app", "client_secret": SECRETS[1]}
    ]


async def test_a_public_client_has_no_secret() -> None:
    async with token_endpoint(token()) as endpoint:
        await refresh(endpoint, client_secret=None).fetch("ann")
    assert "client_secret" not in endpoint.forms[0]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"expires_in": "3599"}, 3599),  # as Azure's first version writes it
        ({"expires_in": 1e99}, 10 * 365 * 86_400),
        ({"expires_in": 10**400}, math.inf),
        ({"expires_in": math.nan}, math.inf),
        ({"expires_in": None}, math.inf),
        ({"expires_in": 0}, math.inf),
        ({"expires_in": -1}, math.inf),
        ({"expires_in": "soon"}, math.inf),
        ({"expires_in": [1]}, math.inf),
        ({"token_type": "bearer"}, 3600),
    ],
)
async def test_how_long_a_token_lasts(said: dict[str, Any], seconds: float) -> None:
    async with token_endpoint(token(**said)) as endpoint:
        got = await refresh(endpoint).fetch("ann")
    assert got.expires - trio.current_time() == pytest.approx(seconds, abs=5) or got.expires == seconds


async def test_a_new_refresh_token_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("r1\n")
    async with token_endpoint(token(refresh_token="r2"), token(refresh_token="r2"), token()) as endpoint:
        source = refresh(endpoint, refresh_tokens=RefreshTokens(file))
        for _ in range(3):
            await source.fetch("ann")
    assert [form["refresh_token"] for form in endpoint.forms] == ["r1", "r2", "r2"]
    assert file.read_text() == "r2\n"


@pytest.mark.parametrize(
    ("octets", "why", "permanent"),
    [
        (refusal("invalid_grant", "Token has been expired or revoked."), "expired or was revoked", True),
        (refusal("invalid_client", "AADSTS7000215", "401 Unauthorized"), "client secret is wrong", True),
        (refusal("interaction_required"), "give consent again", True),
        (refusal("invalid_scope"), "the scope is wrong", True),
        (refusal("temporarily_unavailable"), "cannot give a token now", False),
        (refusal("server_error", status="500 Internal Server Error"), "cannot give a token now", False),
        (refusal("invalid_grant", status="503 Service Unavailable"), "cannot give a token now", False),
        (answer("<html>", kind="text/html; charset=utf-8"), "status 200 and text/html, which is no", False),
        (answer("Bad gateway", "502 Bad Gateway", kind="text/html"), "status 502 and text/html", False),
        (answer("", "429 Too Many Requests", "Retry-After: 99"), "status 429", False),
        (answer("", "302 Found", "Location: https://evil.example/x"), "redirects to evil.example", False),
        (answer("", "307 Temporary Redirect"), "redirects to nowhere", False),
        (answer([]), "which is no token", False),
        (answer("[" * 60_000), "which is no token", False),
        (answer({"access_token": ""}), "which is no token", False),
        (answer({"access_token": 7}), "which is no token", False),
        (answer({"access_token": "a\r\nb"}), "cannot be sent to a server", False),
        (answer({"access_token": "a b"}), "cannot be sent to a server", False),
        (token(token_type="mac"), "no bearer token", True),
        (token(token_type=[]), "no bearer token", True),
        (answer("x" * 10_000_000), "which is no token", False),
        (answer({"access_token": "x" * 100_000}), "which is no token", False),
        (b"", "cannot be asked", False),
        (b"220 mx.example ESMTP\r\n", "cannot be asked", False),
    ],
    ids=lambda value: value[:60].decode() if isinstance(value, bytes) else None,
)
async def test_what_is_no_token(octets: bytes, why: str, permanent: bool) -> None:
    async with token_endpoint(octets) as endpoint:
        with pytest.raises(TokenError, match=why) as caught:
            await refresh(endpoint).fetch("ann")
    assert caught.value.permanent is permanent
    assert caught.value.retry_after == (99 if b"Retry-After" in octets else 0)
    assert len(str(caught.value)) < 500
    assert len(endpoint.forms) == 1


async def test_nobody_there() -> None:
    async with token_endpoint(token()) as endpoint:
        source = refresh(endpoint)
    with pytest.raises(TokenError, match="cannot be asked: Connection refused"):
        await source.fetch("ann")


async def test_one_that_never_answers() -> None:
    async with token_endpoint(None) as endpoint:
        with pytest.raises(TokenError, match=r"does not answer within 0\.1 s") as caught:
            await refresh(endpoint, timeout=0.1).fetch("ann")
    assert not caught.value.permanent


async def test_no_error_shows_a_secret() -> None:
    """Some endpoints say back what they were asked."""
    odd = "s3c/ret +1"
    echoes = [
        refusal("invalid_grant", f"{SECRETS[0]} of {odd}\x1b[2J is bad"),
        refusal(SECRETS[0], "client_secret=s3c%2Fret%20%2B1&again=s3c%2Fret+%2B1"),
        answer("", "400 Bad Request", kind=SECRETS[0]),
        answer("", "302 Found", f"Location: https://{SECRETS[0]}/{SECRETS[0]}"),
    ]
    async with token_endpoint(*echoes) as endpoint:
        source = refresh(endpoint, client_secret=odd)
        for _ in echoes:
            with pytest.raises(TokenError) as caught:
                await source.fetch("ann")
            for text in (str(caught.value), repr(caught.value), repr(source)):
                assert SECRETS[0] not in text
                assert not re.search(r"s3c\W|\x1b", text)


async def test_the_certificate_of_the_endpoint_is_checked() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    certificate.configure_cert(server)
    authority.configure_trust(client)
    async with token_endpoint(token("abc"), tls=server) as endpoint:
        assert (await refresh(endpoint, context=client).fetch("ann")).value == "abc"
        with pytest.raises(TokenError, match="the CA that has signed the certificate is not known here"):
            await refresh(endpoint).fetch("ann")
    assert len(endpoint.forms) == 1


async def test_where_there_is_no_tls_no_authorities_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", None)
    async with token_endpoint(token("abc")) as endpoint:
        assert (await refresh(endpoint).fetch("ann")).value == "abc"


async def test_a_file_that_is_missing(tmp_path: Path) -> None:
    async with token_endpoint(token()) as endpoint:
        source = refresh(endpoint, refresh_tokens=RefreshTokens(tmp_path / "none"))
        with pytest.raises(TokenError, match="there is no such file") as caught:
            await source.fetch("ann")
    assert caught.value.permanent
    assert endpoint.forms == []


class Gate:
    """Where the endpoint waits before it answers."""

    def __init__(self) -> None:
        self.reached, self.opened = trio.Event(), trio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


async def test_a_session_that_ends_meanwhile_loses_no_refresh_token(tmp_path: Path) -> None:
    """The provider may accept the old one no more. And clients that leave do not make it asked again."""
    file = tmp_path / "token"
    file.write_text("r1\n")
    async with token_endpoint(token("abc", refresh_token="r2")) as endpoint:
        gate = Gate()
        endpoint.before = gate.wait
        cache = TokenCache(refresh(endpoint, refresh_tokens=RefreshTokens(file)))
        async with trio.open_nursery() as session:
            session.start_soon(cache.token, "ann")
            await gate.reached.wait()
            session.cancel_scope.cancel()
            gate.opened.set()
        assert file.read_text() == "r2\n"
        assert (await cache.token("ann")).value == "abc"
    assert len(endpoint.forms) == 1


async def test_two_sessions_of_one_account_refresh_once() -> None:
    async with token_endpoint(token("abc"), token("def")) as endpoint:
        gate = Gate()
        endpoint.before = gate.wait
        cache = TokenCache(refresh(endpoint))
        got: list[Token] = []

        async def client() -> None:
            got.append(await cache.token("ann"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            nursery.start_soon(client)
            await gate.reached.wait()
            await trio.testing.wait_all_tasks_blocked()
            gate.opened.set()
    assert got[0] is got[1]
    assert len(endpoint.forms) == 1


@pytest.mark.parametrize(
    ("octets", "status", "text"),
    [
        (token(), (False, False), "token of ann lasts 60 min"),
        (token(expires_in=None), (False, False), "token of ann does not say how long it lasts"),
        (refusal("invalid_grant"), (False, True), "token of ann: {} gives no token: the refresh token has"),
    ],
)
async def test_check_says_how_it_went(
    octets: bytes, status: tuple[bool, bool], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Findings(config_is_wrong=False)
    async with token_endpoint(octets) as endpoint:
        all_good = await check_tokens(refresh(endpoint), "ann", Options(), found)
    assert all_good is not found.unavailable
    said = capsys.readouterr()
    assert text.format(endpoint.url) in said.out + said.err
    assert (found.wrong, found.unavailable) == status


async def test_check_tries_each_account_that_has_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        (tmp_path / f"user{number:02}").write_text("r1")
    found = Findings(config_is_wrong=False)
    async with token_endpoint(token()) as endpoint:
        provider = refresh(endpoint, refresh_tokens=RefreshTokens(tmp_path))
        await check_tokens(provider, None, Options(oauth_refresh_token_file=tmp_path), found)
    said = capsys.readouterr()
    assert len(endpoint.forms) == 10
    assert "token of user09 lasts" in said.out
    assert "tokens of 2 more accounts were not tried" in said.err


async def test_check_without_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    async with token_endpoint(token()) as endpoint:
        provider = refresh(endpoint, refresh_tokens=None)
        await check_tokens(provider, None, Options(), Findings(config_is_wrong=False))
    assert ": token lasts 60 min" in capsys.readouterr().out
