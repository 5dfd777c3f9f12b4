"""The client's end before, in and after a TLS handshake with its server."""

from __future__ import annotations

import pytest

from core.scene import few_cuts
from sansio_smtp.ends.client import ClientConnection, ReplyReceived
from sansio_smtp.ends.received import END_OF_INPUT, NEED_DATA, Pause
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.violations import RemoteProtocolError


def hears(end: ClientConnection, *pieces: bytes) -> list[object]:
    events: list[object] = []
    for piece in pieces:
        end.receive_data(piece)
        while not isinstance(event := end.next_event(), Pause):
            events.append(event)
    return events


def says(end: ClientConnection, line: str, *replies: bytes) -> None:
    end.send_command(Command.of(line))
    hears(end, b"".join(reply + b"\r\n" for reply in replies))


def introduced() -> ClientConnection:
    end = ClientConnection()
    hears(end, b"220 mx\r\n")
    says(end, "EHLO me", b"250-mx", b"250 STARTTLS")
    return end


def in_handshake() -> ClientConnection:
    end = introduced()
    says(end, "STARTTLS", b"220 go")
    return end


def test_what_came_in_plain_text_is_forgotten() -> None:
    """RFC 3207 §4.2."""
    end = introduced()
    says(end, "MAIL FROM:<a>", b"250 ok")
    says(end, "STARTTLS", b"220 go")
    assert (end.phase, end.may_send(), end.next_event()) == (Phase.TLS, False, NEED_DATA)
    end.tls_started()
    assert (end.phase, end.hello, end.keywords, end.offered) == (Phase.COMMAND, None, {}, None)
    assert not end.transaction.open


@pytest.mark.parametrize("reply", [b"454 not now", b"501 no"])
def test_a_refused_starttls(reply: bytes) -> None:
    end = introduced()
    says(end, "STARTTLS", reply)
    assert end.phase is Phase.COMMAND
    with pytest.raises(LocalProtocolError, match="no TLS handshake is due in phase COMMAND"):
        end.tls_started()


@pytest.mark.parametrize("more", [b"250 injected\r\n", b"x", b"250-"])
def test_what_comes_after_220_in_plain_text_is_never_read(more: bytes) -> None:
    """CVE-2021-38371: in any cut."""
    for pieces in few_cuts(b"220 go\r\n" + more):
        end = introduced()
        end.send_command(Command.of("STARTTLS"))
        accepted, error = hears(end, *pieces)[:2]
        assert isinstance(accepted, ReplyReceived)
        assert isinstance(error, RemoteProtocolError)
        assert (error.reply_hint.code, end.phase) == (421, Phase.MUST_CLOSE)


def test_octets_before_the_handshake_are_never_read_after_it() -> None:
    """Also if the caller does not ask for the violation."""
    end = in_handshake()
    end.receive_data(b"250 AUTH PLAIN\r\n")
    with pytest.raises(LocalProtocolError, match="octets came before the TLS handshake; call next_event"):
        end.tls_started()
    assert isinstance(end.next_event(), RemoteProtocolError)


def test_the_end_of_input_in_the_handshake() -> None:
    end = in_handshake()
    end.receive_eof()
    assert end.next_event() is END_OF_INPUT


def test_what_the_server_has_offered_is_known_after_helo() -> None:
    end = ClientConnection()
    hears(end, b"220 mx\r\n")
    assert end.offered is None
    says(end, "EHLO me", b"250-mx", b"250 XFORWARD NAME")
    says(end, "HELO me", b"250 mx")
    assert (end.keywords, end.offered) == ({}, {"XFORWARD": "NAME"})
    says(end, "EHLO me", b"502 no")
    assert end.offered == {}


def test_after_xclient_the_session_begins_anew() -> None:
    end = introduced()
    says(end, "XFORWARD NAME=a", b"250 ok")
    assert end.hello is not None
    says(end, "XCLIENT NAME=a", b"550 no")
    assert end.hello is not None
    says(end, "XCLIENT NAME=a", b"220 mx")
    assert (end.phase, end.hello, end.offered) == (Phase.COMMAND, None, None)


def test_ehlo_may_be_due_again() -> None:
    end = introduced()
    end.forget_hello()
    assert (end.hello, end.offered) == (None, {"STARTTLS": ""})
