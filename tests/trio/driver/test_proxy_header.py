"""PROXY headers, read octet by octet or at once, and written."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_smtp import ClientInfo
from trio_proxy.driver.proxy_header import Header, HeaderError, header_for, read_header

PEER = ClientInfo(address="10.0.0.1:40000")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4 = b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 25\r\n"
TCP6 = b"PROXY TCP6 2001:db8::1 2001:db8::5 51000 25\r\n"
FOUR = bytes((192, 0, 2, 1, 10, 0, 0, 5)) + struct.pack("!HH", 51000, 25)
SIX = ip_address("2001:db8::1").packed + ip_address("2001:db8::5").packed + struct.pack("!HH", 51000, 25)


def v2(command: int, family: int, rest: bytes, length: int | None = None) -> bytes:
    return (
        SIGNATURE
        + struct.pack("!BBH", 0x20 | command, family, len(rest) if length is None else length)
        + rest
    )


def mapped(ip: str) -> bytes:
    """As this version of Python writes it."""
    return str(ip_address(f"::ffff:{ip}")).encode()


class Octets:
    """Gives what a peer has sent, and remembers what was taken of it."""

    def __init__(self, octets: bytes, at_most: int = 1 << 20) -> None:
        self.left = octets
        self.at_most = at_most
        self.reads = 0

    async def receive_some(self, most: int, end: bytes = b"") -> bytes:
        assert most > 0
        self.reads += 1
        data = self.left[: min(most, self.at_most)]
        if end and end in data:
            data = data[: data.index(end) + len(end)]
        self.left = self.left[len(data) :]
        return data


@pytest.mark.parametrize(
    ("octets", "address", "local"),
    [
        (TCP4, "192.0.2.1:51000", ("10.0.0.5", 25)),
        (TCP6, "[2001:db8::1]:51000", ("2001:db8::5", 25)),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.5 1 2\r\n", "192.0.2.1:1", ("10.0.0.5", 2)),
        (v2(1, 0x11, FOUR), "192.0.2.1:51000", ("10.0.0.5", 25)),
        (v2(1, 0x21, SIX), "[2001:db8::1]:51000", ("2001:db8::5", 25)),
        (v2(1, 0x11, FOUR + b"\x03\0\x04\1\2\3\4"), "192.0.2.1:51000", ("10.0.0.5", 25)),
        (v2(1, 0x11, FOUR + b"\x03\0\x01\1"), "192.0.2.1:51000", ("10.0.0.5", 25)),
    ],
)
@pytest.mark.parametrize("at_most", [1, 7, 1 << 20])
async def test_who_the_client_is(octets: bytes, address: str, local: tuple[str, int], at_most: int) -> None:
    """Not one octet after the header is read."""
    source = Octets(octets + b"EHLO me\r\n", at_most)
    client = (await read_header(source)).of(PEER)
    assert source.left == b"EHLO me\r\n"
    assert (client.address, client.local_ip, client.local_port) == (address, *local)
    assert ClientInfo(address=address).ip == client.ip
    assert (client.proxy_ip, client.unix) == ("10.0.0.1", False)


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN what comes before CRLF is ignored\r\r\n",
        v2(0, 0x00, b""),
        v2(0, 0x11, FOUR),
        v2(0, 0x11, b"anything"),
        v2(0, 0x11, b"\x03\0\x01\1"),  # it is not looked at: else it would be a checksum of one octet
        v2(1, 0x00, b""),
        v2(0, 0x91, b""),
        v2(1, 0x31, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")),
        v2(1, 0x31, b"/run/\xc3\xa9".ljust(108, b"\0") + b"\xff" * 108),
        v2(1, 0x32, bytes(216)),
        v2(1, 0x02, b""),
    ],
)
async def test_a_proxy_that_speaks_for_itself_is_the_client(octets: bytes) -> None:
    source = Octets(octets)
    assert (await read_header(source)).of(PEER) is PEER
    assert source.left == b""


async def test_a_client_of_a_proxy_on_a_unix_socket_is_not_on_this_machine() -> None:
    client = (await read_header(Octets(TCP4))).of(ClientInfo(address="unix"))
    assert (client.ip, client.unix, client.is_local) == ("192.0.2.1", False, False)


async def test_what_else_a_header_says_is_kept_and_sent_on() -> None:
    """Its checksum is made anew."""
    said = ((0x05, b"id-1"), (0x02, b"mx.example"), (0xE0, b""))
    tlvs = b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in said)
    client = (await read_header(Octets(v2(1, 0x11, FOUR + tlvs)))).of(PEER)
    assert client.proxy_tlvs == said
    again = await read_header(Octets(header_for(client, 2)))
    assert sorted(again.tlvs) == sorted(said)
    assert again.of(PEER).address == client.address


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"EHLO me.example\r\n", "it is no PROXY header"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc", "it is no PROXY header"),
        (b"", "the connection ended before the header did"),
        (b"PROXY TC", "the connection ended before the header did"),
        (b"PROXY TCP4 192.0.2.1", "the connection ended before the header did"),
        (b"PROXY TCP4 192.0.2.1\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 25\n", "it is no PROXY header"),
        (b"PROXY TCP4  192.0.2.1 10.0.0.5 51000 25\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 2_5\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 +25\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 192.0.2.1 10.0.0.5 51000 65536\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 2001:db8::1 10.0.0.5 51000 25\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 mx 10.0.0.5 51000 25\r\n", "it is no PROXY header"),
        (b"PROXY TCP4 \xe9 10.0.0.5 51000 25\r\n", "it is no PROXY header"),
        (b"PROXY TCP6 fe80::1%1 fe80::2 51000 25\r\n", "it is no PROXY header"),
        (b"PROXY UDP4 192.0.2.1 10.0.0.5 51000 25\r\n", "it is no PROXY header"),
        (b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n", "it is longer than 107 octets"),
        (b"PROXY " + b"x" * 1_000_000, "it is longer than 107 octets"),
        (v2(1, 0x11, FOUR, length=65_535) + b"x" * 1_000_000, "it is longer than 4096 octets"),
        (v2(1, 0x11, FOUR, length=11), "it is no PROXY header"),
        (v2(1, 0x11, FOUR[:-1]), "it is no PROXY header"),
        (v2(1, 0x21, SIX[:-1]), "it is no PROXY header"),
        (v2(1, 0x11, FOUR, length=13), "the connection ended before the header did"),
        (v2(1, 0x11, FOUR + b"\x05\0\x05id-1"), "it is no PROXY header"),
        (v2(1, 0x11, FOUR + b"\x05\0"), "it is no PROXY header"),
        (v2(1, 0x12, FOUR), "it is no PROXY header"),
        (v2(1, 0x10, FOUR), "it is no PROXY header"),
        (v2(2, 0x11, FOUR), "it is no PROXY header"),
        (v2(8, 0x11, FOUR), "it is no PROXY header"),
        (v2(9, 0x31, bytes(216)), "it is no PROXY header"),
        (v2(1, 0x91, FOUR), "it is no PROXY header"),
        (v2(1, 0x13, FOUR), "it is no PROXY header"),
        (v2(1, 0x03, b""), "it is no PROXY header"),
        (v2(1, 0x33, bytes(216)), "it is no PROXY header"),
        (v2(1, 0x31, bytes(215)), "it is no PROXY header"),
        (SIGNATURE + b"\x11\x11\0\x0c" + FOUR, "it is no PROXY header"),
        (b"\r\n\r\n\0\r\nQUIT\r" + b"\x21\x11\0\x0c" + FOUR, "it is no PROXY header"),
    ],
)
@pytest.mark.parametrize("at_most", [1, 1 << 20])
async def test_what_is_no_right_header(octets: bytes, why: str, at_most: int) -> None:
    source = Octets(octets, at_most)
    with pytest.raises(HeaderError) as problem:
        await read_header(source)
    assert str(problem.value) == why
    assert len(problem.value.octets) <= 4_096
    assert problem.value.octets + source.left == octets


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21"]),
)
def test_any_octets(octets: bytes, before: bytes) -> None:
    coroutine = read_header(Octets(before + octets))
    with pytest.raises((HeaderError, StopIteration)) as ended:
        coroutine.send(None)
    if isinstance(ended.value, StopIteration):
        assert isinstance(ended.value.value, Header)


# Written

NAMED = ClientInfo(address="192.0.2.1:51000", local_ip="10.0.0.5", local_port=25)


@pytest.mark.parametrize(
    ("client", "line"),
    [
        (NAMED, TCP4),
        (ClientInfo(address="[2001:db8::1]:51000", local_ip="2001:db8::5", local_port=25), TCP6),
        (
            ClientInfo(address="[2001:db8::1]:51000", local_ip="10.0.0.5", local_port=25),
            b"PROXY TCP6 2001:db8::1 %b 51000 25\r\n" % mapped("10.0.0.5"),
        ),
        (
            ClientInfo(address="192.0.2.1:51000", local_ip="2001:db8::5", local_port=25),
            b"PROXY TCP6 %b 2001:db8::5 51000 25\r\n" % mapped("192.0.2.1"),
        ),
        (
            ClientInfo(address="[fe80::1%eth0]:51000", local_ip="fe80::5%eth0", local_port=25),
            b"PROXY TCP6 fe80::1 fe80::5 51000 25\r\n",
        ),
        (ClientInfo(ip="192.0.2.1"), b"PROXY TCP4 192.0.2.1 0.0.0.0 0 0\r\n"),
        (ClientInfo(ip="2001:db8::1", local_ip="?"), b"PROXY TCP6 2001:db8::1 :: 0 0\r\n"),
        (ClientInfo(address="unix"), b"PROXY UNKNOWN\r\n"),
        (ClientInfo(address="unknown", local_ip="10.0.0.5"), b"PROXY UNKNOWN\r\n"),
        (ClientInfo(ip="x\r\nMAIL"), b"PROXY UNKNOWN\r\n"),
    ],
)
async def test_a_header_for_a_server(client: ClientInfo, line: bytes) -> None:
    """Both versions say the same."""
    assert header_for(client, 1) == line
    first, second = [await read_header(Octets(header_for(client, version))) for version in (1, 2)]
    assert (first.source, first.destination) == (second.source, second.destination)


def test_a_header_of_version_2() -> None:
    assert header_for(NAMED, 2) == v2(1, 0x11, FOUR)
    assert header_for(ClientInfo(address="unix"), 2) == v2(0, 0, b"")
