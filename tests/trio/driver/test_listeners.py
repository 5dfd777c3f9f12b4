"""Addresses that are listened on, and why one cannot be."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trio_proxy.driver.listening import ListenError, listening
from trio_proxy.text.addresses import Address

HAS_IPV6 = socket.has_dualstack_ipv6()


def test_a_name_with_two_families_takes_one_port() -> None:
    with listening(Address("", 0)) as sockets:
        ports = {sock.getsockname()[1] for sock in sockets}
        families = {sock.family for sock in sockets}
        assert len(ports) == 1
        assert families == ({socket.AF_INET, socket.AF_INET6} if HAS_IPV6 else {socket.AF_INET})
        assert all(not sock.getblocking() for sock in sockets)


@pytest.mark.parametrize("host", ["", "localhost"])
@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_name_with_an_address_that_the_machine_has_not(
    host: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of localhost in a container without IPv6."""
    bind = socket.socket.bind

    def binds(sock: socket.socket, where: Any) -> None:
        if sock.family == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        bind(sock, where)

    monkeypatch.setattr(socket.socket, "bind", binds)
    with listening(Address(host, 0)) as sockets:
        assert [sock.family for sock in sockets] == [socket.AF_INET]
    with pytest.raises(ListenError), listening(Address("::1", 0)):
        pass


def test_a_unix_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    assert path.exists()
    with listening(Address(path=str(path))):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        # It is alive now, so it is refused, and what is there stays.
        with pytest.raises(ListenError, match="it is in use"), listening(Address(path=str(path))):
            pass
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep me")
    with pytest.raises(ListenError, match="it is in use"), listening(Address(path=str(path))):
        pass
    assert path.read_text() == "keep me"


def test_a_unix_socket_that_somebody_removed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with listening(Address(path=str(path))):
        path.unlink()


def denied(_: socket.socket, __: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("address", "bind", "text"),
    [
        (Address("127.0.0.1", 25), denied, "permission denied; use a port above 1023, or grant CAP_NET"),
        (Address(path="/s.sock"), denied, "permission denied; choose a directory that you may write"),
        (Address("192.0.2.1", 0), None, "this machine has no such address; use 127.0.0.1, [::1] or one of"),
        (Address("name.invalid", 0), None, "'name.invalid' cannot be resolved; use an address of this"),
        (Address("two..dots", 0), None, "'two..dots' cannot be resolved; use an address of this machine"),
        (Address(path="/not/there/s.sock"), None, "there is no directory /not/there; make it"),
        (Address(path="x" * 200), None, "this path is too long for a unix socket (107 bytes on Linux)"),
    ],
)
def test_why_it_cannot_listen(
    address: Address, bind: Callable[..., None] | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bind:
        monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(ListenError) as raised, listening(address):
        pass
    assert str(raised.value).startswith(f"cannot listen on {address}: {text}")
    assert "\n" not in str(raised.value)


def test_a_port_that_is_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as raised, listening(Address("127.0.0.1", port)):
            pass
    assert str(raised.value) == (
        f"cannot listen on 127.0.0.1:{port}: it is in use; stop what listens there, "
        "or choose another port (0 takes a free one)"
    )


def test_a_unix_socket_that_may_not_be_removed_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was bound by root, whose rights were given up."""

    def refuses(path: str) -> None:
        raise PermissionError(errno.EACCES, "no", path)

    with listening(Address(path=str(tmp_path / "s.sock"))):
        monkeypatch.setattr(os, "unlink", refuses)
