"""PROXY headers (HAProxy's proxy-protocol.txt, versions 1 and 2): read from a client's connection, and
written to a server's.

The library `proxyprotocol` knows the format. This module adds a limit of the length, reads no octet after the
header, raises one kind of error for all mistakes of a peer, and makes a `ClientInfo`. Checksums are not
verified::

    client ──> balancer ── PROXY TCP4 192.0.2.1 10.0.0.5 51000 25 ──> here ── PROXY … ──> server
                                      │         └ local_ip: to which it has connected
                                      └ ip of the client; the balancer is its proxy_ip
"""

from __future__ import annotations

import re
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, Protocol

import attrs
from proxyprotocol import ProxyProtocolIncompleteError, ProxyProtocolWantRead
from proxyprotocol.detect import ProxyProtocolDetect
from proxyprotocol.result import (
    ProxyResult,
    ProxyResultIPv4,
    ProxyResultIPv6,
    ProxyResultLocal,
    is_ipv4,
    is_ipv6,
)
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from sansio_smtp import ClientInfo
from sansio_smtp.client_info import address_text

__all__ = ["Header", "HeaderError", "HeaderSource", "header_for", "read_header"]

_LONGEST_LINE: Final = 107
"""Octets of a header of version 1, its CRLF included."""
_LONGEST: Final = 4_096
"""The most octets of a header of version 2. More would be legal, but no known sender sends more."""
_SHORTEST: Final = 8
"""The number of octets that distinguish the versions from each other and from anything else."""
_CHECKSUM: Final = 0x03
_FIXED: Final = 16
"""Octets of version 2 before the addresses."""
_ADDRESSES: Final = {0x0: 0, 0x1: 12, 0x2: 36, 0x3: 216}
"""Address family of version 2 → octets of its addresses."""
_UNIX: Final = 0x3
"""The family whose addresses are paths of any octets. They are of no use here."""
_PROXY: Final = 0x1
"""The last command of version 2."""
_DATAGRAM: Final = 0x2
"""The last transport protocol of version 2."""
_V1_UNKNOWN: Final = b"PROXY UNKNOWN\r\n"
_FORMATS: Final = ProxyProtocolDetect()
_V1: Final = ProxyProtocolV1()
_V2: Final = ProxyProtocolV2()

# Needed because Python reads 2_5 as a number, and fe80::1%1 as an address.
_V1_LINE: Final = re.compile(rb"PROXY TCP[46](?: [0-9A-Fa-f.:]+){2}(?: [0-9]{1,5}){2}\r\n")

End = tuple[IPv4Address | IPv6Address, int]
Tlvs = tuple[tuple[int, bytes], ...]


class HeaderError(Exception):
    """The PROXY header is missing or invalid; the text says why. ``octets`` are those that were read."""

    def __init__(self, why: str, octets: bytes) -> None:
        super().__init__(why)
        self.octets = octets


class HeaderSource(Protocol):
    """A connection that can be read up to an exact octet."""

    async def receive_some(self, most: int, end: bytes = b"") -> bytes:
        """At most ``most`` octets, and none after the first ``end``; empty at the end. Raises OSError."""
        ...


@attrs.frozen
class Header:
    """The content of a PROXY header. ``source`` and ``destination`` are None if the proxy itself made the
    connection (LOCAL, such as a health check), or if its client is not known (UNKNOWN)."""

    source: End | None = None
    destination: End | None = None
    tlvs: Tlvs = ()

    def of(self, peer: ClientInfo) -> ClientInfo:
        """Returns the client, given the peer that has sent the header."""
        if self.source is None or self.destination is None:
            return peer
        (source, port), (destination, local_port) = _usual(self.source), _usual(self.destination)
        return attrs.evolve(
            peer,
            address=address_text(source, port),
            ip=source,
            port=port,
            unix=False,
            local_ip=destination,
            local_port=local_port,
            proxy_ip=peer.ip,
            proxy_tlvs=self.tlvs,
        )


async def read_header(source: HeaderSource) -> Header:
    """The header with which a connection begins. Raises `HeaderError`, and OSError if the connection is
    lost."""
    octets, want, longest, end = b"", _SHORTEST, _LONGEST, b""
    while True:
        while want > 0 and not (end and octets.endswith(end)):
            data = await source.receive_some(want, end)
            if not data:
                raise HeaderError("the connection ended before the header did", octets)
            octets, want = octets + data, want - len(data)
        try:
            return _header(octets)
        except ProxyProtocolIncompleteError as incomplete:
            wanted = incomplete.want_read
            if wanted.want_line:
                want, longest, end = _LONGEST_LINE - len(octets), _LONGEST_LINE, b"\n"
            else:
                want = wanted.want_bytes or 0
        except (ValueError, struct.error):
            raise HeaderError("it is no PROXY header", octets) from None
        if want <= 0 or len(octets) + want > longest:
            raise HeaderError(f"it is longer than {longest} octets", octets)


def header_for(client: ClientInfo, version: Literal[1, 2]) -> bytes:
    """The header that tells a server who the client is. Its destination is that of the client's connection.
    Addresses of two families become IPv6, IPv4-mapped."""
    source = _end(client.ip, client.port)
    if source is None:
        return _V1_UNKNOWN if version == 1 else _V2.pack(ProxyResultLocal())
    destination = _end(client.local_ip, client.local_port) or (type(source[0])(0), 0)
    tlv = ProxyProtocolTLV(init={kind: value for kind, value in client.proxy_tlvs if kind != _CHECKSUM})
    result: ProxyResult
    if isinstance(source[0], IPv4Address) and isinstance(destination[0], IPv4Address):
        result = ProxyResultIPv4(
            (source[0], source[1]), (destination[0], destination[1]), protocol=socket.SOCK_STREAM, tlv=tlv
        )
    else:
        result = ProxyResultIPv6(_mapped(source), _mapped(destination), protocol=socket.SOCK_STREAM, tlv=tlv)
    return _V1.pack(result) if version == 1 else _V2.pack(result)


def _header(octets: bytes) -> Header:
    """Raises ValueError, struct.error, and `ProxyProtocolIncompleteError`."""
    if isinstance(_FORMATS.choose_version(octets[:_SHORTEST]), ProxyProtocolV1):
        return _of_version_1(octets)
    if (missing := _FIXED - len(octets)) > 0:
        raise ProxyProtocolIncompleteError(ProxyProtocolWantRead(missing))
    fixed, rest = octets[:_FIXED], octets[_FIXED:]
    head = _V2.unpack_header(fixed)
    if fixed[12] & 0xF > _PROXY:
        raise ValueError("its command is not assigned")
    if (missing := head.data_len - len(rest)) > 0:
        raise ProxyProtocolIncompleteError(ProxyProtocolWantRead(missing))
    if head.command == "local":
        return Header()  # the rest must be ignored
    family, protocol = divmod(fixed[13], 16)
    size = _ADDRESSES.get(family, _LONGEST)
    if len(rest) < size or protocol > _DATAGRAM:
        raise ValueError("it is not assigned, or shorter than its addresses")
    if family == _UNIX:
        return Header()
    # Without the TLVs: the library reorders them before it computes their checksum.
    result = _V2.unpack_data(head, fixed, rest[:size])
    if not is_ipv4(result) and not is_ipv6(result):
        return Header()
    if result.protocol is not socket.SOCK_STREAM:
        raise ValueError("it is not of a TCP connection")
    return Header(result.source, result.dest, _tlvs(rest[size:]))


def _of_version_1(octets: bytes) -> Header:
    """Raises ValueError and `ProxyProtocolIncompleteError`."""
    result = _V1.unpack(octets)
    if not is_ipv4(result) and not is_ipv6(result):
        return Header()
    if not _V1_LINE.fullmatch(octets):
        raise ValueError("a number or an address is spelled as only Python reads it")
    return Header(result.source, result.dest)


def _tlvs(octets: bytes) -> Tlvs:
    """All TLVs in their order; the library would accept one with a wrong length. Raises ValueError and
    struct.error."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(octets):
        kind, size = struct.unpack_from("!BH", octets, at)
        at += 3 + size
        if at > len(octets):
            raise ValueError("a TLV is longer than the header")
        found.append((kind, octets[at - size : at]))
    return tuple(found)


def _usual(end: End) -> tuple[str, int]:
    """The address as text, IPv4 if it is IPv4-mapped."""
    ip, port = end
    return str(getattr(ip, "ipv4_mapped", None) or ip), port


def _end(ip: str, port: int | None) -> End | None:
    """None if it is not an IP address. A zone (RFC 4007) is dropped, because it has a meaning on one machine
    only."""
    try:
        return ip_address(ip.partition("%")[0]), port or 0
    except ValueError:
        return None


def _mapped(end: End) -> tuple[IPv6Address, int]:
    ip, port = end
    return (ip if isinstance(ip, IPv6Address) else IPv6Address(b"\0" * 10 + b"\xff\xff" + ip.packed)), port
