"""The replies that the proxy gives in its own name.

The code that finds a violation makes the reply to it: see `RemoteProtocolError.reply_hint`.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.ends.received import Unfinished
from sansio_smtp.events import WaitingFor
from sansio_smtp.wire.replies import Origin, Reply

GO_AHEAD: Final = Reply.of(354, "end data with <CR><LF>.<CR><LF>")
BYE: Final = Reply.of(221, "bye", enhanced="2.0.0")

LOST: Final = Reply.of(421, "upstream server closed the connection", enhanced="4.4.2")
LOST_MESSAGE: Final = Reply.of(
    451, "upstream server was lost before it accepted the message", enhanced="4.4.2"
)
UNREACHABLE: Final = Reply.of(421, "upstream server cannot be reached, try again later", enhanced="4.4.1")
NOT_TAKEN: Final = Reply.of(451, "upstream server did not take the message", enhanced="4.3.0")
NO_TRANSACTION: Final = Reply.of(503, "there is no mail transaction, send MAIL first", enhanced="5.5.1")
NO_RECIPIENT: Final = Reply.of(554, "no valid recipients", enhanced="5.5.1")
NOBODY_THERE: Final = Reply.of(554, "the server has accepted no recipient of this message", enhanced="5.5.1")
NO_RECIPIENT_LMTP: Final = Reply.of(503, "no valid recipients", enhanced="5.5.1")  # RFC 2033 §4.2
UNKNOWN_VERB: Final = Reply.of(502, "this command is not known here, in a mail transaction", enhanced="5.5.1")
IN_MESSAGE: Final = Reply.of(503, "a message is being sent in chunks: BDAT or RSET", enhanced="5.5.1")
NO_CHUNKS: Final = Reply.of(502, "BDAT is not supported here, use DATA", enhanced="5.5.1")
MESSAGE_OVER: Final = Reply.of(503, "the message of this chunk was refused", enhanced="5.5.1")
NOT_BINARY: Final = Reply.of(554, "a binary message cannot be sent to the server from here", enhanced="5.6.1")
NOT_KEPT: Final = Reply.of(451, "the message cannot be kept here, try again later", enhanced="4.3.0")
FAULT: Final = Reply.of(451, "internal error, try again later", enhanced="4.3.0")
LEAVING: Final = Reply.of(421, "internal error, try again later", enhanced="4.3.0")
START_TLS: Final = Reply.of(220, "begin TLS now", enhanced="2.0.0")
NO_ARGUMENT: Final = Reply.of(501, "STARTTLS takes no argument", enhanced="5.5.4")
IN_TRANSACTION: Final = Reply.of(503, "a mail transaction is open", enhanced="5.5.1")
FORWARDED: Final = Reply.of(250, "ok", enhanced="2.0.0")
LOG_IN_FIRST: Final = Reply.of(530, "log in first", enhanced="5.7.0")
LOGGED_IN: Final = Reply.of(235, "logged in", enhanced="2.7.0")
LOGGED_IN_ALREADY: Final = Reply.of(503, "you have logged in already", enhanced="5.5.1")
NO_AUTH_HERE: Final = Reply.of(502, "AUTH is not supported here", enhanced="5.5.1")
ASK_NAME: Final = Reply(334, b"334 VXNlcm5hbWU6\r\n", Origin.PROXY)
ASK_PASSWORD: Final = Reply(334, b"334 UGFzc3dvcmQ6\r\n", Origin.PROXY)
ASK_MESSAGE: Final = Reply(
    334, b"334 \r\n", Origin.PROXY
)  # with the blank: some clients need it to see a challenge
LOGIN_CANCELLED: Final = Reply.of(501, "login cancelled", enhanced="5.7.0")
BAD_AUTH: Final = Reply.of(501, "AUTH needs a mechanism, and takes one initial response", enhanced="5.5.4")
NO_SUCH_MECHANISM: Final = Reply.of(
    504, "this mechanism is not supported here, use PLAIN or LOGIN", enhanced="5.5.4"
)
NO_BASE64: Final = Reply.of(501, "this is no base64", enhanced="5.5.2")
NO_PLAIN_MESSAGE: Final = Reply.of(501, "this is no message of PLAIN", enhanced="5.5.2")
BAD_CREDENTIALS: Final = Reply.of(535, "this name or password cannot be used here", enhanced="5.7.8")
WRONG_LOGIN: Final = Reply.of(535, "upstream server did not accept the login", enhanced="5.7.8")
NO_LOGIN_NOW: Final = Reply.of(454, "login is not possible now, try again later", enhanced="4.7.0")
NOT_LOGGED_IN: Final = Reply.of(
    451, "login of this proxy at the upstream server has failed, try again later", enhanced="4.7.0"
)
LOGIN_NOT_TRUSTED: Final = Reply.of(
    421, "login at the upstream server cannot be trusted, try again later", enhanced="4.7.0"
)
TLS_FAILED: Final = Reply.of(
    421, "upstream server cannot be used with TLS, try again later", enhanced="4.7.5"
)
CLIENT_UNKNOWN: Final = Reply.of(
    421, "upstream server cannot be told who the client is, try again later", enhanced="4.3.0"
)
NOT_FORWARDED: Final = Reply.of(
    451, "upstream server was not told who the client is, try again later", enhanced="4.3.0"
)
TLS_REQUIRED: Final = Reply.of(550, "REQUIRETLS is not possible on the way from here", enhanced="5.7.30")
NOT_RESET: Final = Reply.of(421, "upstream server did not reset the transaction", enhanced="4.3.0")
DETACHED: Final = Reply.of(421, "upstream connection ended with the refused message", enhanced="4.3.2")
NO_COPY: Final = Reply.of(451, "a recipient that this proxy adds was refused", enhanced="4.3.0")
OTHER_ROUTE: Final = Reply.of(452, "send this recipient in a transaction of its own", enhanced="4.5.3")
SHUTDOWN: Final = Reply.of(421, "service is shutting down, try again later", enhanced="4.3.2")
STALLED: Final = Reply.of(421, "upstream server does not take the message", enhanced="4.4.2")
TOO_MANY_ERRORS: Final = Reply.of(421, "too many errors, closing", enhanced="4.7.0")
TOO_MUCH_JUNK: Final = Reply.of(421, "too many commands without a message, closing", enhanced="4.7.0")
EARLY: Final = Reply.of(554, "you spoke before the greeting", enhanced="5.5.1")
NO_ROOM: Final = Reply.of(452, "no memory for this message now, try again later", enhanced="4.3.1")
TOO_MANY_MESSAGES: Final = Reply.of(
    421, "upstream server takes no more messages in this session", enhanced="4.3.2"
)
TOO_MANY_RECIPIENTS: Final = Reply.of(452, "too many recipients", enhanced="4.5.3")

TIMEOUTS: Final = {
    WaitingFor.GREETING: Reply.of(421, "upstream server did not greet in time", enhanced="4.4.2"),
    WaitingFor.COMMAND: Reply.of(421, "timeout: no command received, closing", enhanced="4.4.2"),
    WaitingFor.REPLY: Reply.of(421, "upstream server did not reply in time", enhanced="4.4.2"),
    WaitingFor.CONTENT: Reply.of(421, "timeout: no mail data received, closing", enhanced="4.4.2"),
    WaitingFor.FINAL_REPLY: Reply.of(
        451, "upstream server did not answer the message in time", enhanced="4.4.2"
    ),
    WaitingFor.HANDSHAKE: Reply.of(421, "TLS handshake with upstream server took too long", enhanced="4.4.2"),
    WaitingFor.VERDICT: Reply.of(421, "no decision in time, try again later", enhanced="4.3.0"),
}
NO_END: Final = Reply.of(421, "timeout: mail data not ended by <CR><LF>.<CR><LF>, closing", enhanced="4.4.2")
CHUNK_NOT_ENDED: Final = Reply.of(421, "timeout: only a part of a chunk received, closing", enhanced="4.4.2")


def to_timeout(waiting_for: WaitingFor, unfinished: Unfinished | None) -> Reply:
    """``unfinished``: what has come of the message that the client is sending, or None."""
    if waiting_for is not WaitingFor.CONTENT or unfinished is None:
        return TIMEOUTS[waiting_for]
    if not (unfinished.octets or unfinished.bare_lf):
        return TIMEOUTS[waiting_for]
    return CHUNK_NOT_ENDED if unfinished.in_chunks else NO_END


def header_section_too_large(limit: int) -> Reply:
    return Reply.of(552, f"header section is larger than {limit} octets", enhanced="5.3.4")


def chunk_taken(size: int) -> Reply:
    return Reply.of(250, f"{size} octets received", enhanced="2.0.0")


def too_big(limit: int) -> Reply:
    return Reply.of(552, f"message is larger than {limit} octets", enhanced="5.3.4")


def bad_reverse_path(reason: str) -> Reply:
    return Reply.of(501, reason, enhanced="5.1.7")


def bad_forward_path(reason: str) -> Reply:
    return Reply.of(501, reason, enhanced="5.1.3")


def bad_attribute(reason: str) -> Reply:
    return Reply.of(501, reason, enhanced="5.5.4")
