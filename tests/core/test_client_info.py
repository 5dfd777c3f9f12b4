from __future__ import annotations

import pytest
from each import each

from core.scene import Scene
from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo, address_text
from sansio_smtp.proxy.proxy import Proxy

TLS = TlsInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")


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
    given = ClientInfo(address="192.0.2.1:51000", tls=TLS)
    scene = Scene()
    scene.proxy = Proxy(client=given)
    assert scene.proxy.client_info == given
    scene.greeted()
    assert scene.proxy.client_info == ClientInfo(address="192.0.2.1:51000", helo="me", tls=TLS)
    scene.client("AUTH PLAIN AGFubgBz")
    scene.server("235 ok")
    assert scene.proxy.client_info.login == "ann"
    assert given == ClientInfo(address="192.0.2.1:51000", tls=TLS)


@pytest.mark.parametrize(
    ("address", "ip", "port", "unix"),
    [
        ("192.0.2.1:51000", "192.0.2.1", 51000, False),
        ("[2001:db8::1]:51000", "2001:db8::1", 51000, False),
        ("192.0.2.1:\u0661", "192.0.2.1", None, False),
        ("unix", "", None, True),
        ("", "", None, False),
    ],
)
def test_an_address_says_ip_and_port(address: str, ip: str, port: int | None, unix: bool) -> None:
    client = ClientInfo(address=address)
    assert (client.ip, client.port, client.unix) == (ip, port, unix)


@each(
    ("client", "local"),
    [
        (ClientInfo(address="127.0.0.1:51000"), True),
        (ClientInfo(address="127.8.0.1:51000"), True),
        (ClientInfo(address="[::1]:51000"), True),
        (ClientInfo(address="[::ffff:127.0.0.1]:51000"), True),
        (ClientInfo(address="192.0.2.1:51000"), False),
        (ClientInfo(address="[2001:db8::1]:51000"), False),
        (ClientInfo(address="unix"), True),
        (ClientInfo(address="unix", ip="192.0.2.1"), False),
        (ClientInfo(address="127.0.0.1:51000", ip=""), False),
        (ClientInfo(address="unix", ip="", unix=False), False),
        (ClientInfo(ip="mx"), False),
        (ClientInfo(), False),
    ],
)
def test_a_client_on_this_machine(client: ClientInfo, local: bool) -> None:
    assert client.is_local is local


def test_who_the_client_of_a_transaction_is() -> None:
    forwarded = Forwarded(ip="192.0.2.9", port=25, helo="out")
    assert forwarded.address == "192.0.2.9:25"
    assert ClientInfo(forwarded=forwarded).forwarded == forwarded
    assert Forwarded().address == "unknown"


@pytest.mark.parametrize(
    ("ip", "port", "text"),
    [
        ("192.0.2.1", 25, "192.0.2.1:25"),
        ("192.0.2.1", None, "192.0.2.1"),
        ("2001:db8::1", 25, "[2001:db8::1]:25"),
        ("2001:db8::1", None, "[2001:db8::1]"),
        ("", 25, "unknown"),
    ],
)
def test_an_address_for_people(ip: str, port: int | None, text: str) -> None:
    assert address_text(ip, port) == text


def test_the_address_of_a_socket_is_no_text() -> None:
    with pytest.raises(TypeError, match=r'address is a str, not tuple; such as "192.0.2.1:51000"'):
        ClientInfo(address=("192.0.2.1", 51000))  # type: ignore[arg-type]
