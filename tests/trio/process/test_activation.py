"""Sockets that the service manager has made."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from trio_proxy.driver.listening import ListenError, listening
from trio_proxy.process.activation import Activated, activated
from trio_proxy.text.addresses import Address


def bound(host: str = "127.0.0.1") -> socket.socket:
    return socket.create_server((host, 0))


def test_a_socket_is_for_the_address_that_it_is_bound_to(tmp_path: Path) -> None:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "in.sock"))
    unix.listen()
    with bound() as tcp, unix:
        given = Activated([tcp, unix])
        address = Address("localhost", tcp.getsockname()[1], tls=True)
        assert given.take(Address("127.0.0.1", 1)) == []
        with pytest.raises(ListenError, match=re.escape("no --listen names; add it there")):
            given.check()
        with listening(address, given.take) as sockets:
            assert sockets == [tcp]
            assert not tcp.getblocking()
        assert tcp.fileno() == -1
        with listening(Address(path=str(tmp_path / "in.sock")), given.take) as sockets:
            assert sockets == [unix]
        assert (tmp_path / "in.sock").exists()  # it belongs to the manager
        given.check()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
def test_a_socket_for_both_families_is_refused() -> None:
    sock = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with sock, pytest.raises(ListenError, match="BindIPv6Only=ipv6-only"):
        Activated([sock]).take(Address("::", sock.getsockname()[1]))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": "1", "LISTEN_FDS": "2"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
    ],
)
def test_none_are_for_this_process(variables: dict[str, str]) -> None:
    given = activated(variables)
    assert given.take(Address("127.0.0.1", 2525)) == []
    given.check()
