from __future__ import annotations

import pytest

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config, LoginMode
from sansio_smtp.ends.access import access_of

ELSEWHERE = ClientInfo(address="192.0.2.1:50000")


@pytest.mark.parametrize(
    ("mode", "checks", "line"),
    [
        (LoginMode.RELAY, False, None),
        (LoginMode.RELAY, True, None),
        (LoginMode.INJECT, False, b""),
        (LoginMode.INJECT, True, b"AUTH PLAIN LOGIN"),
        (LoginMode.TRANSLATE, False, b"AUTH PLAIN LOGIN"),
    ],
)
def test_who_is_offered_a_login_of_the_proxy(mode: LoginMode, checks: bool, line: bytes | None) -> None:
    """An empty line: AUTH is answered here, and not offered."""
    access = access_of(Config(login_mode=mode), ELSEWHERE, checks_logins=checks)
    assert access.own.get(b"AUTH") == line
    assert not access.restricts


@pytest.mark.parametrize("more", [{"auth_without_tls": False}, {"tls": ClientTls.ENCRYPT}])
def test_none_is_offered_in_plain_text(more: dict[str, object]) -> None:
    config = Config(login_mode=LoginMode.TRANSLATE, **more)  # type: ignore[arg-type]
    access = access_of(config, ELSEWHERE)
    assert access.own[b"AUTH"] == b""
    assert access.no_login is not None
