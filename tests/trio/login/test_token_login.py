"""Which mechanism, which token, and what after a refusal."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import attrs
import pytest
import structlog
import trio
import trio.testing

from sansio_smtp import Answer, LogIn, LoginMode, LoginQuestion, Reply
from sansio_smtp.ends.transaction import Envelope
from trio_proxy.login.bearer import OAuthBearer, XOAuth2
from trio_proxy.login.token_login import TokenLogin
from trio_proxy.login.tokens import Token, TokenCache, TokenError

REFUSAL = Reply.of(535, "5.7.8 no")
LATER = {LoginMode.INJECT: 451, LoginMode.TRANSLATE: 454}


@attrs.define
class Source:
    error: TokenError | None = None
    is_shared: bool = False
    count: int = 0

    async def fetch(self, account: str) -> Token:
        await trio.lowlevel.checkpoint()
        self.count += 1
        if self.error is not None:
            raise self.error
        return Token(f"S3cret-{self.count}", trio.current_time() + 3600)


def question(*mechanisms: str, refused: str = "") -> LoginQuestion:
    code, _, text = refused.partition(" ")
    return LoginQuestion(
        mechanisms=mechanisms,
        upstream=None,
        tls=None,
        login=None,
        attempt=None,
        refused=Reply.of(int(code), text) if refused else None,
        refusal=REFUSAL,
        envelope=Envelope(),
    )


def login(source: Source, mode: LoginMode = LoginMode.TRANSLATE) -> TokenLogin:
    return TokenLogin(TokenCache(source), mode, structlog.stdlib.get_logger("smtp_proxy"))


@pytest.mark.parametrize(
    ("offered", "kind"),
    [
        (("LOGIN", "XOAUTH2"), XOAuth2),  # Office 365
        (("LOGIN", "PLAIN", "XOAUTH2", "PLAIN-CLIENTTOKEN", "OAUTHBEARER", "XOAUTH"), XOAuth2),  # Gmail
        (("OAUTHBEARER",), OAuthBearer),
    ],
)
async def test_the_mechanism_is_one_that_the_server_offers(offered: tuple[str, ...], kind: type) -> None:
    verdict = await login(Source()).answer(question(*offered), "ann")
    assert isinstance(verdict, LogIn)
    assert type(verdict.client) is kind
    assert verdict.client.initial is not None
    assert b"Bearer S3cret-1\1" in verdict.client.initial


@pytest.mark.parametrize("mode", LATER)
@pytest.mark.parametrize("offered", [(), ("PLAIN", "LOGIN")])
async def test_a_server_without_such_a_mechanism(
    offered: tuple[str, ...], mode: LoginMode, logs: list[MutableMapping[str, Any]]
) -> None:
    source = Source()
    verdict = await login(source, mode).answer(question(*offered), "ann")
    assert isinstance(verdict, Answer)
    assert verdict.reply.code == LATER[mode]
    assert source.count == 0
    assert logs[0]["offers"] == (", ".join(offered) or "no AUTH")


async def test_a_refused_token_is_replaced_once_and_then_the_client_is_told(
    autojump_clock: trio.testing.MockClock, logs: list[MutableMapping[str, Any]]
) -> None:
    source = Source()
    session = login(source)
    first = await session.answer(question("XOAUTH2"), "ann")
    await trio.sleep(60)
    second = await session.answer(question("XOAUTH2", refused="535 5.7.3 expired"), "ann")
    assert isinstance(first, LogIn)
    assert isinstance(second, LogIn)
    assert second.client is not first.client
    assert second.client.initial == b"user=ann\1auth=Bearer S3cret-2\1\1"
    last = await session.answer(question("XOAUTH2", refused="535 5.7.3 no"), "ann")
    assert last == Answer(REFUSAL)
    assert source.count == 2
    assert [line["reply"] for line in logs] == ["535 5.7.3 expired", "535 5.7.3 no"]
    assert "S3cret" not in str(logs)


async def test_a_session_that_logs_in_once_more_begins_anew(autojump_clock: trio.testing.MockClock) -> None:
    """After the second server of a session, as after the first, one token may be replaced."""
    source = Source()
    session = login(source)
    for _ in range(2):
        assert isinstance(await session.answer(question("XOAUTH2"), "ann"), LogIn)
        await trio.sleep(60)
        refused = await session.answer(question("XOAUTH2", refused="535 no"), "ann")
        assert isinstance(refused, LogIn)
        await trio.sleep(60)
    assert source.count == 3


async def test_what_the_server_has_said_of_the_token_is_logged(logs: list[MutableMapping[str, Any]]) -> None:
    session = login(Source())
    verdict = await session.answer(question("XOAUTH2"), "ann")
    assert isinstance(verdict, LogIn)
    verdict.client.respond(b'{"status":"400","scope":"https://mail.google.com/"}')
    await session.answer(question("XOAUTH2", refused="535 5.7.8 no"), "ann")
    assert logs[0]["said"] == "the token is refused, status 400, scope https://mail.google.com/"


async def test_a_temporary_refusal_says_nothing_against_the_token() -> None:
    source = Source()
    session = login(source)
    await session.answer(question("XOAUTH2"), "ann")
    assert await session.answer(question("XOAUTH2", refused="454 4.7.0 later"), "ann") == Answer(REFUSAL)
    assert source.count == 1


@pytest.mark.parametrize("mode", LATER)
@pytest.mark.parametrize("permanent", [False, True])
async def test_no_token(mode: LoginMode, permanent: bool, logs: list[MutableMapping[str, Any]]) -> None:
    source = Source(error=TokenError("revoked", permanent=permanent))
    verdict = await login(source, mode).answer(question("XOAUTH2"), "ann")
    assert isinstance(verdict, Answer)
    is_final = permanent and mode is LoginMode.TRANSLATE
    assert verdict.reply.code == (535 if is_final else LATER[mode])
    assert logs[-1]["error"] == "revoked"


@pytest.mark.parametrize("mode", LATER)
async def test_a_name_that_no_message_can_carry(mode: LoginMode) -> None:
    verdict = await login(Source(), mode).answer(question("XOAUTH2"), "a\1b")
    assert isinstance(verdict, Answer)
    assert verdict.reply.code == (535 if mode is LoginMode.TRANSLATE else 451)
