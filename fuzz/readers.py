"""Targets: the readers of information from a relay in front of the proxy: PROXY headers, XCLIENT and
XFORWARD."""

from __future__ import annotations

import re
import struct
from collections.abc import Coroutine, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import attrs

from sansio_smtp import ClientInfo
from sansio_smtp.wire.client_attributes import (
    XCLIENT,
    XFORWARD,
    AttributeProblem,
    read_attributes,
    write_attributes,
)
from trio_proxy.driver.proxy_header import Header, HeaderError, header_for, read_header

from .tape import scripts
from .target import Target

__all__ = ["PROXY_HEADER", "XCLIENT_LINE"]

# PROXY headers

_PEER: Final = ClientInfo(address="10.0.0.1:40000")
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_AFTER: Final = b"EHLO x\r\n"
_V1: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n")


@attrs.define
class _Octets:
    """The octets of a peer, in pieces of a limited size."""

    left: bytes
    most: int

    async def receive_some(self, most: int, end: bytes = b"") -> bytes:
        assert most > 0
        data = self.left[: min(most, self.most)]
        if end and end in data:
            data = data[: data.index(end) + len(end)]
        self.left = self.left[len(data) :]
        return data


def _ran(work: Coroutine[Any, Any, Header]) -> Header | str:
    try:
        work.send(None)
    except StopIteration as stop:
        result: Header = stop.value
        return result
    except HeaderError as error:
        return str(error)
    raise AssertionError("it waits for nothing that will come")


def _try_header(data: bytes) -> bool:
    if not data:
        return False
    sources = [_Octets(data + _AFTER, most) for most in (1 << 20, 1, 7)]
    results = [_ran(read_header(source)) for source in sources]
    assert results[0] == results[1] == results[2], f"P1: the cuts change what is read: {results}"
    header = results[0]
    if isinstance(header, str):
        assert _by_hand(data) is None, f"refused, and it is right: {header}"
        return True
    taken = {len(data + _AFTER) - len(source.left) for source in sources}
    assert len(taken) == 1, "P1: the cuts change how much is read"
    octets = (data + _AFTER)[: taken.pop()]
    assert len(octets) <= 4_096, "P10: a header that is too long"
    by_hand = _by_hand(octets)
    assert by_hand is not None and by_hand[0] == len(octets), f"taken, and it is wrong: {octets!r}"
    ends = None if header.source is None else (header.source, header.destination)
    assert ends == by_hand[1], f"{ends} was read, and it says {by_hand[1]}"
    client = header.of(_PEER)
    for version in (1, 2):
        again = _ran(read_header(_Octets(header_for(client, version), 1 << 20)))  # type: ignore[arg-type]
        assert isinstance(again, Header), f"what we write is refused: {again}"
        if header.source is not None:
            assert again.of(_PEER).ip == client.ip and again.of(_PEER).local_ip == client.local_ip
            assert (again.of(_PEER).port, again.of(_PEER).local_port) == (client.port, client.local_port)
    return True


End = tuple[IPv4Address | IPv6Address, int]


def _by_hand(octets: bytes) -> tuple[int, tuple[End, End] | None] | None:
    """Reads these octets by the specification: the length of the header, and the ends of the connection if it
    names any; None if there is no valid header."""
    try:
        return _by_hand_2(octets) if octets.startswith(_SIGNATURE) else _by_hand_1(octets)
    except (ValueError, struct.error):
        return None


def _by_hand_1(octets: bytes) -> tuple[int, tuple[End, End] | None]:
    line, lf, _ = octets[:107].partition(b"\n")
    if not lf or not line.endswith(b"\r"):
        raise ValueError
    line += lf
    if re.fullmatch(rb"PROXY UNKNOWN(?: [^\n]*)?\r\n", line):  # what comes before CRLF is ignored, also CR
        return len(line), None
    found = _V1.fullmatch(line)
    if found is None:
        raise ValueError
    kind = IPv4Address if found[1] == b"4" else IPv6Address
    ends = [(kind(found[at].decode()), int(found[at + 2])) for at in (2, 3)]
    if any(port > 65_535 for _, port in ends):
        raise ValueError
    return len(line), (ends[0], ends[1])


def _by_hand_2(octets: bytes) -> tuple[int, tuple[End, End] | None]:
    version, family, length = struct.unpack_from("!BBH", octets, 12)
    rest = octets[16 : 16 + length]
    if version >> 4 != 2 or version & 0xF > 1 or len(rest) < length or length > 4_096 - 16:
        raise ValueError
    if version & 0xF == 0:
        return 16 + length, None
    if family >> 4 > 3 or family & 0xF > 2:  # neither is assigned
        raise ValueError
    if family >> 4 == 3 and length < 216:  # two paths of 108 octets
        raise ValueError
    if family >> 4 not in (1, 2):
        return 16 + length, None
    if family & 0xF != 1:  # a receiver may refuse what it cannot use
        raise ValueError
    size = 4 if family >> 4 == 1 else 16
    kind = IPv4Address if size == 4 else IPv6Address
    if length < 2 * size + 4:
        raise ValueError
    ports = struct.unpack_from("!HH", rest, 2 * size)
    at = 2 * size + 4
    while at < length:
        at += 3 + struct.unpack_from("!BH", rest, at)[1]
    if at > length:
        raise ValueError
    return 16 + length, ((kind(rest[:size]), ports[0]), (kind(rest[size : 2 * size]), ports[1]))


def _headers() -> Iterator[bytes]:
    yield b"PROXY UNKNOWN\r\n"
    yield b"PROXY UNKNOWN UNKNOWN\r\r\n"
    yield b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 25\r\n"
    yield b"PROXY TCP6 2001:db8::1 2001:db8::5 51000 25\r\n"
    yield b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.5 1 2\r\n"
    four = bytes((192, 0, 2, 1, 10, 0, 0, 5)) + struct.pack("!HH", 51000, 25)
    six = bytes(15) + b"\1" + bytes(15) + b"\2" + struct.pack("!HH", 51000, 25)
    tlv = b"\x02\0\x04mx.x" + b"\x03\0\4\1\2\3\4" + b"\x20\0\5\1\0\0\0\0"
    for command, family, rest in (
        (1, 0x11, four), (1, 0x21, six), (1, 0x11, four + tlv), (0, 0, b""), (0, 0x11, four), (1, 0x12, four),
        (1, 0x31, bytes(216)), (1, 0x31, b"\xe9" * 216), (1, 0, b""), (1, 0x41, four), (1, 0x13, four),
        (2, 0x11, four),
    ):  # fmt: skip
        yield _SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest


PROXY_HEADER: Final = Target(
    "proxy-header",
    "PROXY headers, versions 1 and 2, beside a reading by hand",
    _try_header,
    _headers,
    longest=512,
    words=(b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"\r\n", _SIGNATURE, b"65535", b"::ffff:", b"\x21\x11"),
)

# XCLIENT and XFORWARD


def _try_attributes(data: bytes) -> bool:
    if b"\r" in data or b"\n" in data or b"\0" in data:
        return False  # no command holds them
    for known in (XCLIENT, XFORWARD):
        try:
            values = read_attributes(data, known)
        except AttributeProblem as problem:
            assert re.fullmatch(r"[ -~]+", str(problem)), "a text that is not fit for a reply"
            continue
        assert values and set(values) <= set(known)
        for value in values.values():
            assert re.fullmatch(r"[ -~]{0,255}", value), f"not printable: {value!r}"
        written = write_attributes(values, known)
        assert read_attributes(written, known) == values, f"written as {written!r}"
    _write_anything(data)
    return True


def _write_anything(data: bytes) -> None:
    """Checks that any client information is written in one line that a server can read."""
    texts = data.decode("utf-8", "surrogateescape").split(" ")
    for known in (XCLIENT, XFORWARD):
        values = dict(zip(known, texts, strict=False))
        written = write_attributes(values, known)
        assert re.fullmatch(rb"[!-~]+(?: [!-~]+)*", written), f"more than one line of words: {written!r}"
        assert set(read_attributes(written, known)) == set(values)


def _attributes() -> Iterator[bytes]:
    yield b"NAME=mx.example.net ADDR=IPV6:2001:db8::1 HELO=[UNAVAILABLE]"
    yield b"ADDR=192.0.2.1 PORT=25 PROTO=ESMTP LOGIN=ann+40x DESTADDR=10.0.0.1 DESTPORT=587"
    yield b"NAME=a ADDR=192.0.2.1 PORT=1 PROTO=SMTP HELO=b IDENT=c SOURCE=LOCAL"
    for _, text in scripts():
        for found in re.finditer(r"^\s*(?:-> )?[CS]: X(?:CLIENT|FORWARD) (.*)$", text, re.MULTILINE):
            yield found[1].encode()


XCLIENT_LINE: Final = Target(
    "xclient",
    "the attributes of XCLIENT and XFORWARD, read and written",
    _try_attributes,
    _attributes,
    longest=1_024,
    words=(*(f"{name}=".encode() for name in (*XCLIENT, *XFORWARD)), b"IPV6:", b"[UNAVAILABLE]", b"+0D"),
)
