from __future__ import annotations

import pytest

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.proxy.proxy import Proxy


def test_nothing_is_known_at_first() -> None:
    assert ClientInfo() == ClientInfo(
        address="", helo="", login=None, login_given=None, login_unknown=False, tls=None
    )
    assert not ClientInfo().authenticated


def test_who_has_logged_in_may_be_unknown() -> None:
    assert ClientInfo(login_unknown=True).authenticated
    assert ClientInfo(login="ann").authenticated


def test_it_is_a_value() -> None:
    info = ClientInfo(address="192.0.2.1:51000")
    assert {info, ClientInfo(address="192.0.2.1:51000")} == {info}
    with pytest.raises(AttributeError):
        info.helo = "me"  # type: ignore[misc]


def test_it_is_told_by_name() -> None:
    """Four strings in a row would be mixed up."""
    with pytest.raises(TypeError):
        ClientInfo("192.0.2.1:51000")  # type: ignore[misc]


def test_a_proxy_knows_what_the_driver_said_and_what_the_client_was_told() -> None:
    given = ClientInfo(address="192.0.2.1:51000", tls="TLSv1.3")
    scene = Scene()
    scene.proxy = Proxy(client=given)
    assert scene.proxy.client_info == given
    scene.greeted()
    assert scene.proxy.client_info == ClientInfo(address="192.0.2.1:51000", helo="me", tls="TLSv1.3")
    scene.client("AUTH PLAIN AGFubgBz")
    scene.server("235 ok")
    assert scene.proxy.client_info.login == "ann"
    assert given == ClientInfo(address="192.0.2.1:51000", tls="TLSv1.3")
