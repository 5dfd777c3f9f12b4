"""A server that keeps every message in a Maildir, for a proxy that has no upstream server yet.

Built on `sansio_smtp.ServerConnection`.
"""

from __future__ import annotations

import errno
import time
from functools import partial
from typing import Any, BinaryIO, Final

import structlog
import trio

from sansio_smtp import (
    ChunkEnded,
    Command,
    Config,
    ContentReceived,
    ContentRefused,
    EndOfData,
    Envelope,
    Kind,
    Pause,
    Refused,
    RemoteProtocolError,
    Reply,
    ServerConnection,
    unstuff,
)
from sansio_smtp.rules import Message
from trio_proxy.account.kept import Kept, KeptMail
from trio_proxy.account.queue_ids import queue_id
from trio_proxy.storage.maildir import Maildir
from trio_proxy.storage.writers import write_in_thread

from .capture_login import MECHANISMS, CaptureLogin
from .outbox import Outbox
from .own_replies import INTERNAL_ERROR
from .streams import Stream

__all__ = ["CaptureSession"]

log = structlog.stdlib.get_logger("smtp_proxy.capture")

_MAX_MESSAGE: Final = 1_000_000_000
_IDLE_SECONDS: Final = 600
_CLOSING_SECONDS: Final = 10
_GREETING: Final = Reply.of(220, "capture.invalid ESMTP smtp-proxy capture: messages are kept, not delivered")
_EHLO: Final = Reply.of(
    250, "capture.invalid", "PIPELINING", f"SIZE {_MAX_MESSAGE}", "8BITMIME", "SMTPUTF8", "DSN", "HELP",
    "ENHANCEDSTATUSCODES", f"AUTH {MECHANISMS}",
)  # fmt: skip
_OK: Final = Reply.of(250, "ok", enhanced="2.0.0")
_NO_MAIL: Final = Reply.of(503, "MAIL first", enhanced="5.5.1")
_REPLIES: Final = {
    b"EHLO": _EHLO,
    b"HELO": Reply.of(250, "capture.invalid"),
    b"RSET": _OK,
    b"NOOP": _OK,
    b"VRFY": Reply.of(252, "send some mail, it will be kept", enhanced="2.5.2"),
    b"HELP": Reply.of(214, "MAIL, RCPT, DATA, AUTH; a recipient that begins with 'refused' is refused"),
    b"QUIT": Reply.of(221, "bye", enhanced="2.0.0"),
}
_MOST_HEAD: Final = 65_536
"""Octets of a message in which its subject is looked for."""
_MOST_SUBJECT: Final = 1_000
"""Characters of a subject that are told."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_UNKNOWN: Final = Reply.of(500, "unknown command", enhanced="5.5.1")


class CaptureSession:
    """One client of the capture server. ``kept`` is told of each message that is kept."""

    def __init__(self, client: Stream, peer: str, maildir: Maildir, kept: KeptMail | None = None) -> None:
        self._connection = ServerConnection(Config(), max_message_size=_MAX_MESSAGE)
        self._outbox = Outbox(client)
        self._peer = peer
        self._maildir = maildir
        self._helo = ""
        self._login = CaptureLogin()
        self._kept = kept
        self._message: tuple[str, BinaryIO] | None = None
        self._head = bytearray()
        self._refusal: Reply | None = None
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Returns when the connection is closed."""
        try:
            with self._scope:
                self._reply(_GREETING)
                await self._outbox.flush()
                await self._serve()
        except OSError as error:
            log.info("connection to the built-in server lost", peer=self._peer, error=str(error))
        except Exception:
            log.exception("internal error of the built-in server, closing", peer=self._peer)
            self._outbox.put(INTERNAL_ERROR.raw)
            with trio.move_on_after(_CLOSING_SECONDS):
                await self._outbox.flush()
        finally:
            if self._message is not None:
                self._maildir.drop(*self._message)
            self._outbox.stream.close()

    def shutdown(self, *, now: bool = False) -> None:
        if now or not self._connection.in_transaction:
            self._scope.cancel(reason="the service is shutting down")

    async def _serve(self) -> None:
        while self._outbox.broken is None:
            data = b""
            with trio.move_on_after(_IDLE_SECONDS):
                data = await self._outbox.stream.receive()
            if not data:
                return
            self._connection.receive_data(data)
            while not isinstance(event := self._connection.next_event(), Pause):
                if isinstance(event, EndOfData):
                    await self._end_of_data(event)
                elif not isinstance(event, RemoteProtocolError):  # which is for STARTTLS, not offered here
                    self._handle(event)
            await self._outbox.flush()
            if self._connection.phase.name == "MUST_CLOSE":
                return

    def _handle(self, event: Command | Refused | ContentReceived | ContentRefused | ChunkEnded) -> None:
        if isinstance(event, ChunkEnded):
            self._reply(_UNKNOWN)
        elif isinstance(event, Command):
            self._command(event)
        elif isinstance(event, Refused):
            self._reply(event.error.reply_hint)
        elif isinstance(event, ContentRefused):
            self._refusal = event.error.reply_hint
        elif self._message is not None and self._refusal is None:
            data = unstuff(event.data, event.at_line_start)
            if (room := _MOST_HEAD - len(self._head)) > 0:
                self._head += data[:room]
            try:
                self._message[1].write(data)
            except OSError as error:
                self._refusal = _not_kept(error)

    def _command(self, command: Command) -> None:
        verb, envelope = command.verb, self._connection.envelope
        if verb == b"BDAT":  # which is not offered; it is answered when its octets have come
            self._connection.drop_chunk(stray=True)
            return
        if verb in (b"EHLO", b"HELO"):
            self._helo = command.argument.decode("utf-8", "replace")
        if verb == b"MAIL":
            self._reply(
                Reply.of(503, "RSET first", enhanced="5.5.1") if envelope.mail else _path_reply(command)
            )
        elif command.kind is Kind.AUTH_LINE:
            self._reply(self._login.go_on(command))
        elif verb == b"AUTH":
            self._reply(self._login.begin(command, in_mail=envelope.mail is not None))
        elif verb == b"RCPT":
            self._reply(_path_reply(command) if envelope.mail else _NO_MAIL)
        elif verb == b"DATA":
            if not envelope.recipients:
                self._reply(
                    Reply.of(554, "no valid recipients", enhanced="5.5.1") if envelope.mail else _NO_MAIL
                )
                return
            try:
                self._message = self._maildir.create()
            except OSError as error:
                self._reply(_not_kept(error))
                return
            self._reply(Reply.of(354, "go ahead"))
        else:
            self._reply(_REPLIES.get(verb, _UNKNOWN))

    async def _end_of_data(self, event: EndOfData) -> None:
        message, self._message = self._message, None
        refusal, self._refusal = self._refusal, None
        head, self._head = self._head, bytearray()
        assert message is not None
        if refusal is not None:
            self._maildir.drop(*message)
            self._reply(refusal)
            return
        record = self._record(self._connection.envelope, event.size)
        try:
            await write_in_thread(partial(self._maildir.keep, *message, record))
        except OSError as error:
            self._maildir.drop(*message)
            self._reply(_not_kept(error))
            return
        reply = Reply.of(250, f"kept as {message[0]}", enhanced="2.0.0")
        if self._kept is not None:
            kept = Kept(f"new/{message[0]}", record["mail_from"] or "", _subject(head))
            self._kept.add(queue_id(reply.raw), kept)
        self._reply(reply)

    def _record(self, envelope: Envelope, size: int) -> dict[str, Any]:
        path = envelope.reverse_path
        return {
            "mail_from": path.address if path else None,
            "mail_parameters": {p.keyword: p.value for p in path.parameters} if path else {},
            "rcpt_to": [forward.address for forward in envelope.forward_paths],
            "helo": self._helo,
            "login": self._login.name,
            "login_mechanism": self._login.mechanism,
            "peer": self._peer,
            "size": size,
            "received": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def _reply(self, reply: Reply) -> None:
        self._outbox.put(self._connection.send_reply(reply))


def _subject(head: bytes | bytearray) -> str:
    """The subject of a message that begins so."""
    return (Message(bytes(head)).headers.get("Subject") or "")[:_MOST_SUBJECT]


def _not_kept(error: OSError) -> Reply:
    log.error("message cannot be kept", error=str(error))
    if error.errno in _NO_ROOM:
        return Reply.of(452, "the message cannot be kept here", enhanced="4.3.1")
    return Reply.of(451, "the message cannot be kept here, try again later", enhanced="4.3.0")


def _path_reply(command: Command) -> Reply:
    path = command.path
    if path is None:
        return Reply.of(
            501,
            f"write {command.verb.decode()} {'FROM' if command.verb == b'MAIL' else 'TO'}:<address>",
            enhanced="5.5.4",
        )
    if command.verb == b"RCPT" and path.address.lower().startswith("refused"):
        return Reply.of(550, "this recipient is always refused", enhanced="5.1.1")
    return Reply.of(250, "ok", enhanced="2.1.0" if command.verb == b"MAIL" else "2.1.5")
