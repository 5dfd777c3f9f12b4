"""Answers how to log in: as whom, with which mechanism, and what after a refusal."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from sansio_smtp import Answer, Envelope, LogIn, LoginAttempt, LoginMode, LoginQuestion, Reply, TlsInfo
from trio_proxy.login import logins as module
from trio_proxy.login.logins import Logins
from trio_proxy.login.secret_files import SecretError
from trio_proxy.login.tokens import Token, TokenCache

REFUSAL = Reply.of(451, "no")
TLS = TlsInfo(version="TLSv1.3")
NO_TLS = "no login without TLS: the server does not offer it"
Logs = list[MutableMapping[str, Any]]


def question(*mechanisms: str, refused: Reply | None = None, **more: Any) -> LoginQuestion:
    values: dict[str, Any] = {"upstream": None, "tls": TLS, "login": None, "attempt": None} | more
    return LoginQuestion(
        mechanisms=mechanisms, refused=refused, refusal=REFUSAL, envelope=Envelope(), **values
    )


def session(read: Callable[[], str] | None = lambda: "sesame", **more: Any) -> Any:
    values: dict[str, Any] = {"mode": LoginMode.INJECT, "account": "scanner", "read_password": read} | more
    return Logins(**values).of_session(structlog.stdlib.get_logger("smtp_proxy"))


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        (("LOGIN", "PLAIN", "SCRAM-SHA-256"), "SCRAM-SHA-256"),
        (("GSSAPI", "LOGIN", "PLAIN"), "PLAIN"),
        (("NTLM", "LOGIN"), "LOGIN"),
    ],
)
async def test_the_best_mechanism_that_is_offered(offered: tuple[str, ...], name: str) -> None:
    verdict = await session().answer(question(*offered))
    assert isinstance(verdict, LogIn)
    assert verdict.client.name == name


async def test_without_its_library_scram_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    verdict = await session().answer(question("SCRAM-SHA-256", "PLAIN"))
    assert verdict.client.name == "PLAIN"


async def test_for_the_client(logs: Logs) -> None:
    attempt = LoginAttempt("LOGIN", "ann", b"secret")
    one = session(None, mode=LoginMode.TRANSLATE, account=None)
    verdict = await one.answer(question("PLAIN", attempt=attempt))
    assert verdict.client.initial == b"\0ann\0secret"


async def test_a_refused_password_is_not_said_again(logs: Logs) -> None:
    one = session()
    await one.answer(question("PLAIN", "LOGIN"))
    refused = Reply.of(535, "5.7.8 no")
    assert await one.answer(question("PLAIN", "LOGIN", refused=refused)) == Answer(REFUSAL)
    (line,) = logs
    assert (line["event"], line["account"], line["reply"]) == (
        "the server refuses the login",
        "scanner",
        "535 5.7.8 no",
    )


async def test_clients_that_come_do_not_have_a_refused_password_said_again(
    logs: Logs, autojump_clock: trio.testing.MockClock
) -> None:
    """Or the provider locks the account. A new password counts at once, and other servers are asked."""
    passwords = ["wrong"]
    logins = Logins(mode=LoginMode.INJECT, account="scanner", read_password=lambda: passwords[-1])

    async def comes(refused: Reply | None = None, **more: Any) -> Any:
        one = logins.of_session(structlog.stdlib.get_logger("smtp_proxy"))
        said = await one.answer(question("PLAIN", **more))
        return said if refused is None else await one.answer(question("PLAIN", refused=refused, **more))

    for reply in (Reply.of(454, "later"), Reply.of(535, "no")):
        assert isinstance(await comes(), LogIn)
        assert await comes(reply) == Answer(REFUSAL)
    assert await comes() == Answer(REFUSAL)
    assert logs[-1]["event"] == "no login: the server has refused this password"
    assert isinstance(await comes(upstream="other"), LogIn)
    attempt = LoginAttempt("PLAIN", "ann", b"wrong")
    assert isinstance(await comes(attempt=attempt), LogIn), "a client's own password is the client's matter"
    passwords.append("right")
    assert isinstance(await comes(), LogIn)
    passwords.pop()
    await trio.sleep(60)
    assert isinstance(await comes(), LogIn)


async def test_a_mechanism_that_the_server_does_not_know_after_all(logs: Logs) -> None:
    one = session()
    assert (await one.answer(question("PLAIN", "LOGIN"))).client.name == "PLAIN"
    unknown = Reply.of(504, "5.5.4 no")
    assert (await one.answer(question("PLAIN", "LOGIN", refused=unknown))).client.name == "LOGIN"
    assert await one.answer(question("PLAIN", "LOGIN", refused=unknown)) == Answer(REFUSAL)


def fails() -> str:
    raise SecretError("file cannot be read")


@pytest.mark.parametrize(
    ("read", "asked", "event", "error"),
    [
        (fails, question("PLAIN"), "no login is possible", "file cannot be read"),
        (None, question("PLAIN"), "no login is possible", "there is no password"),
        (lambda: "x", question(), "no login is possible", "the server offers no mechanism for a password"),
        (lambda: "a\0b", question("PLAIN"), "no login is possible", "a name or password holds NUL"),
        (
            lambda: "x",
            question("PLAIN", tls=None),
            NO_TLS,
            None,
        ),
    ],
)
async def test_what_prevents_a_login(
    read: Callable[[], str] | None, asked: LoginQuestion, event: str, error: str | None, logs: Logs
) -> None:
    assert await session(read).answer(asked) == Answer(REFUSAL)
    (line,) = logs
    assert (line["event"], line.get("error")) == (event, error)


async def test_without_an_account(logs: Logs) -> None:
    assert await session(account=None).answer(question("PLAIN", upstream="other")) == Answer(REFUSAL)
    assert logs[0]["upstream"] == "other"


async def test_in_plain_text_where_that_is_allowed() -> None:
    one = session(may_be_plain=lambda upstream: upstream == "here")
    assert isinstance(await one.answer(question("PLAIN", tls=None, upstream="here")), LogIn)
    assert await one.answer(question("PLAIN", tls=None)) == Answer(REFUSAL)


async def test_with_tokens() -> None:
    class Source:
        is_shared = False

        async def fetch(self, account: str) -> Token:
            await trio.lowlevel.checkpoint()
            return Token(f"token-of-{account}")

    one = session(None, tokens=TokenCache(Source()))
    verdict = await one.answer(question("PLAIN", "XOAUTH2"))
    assert verdict.client.name == "XOAUTH2"
    assert b"token-of-scanner" in verdict.client.initial


def test_no_repr_shows_where_the_password_comes_from() -> None:
    assert "sesame" not in repr(Logins(mode=LoginMode.INJECT, read_password=lambda: "sesame"))
