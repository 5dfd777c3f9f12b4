"""Networks of clients that are trusted."""

from __future__ import annotations

import pytest
from each import each

from sansio_smtp.client_info import ClientInfo
from sansio_smtp.networks import NO_NETWORKS, Networks

PEER = ClientInfo(address="192.0.2.1:51000")


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ([], ""),
        (["192.0.2.0/24"], "192.0.2.0/24"),
        ([" 192.0.2.1 ", "2001:DB8::/32", "unix"], "192.0.2.1/32 2001:db8::/32 unix"),
        (["unix"], "unix"),
    ],
)
def test_parse(texts: list[str], shown: str) -> None:
    networks = Networks.parse(texts)
    assert str(networks) == shown
    assert bool(networks) is bool(texts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is no network; write 192.0.2.0/24, 2001:db8::/32, an address, or unix"),
        ("mx", "'mx' is no network; write 192.0.2.0/24, 2001:db8::/32, an address, or unix"),
        ("192.0.2.0/33", "'192.0.2.0/33' is no network; "),
        ("192.0.2.1/24", "'192.0.2.1/24' has bits set after its prefix; write 192.0.2.0/24"),
        ("2001:db8::1/32", "'2001:db8::1/32' has bits set after its prefix; write 2001:db8::/32"),
    ],
)
def test_parse_what_is_no_network(text: str, why: str) -> None:
    with pytest.raises(ValueError) as problem:  # noqa: PT011 - its text is checked
        Networks.parse(["192.0.2.0/24", text])
    assert str(problem.value).startswith(why)


@each(
    ("networks", "address", "inside"),
    [
        (["192.0.2.0/24"], "192.0.2.1:51000", True),
        (["192.0.2.0/24"], "192.0.3.1:51000", False),
        (["192.0.3.0/24", "192.0.2.1"], "192.0.2.1:51000", True),
        (["192.0.2.0/24"], "[::ffff:192.0.2.1]:51000", True),
        (["2001:db8::/32"], "[2001:db8::1]:51000", True),
        (["2001:db8::/32"], "192.0.2.1:51000", False),
        (["fe80::/10"], "[fe80::1%eth0]:51000", True),
        (["0.0.0.0/0", "::/0"], "unix", False),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "mx:25", False),
        (["unix"], "unix", True),
        (["unix"], "192.0.2.1:51000", False),
        ([], "192.0.2.1:51000", False),
        ([], "unix", False),
    ],
)
def test_clients(networks: list[str], address: str, inside: bool) -> None:
    assert (ClientInfo(address=address) in Networks.parse(networks)) is inside


def test_a_client_on_a_unix_socket_that_was_named_is_who_it_was_named() -> None:
    named = ClientInfo(address="unix", ip="192.0.2.1")
    assert named.unix
    assert named not in Networks.parse(["unix"])
    assert named in Networks.parse(["192.0.2.1"])


def test_nothing_but_a_client_is_in_a_network() -> None:
    assert PEER not in NO_NETWORKS
    with pytest.raises(TypeError, match=r"a client in networks is a ClientInfo, not str; such as ClientInfo"):
        assert "192.0.2.1" in Networks.parse(["192.0.2.1"])


def test_networks_are_given_as_a_list() -> None:
    for given in (["10.0.0.0/8"], ("10.0.0.0/8",)):
        with pytest.raises(TypeError, match=r"Networks.parse takes texts"):
            Networks(given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r'takes a list of networks, not str; write ."10.0.0.0/8".'):
        Networks.parse("10.0.0.0/8")
    with pytest.raises(TypeError, match=r'a network is a str, not int; such as "192.0.2.0/24"'):
        Networks.parse([10])  # type: ignore[list-item]
