"""Who the client is, in and out of the attributes of XCLIENT and XFORWARD."""

from __future__ import annotations

import pytest

from sansio_smtp.client_info import ClientInfo, Forwarded, TlsInfo
from sansio_smtp.proxy.client_identity import forwarded, renamed, xclient_values, xforward_values
from sansio_smtp.wire.commands import Command

PEER = ClientInfo(address="127.0.0.1:50000", name="balancer", tls=TlsInfo(version="TLSv1.3"))
EHLO = Command.of("EHLO me")


def test_a_client_that_is_named() -> None:
    said = {
        "NAME": "mx.example.net",
        "ADDR": "192.0.2.1",
        "PORT": "51000",
        "PROTO": "ESMTP",
        "HELO": "mx",
        "DESTADDR": "198.51.100.1",
        "DESTPORT": "25",
    }
    assert renamed(PEER, said) == ClientInfo(
        address="192.0.2.1:51000",
        name="mx.example.net",
        protocol="ESMTP",
        helo="mx",
        local_ip="198.51.100.1",
        local_port=25,
        proxy_ip="127.0.0.1",
        tls=PEER.tls,
    )


def test_what_is_not_said_stays() -> None:
    named = renamed(PEER, {"HELO": "mx"})
    assert (named.address, named.ip, named.port) == ("127.0.0.1:50000", "127.0.0.1", 50000)
    assert (named.name, named.helo) == ("balancer", "mx")


def test_the_port_and_the_name_of_another_address_are_not_kept() -> None:
    known = renamed(PEER, {"DESTADDR": "198.51.100.1", "DESTPORT": "25"})
    named = renamed(known, {"ADDR": "2001:db8::1", "DESTADDR": "198.51.100.2"})
    assert (named.address, named.port, named.name) == ("[2001:db8::1]", None, "")
    assert (named.local_ip, named.local_port) == ("198.51.100.2", None)


def test_what_is_unavailable_is_never_the_peers() -> None:
    named = renamed(PEER, {"ADDR": "", "PORT": "", "NAME": ""})
    assert (named.address, named.ip, named.port, named.name) == ("unknown", "", None, "")
    assert (named.proxy_ip, named.unix, named.is_local) == ("127.0.0.1", False, False)


def test_a_peer_on_a_unix_socket() -> None:
    peer = ClientInfo(address="unix")
    assert renamed(peer, {"HELO": "mx"}).is_local
    named = renamed(peer, {"ADDR": ""})
    assert (named.unix, named.is_local, named.proxy_ip) == (False, False, "")
    assert renamed(peer, {"ADDR": "192.0.2.1"}).address == "192.0.2.1"


def test_the_outermost_proxy_is_remembered() -> None:
    twice = renamed(renamed(PEER, {"ADDR": "192.0.2.1"}), {"ADDR": "192.0.2.2"})
    assert twice.proxy_ip == "127.0.0.1"


def test_xforward_in_several_lines() -> None:
    first = forwarded(None, {"NAME": "mx", "ADDR": "192.0.2.1", "PORT": "51000", "IDENT": "4B1"})
    both = forwarded(first, {"PROTO": "ESMTP", "HELO": "mx", "SOURCE": "REMOTE", "PORT": ""})
    assert both == Forwarded(
        ip="192.0.2.1", name="mx", protocol="ESMTP", helo="mx", ident="4B1", source="REMOTE"
    )


@pytest.mark.parametrize(
    ("line", "protocol"), [("EHLO you", "ESMTP"), ("HELO you", "SMTP"), ("MAIL FROM:<>", "ESMTP")]
)
def test_what_a_server_is_told_with_xclient(line: str, protocol: str) -> None:
    client = ClientInfo(address="192.0.2.1:51000", helo="me", login="ann", login_given="Ann", local_port=25)
    assert xclient_values(client, Command.of(line)) == {
        "NAME": "",
        "ADDR": "192.0.2.1",
        "PORT": "51000",
        "PROTO": protocol,
        "HELO": "me" if line.startswith("MAIL") else "you",
        "LOGIN": "Ann",
        "DESTADDR": "",
        "DESTPORT": "25",
    }


@pytest.mark.parametrize(
    ("ip", "told"), [("fe80::1%eth0", "fe80::1"), ("", ""), ("somewhere", ""), ("2001:db8::1", "2001:db8::1")]
)
def test_an_address_that_a_server_understands(ip: str, told: str) -> None:
    assert xclient_values(ClientInfo(ip=ip), EHLO)["ADDR"] == told
    assert xforward_values(ClientInfo(ip=ip), EHLO)["ADDR"] == told


@pytest.mark.parametrize(
    ("hello", "protocol"), [(EHLO, "ESMTP"), (Command.of("HELO me"), "SMTP"), (None, "SMTP")]
)
def test_what_a_server_is_told_with_xforward(hello: Command | None, protocol: str) -> None:
    client = ClientInfo(address="192.0.2.1:51000", helo="me", name="mx")
    assert xforward_values(client, hello) == {
        "NAME": "mx",
        "ADDR": "192.0.2.1",
        "PORT": "51000",
        "PROTO": protocol,
        "HELO": "me",
        "IDENT": "",
        "SOURCE": "REMOTE",
    }


def test_what_a_relay_has_said_is_sent_on() -> None:
    known = Forwarded(ip="192.0.2.9", ident="4B1", source="LOCAL")
    client = ClientInfo(address="127.0.0.1:50000", helo="relay", forwarded=known)
    told = xforward_values(client, EHLO)
    assert (told["ADDR"], told["PORT"], told["HELO"]) == ("192.0.2.9", "", "")
    assert (told["IDENT"], told["SOURCE"]) == ("4B1", "LOCAL")


def test_a_protocol_that_was_said() -> None:
    client = ClientInfo(protocol="SMTP")
    assert (xclient_values(client, EHLO)["PROTO"], xforward_values(client, EHLO)["PROTO"]) == ("SMTP", "SMTP")


def test_xforward_without_a_port() -> None:
    assert forwarded(None, {"HELO": "mx"}) == Forwarded(helo="mx")
