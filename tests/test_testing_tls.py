"""Scripts about TLS and the client's identity: how they are read, and which faults they find."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from dialogue_writer import WritingProxy

from sansio_smtp import CLIENT, SERVER, ClientInfo, Config, Proxy, Side, TlsInfo
from sansio_smtp.config import ClientTls, UpstreamTls
from sansio_smtp.events import Event, SendToClient
from sansio_smtp.networks import Networks
from sansio_smtp.testing import ScriptError, parse, play
from sansio_smtp.testing.handshakes import read_handshake, written_handshake
from sansio_smtp.testing.notation import escape, octets
from sansio_smtp.testing.script import Handshake, Level, TlsDue

FULL = TlsInfo(
    version="TLSv1.2",
    cipher="AES256-SHA",
    server_name="mx.example",
    verified=True,
    subject="CN=mx.example, O=Some One",
)

STARTTLS = """
# config: tls=may
# client: 192.0.2.1:51000
S: 220 mx.example
    -> C: 220 mx.example
C: STARTTLS
    -> C: 220 2.0.0 begin TLS now
    -> tls C
"""


def failure(text: str, proxy: Any = Proxy) -> str:
    with pytest.raises(AssertionError) as failed:
        play(parse(text, "x.txt"), proxy=proxy)
    return str(failed.value)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("", TlsInfo(version="TLSv1.3")),
        ("TLSv1.2", TlsInfo(version="TLSv1.2")),
        ("verified", TlsInfo(version="TLSv1.3", verified=True)),
        ("cipher=X subject=CN=a b", TlsInfo(version="TLSv1.3", cipher="X", subject="CN=a b")),
        (f"TLSv1.2 cipher=AES256-SHA sni=mx.example verified subject={FULL.subject}", FULL),
        ("failed", "the handshake failed"),
        ("failed: no shared cipher", "no shared cipher"),
    ],
)
def test_how_a_handshake_ends(text: str, end: TlsInfo | str) -> None:
    assert read_handshake(text) == end
    assert read_handshake(written_handshake(end)[5:-1]) == end


@pytest.mark.parametrize(
    "text", ["failed:", "tlsv1.3", "TLSv1.3 checked", "subject=", "verified cipher=x", "1"]
)
def test_what_is_no_end_of_a_handshake(text: str) -> None:
    with pytest.raises(
        ScriptError, match=r"x\.txt:1: not a handshake: .* write VERSION cipher=NAME sni=NAME verified"
    ):
        parse(f"C: <tls {text}>", "x.txt")


def test_statements() -> None:
    script = parse("<connected verify>\nS: <tls verified>\n    -> tls C\nC: <tls failed: x>\n")
    assert script.items == (
        Level(1, UpstreamTls.VERIFY, kept=False),
        Handshake(2, SERVER, TlsInfo(version="TLSv1.3", verified=True)),
        TlsDue(3, CLIENT),
        Handshake(4, CLIENT, "x"),
    )


def test_a_level_that_is_none() -> None:
    with pytest.raises(ScriptError, match='this is "none", "may", "encrypt" or "verify", not'):
        parse("<connected verfy>\nS: x\n")


def test_octets_that_look_like_a_handshake_are_written_otherwise() -> None:
    for line in (b"<tls TLSv1.3>", b"<tls failed: x>"):
        assert escape(line).startswith("\\x3ctls")
        assert octets(escape(line)) == line + b"\r\n"


def test_settings() -> None:
    script = parse(
        "# config: tls=encrypt, upstream_tls=may, accept_xclient=192.0.2.0/24 unix, ehlo_name=proxy.example\n"
        "# client: 192.0.2.1:51000, name=host.example, tls=TLSv1.2 cipher=X, local_port=25, login=ann\n"
        "S: 220 mx\n"
    )
    assert script.config == Config(
        tls=ClientTls.ENCRYPT,
        upstream_tls=UpstreamTls.MAY,
        accept_xclient=Networks.parse(["192.0.2.0/24", "unix"]),
        ehlo_name="proxy.example",
    )
    tls = TlsInfo(version="TLSv1.2", cipher="X")
    assert script.client == ClientInfo(
        address="192.0.2.1:51000", name="host.example", tls=tls, local_port=25, login="ann"
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("# client: 192.0.2.1:5, nmae=x", "unknown setting 'nmae'; did you mean 'name'?"),
        ("# client: 192.0.2.1:5, port=x", "port: 'x' is not a number"),
        ("# client: 192.0.2.1:5, tls=x", "tls: not a handshake: 'x'"),
        ("# client:", "client needs an address"),
        (
            "# config: accept_xclient=192.0.2.1/24",
            "accept_xclient: '192.0.2.1/24' has bits set after its prefix",
        ),
        ("# show: clients", "cannot show 'clients'; did you mean 'client'?"),
    ],
)
def test_settings_that_are_wrong(line: str, why: str) -> None:
    with pytest.raises(ScriptError) as error:
        parse(f"{line}\nS: 220 mx\n", "x.txt")
    assert str(error.value).startswith(f"x.txt:1: {why}")


def test_a_handshake_that_is_not_in_the_script() -> None:
    assert "+ -> tls C" in failure(STARTTLS.replace("    -> tls C\n", ""))
    assert "- -> tls S" in failure(STARTTLS.replace("-> tls C", "-> tls C\n    -> tls S"))


def test_the_end_of_a_handshake_that_is_not_due() -> None:
    greeted = STARTTLS.partition("C: STARTTLS")[0]
    assert "x.txt:6: no TLS handshake is due in phase COMMAND" in failure(f"{greeted}C: <tls>\n")
    assert "call server_connected before the server's first octets" in failure(f"{STARTTLS}<connected may>\n")


def test_octets_in_a_handshake_are_an_error_unless_it_fails() -> None:
    assert "has sent octets in its handshake" in failure(f"{STARTTLS}C: RSET\nC: <tls>\n")
    play(f"{STARTTLS}C: RSET\nC: <tls failed>\n    -> close S, C\n")
    assert "may not be read and has more to say" in failure(f"{STARTTLS}C: RSET\n")


def test_a_proxy_that_speaks_into_a_handshake() -> None:
    class Hasty(Proxy):
        def receive_from(self, side: Side, data: bytes) -> list[Event]:
            events = super().receive_from(side, data)
            return [*events, SendToClient(b"250 more\r\n")] if side is CLIENT else events

    assert "octets are sent to the client in its TLS handshake: b'250 more" in failure(STARTTLS, Hasty)


def test_a_dialogue_that_is_written_can_be_played() -> None:
    proxies: list[WritingProxy] = []

    def make(config: Config, ask: Collection[str], **known: ClientInfo) -> WritingProxy:
        proxies.append(WritingProxy(config, ask, **known))
        return proxies[-1]

    text = f"""
# config: tls=may, accept_xclient=192.0.2.0/24
# client: 192.0.2.1:51000, name=host.example
# ask: CLIENT_CHANGED
# show: client
<connected none>
S: <tls TLSv1.2 cipher=X verified subject=CN=mx.example, O=b>
{STARTTLS.partition("51000")[2]}C: <tls>
C: XCLIENT ADDR=198.51.100.7
    ? CLIENT_CHANGED 198.51.100.7
    -> client 198.51.100.7
    ! continue
    -> C: 220 mx.example
<client lost>
    -> close S, C
"""
    play(text, proxy=make)
    written = proxies[0].dialogue
    assert "# client: 192.0.2.1:51000, name=host.example\n" in written
    assert "accept_xclient=192.0.2.0/24" in written
    play(written)


def test_a_client_under_tls_is_written() -> None:
    proxy = WritingProxy(
        Config(), client=ClientInfo(address="unix", tls=TlsInfo(version="TLSv1.2", cipher="X"))
    )
    assert "# client: unix, tls=TLSv1.2 cipher=X\n" in proxy.dialogue
