"""The server's end before, in and after a TLS handshake, and what a client may not send."""

from __future__ import annotations

from typing import Any

import pytest

from core.scene import few_cuts
from core.server_ends import drain, given, greeted, told
from sansio_smtp.client_info import ClientInfo
from sansio_smtp.config import ClientTls, Config
from sansio_smtp.ends.access import access_of
from sansio_smtp.ends.received import END_OF_INPUT, NEED_DATA, PAUSED, ChunkEnded, Refused
from sansio_smtp.ends.server import ServerConnection
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.states import Phase
from sansio_smtp.wire.replies import Reply
from sansio_smtp.wire.violations import RemoteProtocolError

REMOTE = ClientInfo(address="192.0.2.1:50000")
GO = Reply.of(220, "go")


def offering(level: ClientTls = ClientTls.MAY, **more: Any) -> ServerConnection:
    end = greeted()
    end.allow(access_of(Config(tls=level, **more), REMOTE))
    return end


def in_handshake() -> ServerConnection:
    end = offering()
    given(end, b"STARTTLS\r\n")
    end.send_reply(GO)
    return end


def test_starttls_blocks_and_its_reply_opens_the_handshake() -> None:
    end = offering()
    (command, pause) = given(end, b"starttls\r\n")
    assert (command.verb, pause, end.phase) == (b"STARTTLS", PAUSED, Phase.BLOCKED)
    assert end.injected() is None
    end.send_reply(GO)
    assert (end.phase, drain(end)) == (Phase.TLS, [PAUSED])
    end.tls_started()
    assert (end.phase, drain(end)) == (Phase.COMMAND, [NEED_DATA])


def test_a_refused_starttls_lets_commands_go_on() -> None:
    end = offering()
    given(end, b"STARTTLS x\r\n")
    end.send_reply(Reply.of(501, "no"))
    assert end.phase is Phase.COMMAND


def test_tls_that_is_not_due() -> None:
    with pytest.raises(LocalProtocolError, match="no TLS handshake is due in phase COMMAND"):
        offering().tls_started()


def test_what_came_before_the_handshake_is_never_read_after_it() -> None:
    """CVE-2011-0411: in any cut, before the reply to STARTTLS or after it."""
    for pieces in few_cuts(b"STARTTLS\r\nRSET\r\n"):
        end = offering()
        events = given(end, *pieces)
        assert len(events) == 2
        error = end.injected()
        assert error is not None
        assert (error.reply_hint.code, error.evidence) == (503, b"RSET\r\n")


def test_octets_in_the_handshake() -> None:
    end = in_handshake()
    end.receive_data(b"AUTH PLAIN AGEAYg==\r\n")
    error, *_ = [end.next_event()]
    assert isinstance(error, RemoteProtocolError)
    assert error.phase is Phase.TLS
    assert b"AGEAYg" not in error.evidence


def test_the_end_of_input_in_the_handshake() -> None:
    end = in_handshake()
    end.receive_eof()
    assert end.next_event() is END_OF_INPUT


def test_a_refused_credential_of_before_tls_is_forgotten() -> None:
    """After AUTH was refused, the next line may be a credential; after TLS it is a command."""
    end = offering()
    given(end, b"AUTH LOGIN\r\n")
    end.send_reply(Reply.of(535, "no"))
    given(end, b"STARTTLS\r\n")
    end.send_reply(GO)
    end.tls_started()
    (command, _) = given(end, b"x-secret word\r\n")
    assert command.shown == b"x-secret word"


# Commands that may not come now


def test_at_encrypt_the_octets_of_bdat_are_dropped() -> None:
    """RFC 3030 §2."""
    end = offering(ClientTls.ENCRYPT)
    first, ended, _ = given(end, b"BDAT 6 LAST\r\nMAIL\r\n")
    assert told(first)[0] == 530
    assert isinstance(ended, ChunkEnded)
    end.send_reply(first.error.reply_hint)
    second, _ = given(end, b"BDAT x\r\n")
    assert told(second)[0] == 501


def test_auth_in_clear() -> None:
    """RFC 4954 §4. What follows may be a credential, and is never shown."""
    end = offering(auth_without_tls=False)
    refused, _ = given(end, b"AUTH LOGIN\r\n")
    assert isinstance(refused, Refused)
    assert told(refused) == (538, "encryption is required to log in here: b'AUTH LOGIN'")
    assert refused.expected
    end.send_reply(refused.error.reply_hint)
    (line, _) = given(end, b"c2VjcmV0\r\n")
    assert told(line)[0] == 500
    assert b"c2VjcmV0" not in line.error.evidence + line.command.shown
    end.send_reply(line.error.reply_hint)
    assert given(end, b"NOOP\r\n")[0].verb == b"NOOP"


@pytest.mark.parametrize("more", [{"auth_without_tls": False}, {"level": ClientTls.ENCRYPT}])
def test_credentials_of_a_client_that_did_not_wait_are_never_shown(more: dict[str, Any]) -> None:
    """However many lines of them come: a command that is known ends them."""
    end = offering(**more)
    refused, _ = given(end, b"AUTH LOGIN\r\n")
    end.send_reply(refused.error.reply_hint)
    for line in (b"dXNlcg==", b"c2VjcmV0", b"bW9yZQ==", b"x y"):
        answered, *_ = given(end, line + b"\r\n")
        assert told(answered)[0] == 500, "no server is to see it"
        assert line not in answered.error.evidence + answered.command.shown
        end.send_reply(Reply.of(500))
    assert given(end, b"NOOP\r\n")[0].shown == b"NOOP"


def test_what_a_client_may_do_follows_from_the_config() -> None:
    """A server of one's own need not call `allow`."""
    end = greeted(Config(tls="encrypt", auth_without_tls=False))  # type: ignore[arg-type]
    refused, _ = given(end, b"AUTH PLAIN AGEAYg==\r\n")
    assert told(refused)[0] == 530
    end.send_reply(refused.error.reply_hint)
    command, _ = given(end, b"STARTTLS\r\n")
    assert command.verb == b"STARTTLS"
    end.send_reply("220 go")
    end.tls_started()
    assert "STARTTLS" not in end.offers
    refused, _ = given(end, b"STARTTLS\r\n")
    assert told(refused)[0] == 503
    end.send_reply(refused.error.reply_hint)
    command, _ = given(end, b"AUTH PLAIN AGEAYg==\r\n")
    assert command.verb == b"AUTH"


def test_octets_before_the_handshake_are_never_read_after_it() -> None:
    """Also if the caller does not ask for the violation."""
    end = offering()
    end.receive_data(b"STARTTLS\r\nNOOP\r\n")
    end.next_event()
    end.send_reply(GO)
    with pytest.raises(LocalProtocolError, match="octets came before the TLS handshake; call next_event"):
        end.tls_started()
    error, pause = end.next_event(), end.next_event()
    assert isinstance(error, RemoteProtocolError)
    assert (pause, end.phase) == (PAUSED, Phase.MUST_CLOSE)


def test_logins_are_taken_under_tls_only_if_the_config_says_so() -> None:
    end = greeted(Config(tls="may", auth_without_tls=False))  # type: ignore[arg-type]
    assert not end.takes_logins
    given(end, b"STARTTLS\r\n")
    end.send_reply(GO)
    end.tls_started()
    assert end.takes_logins
    assert greeted().takes_logins
