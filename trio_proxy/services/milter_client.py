"""Speaks the mail server's side of the milter protocol: shows a message to a filter and collects its answers.
The protocol has no RFC; it is version 6 of Sendmail's libmilter. kilter.protocol reads and writes the
packets, but its state machine is only for filters.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias

import attrs
import trio
from kilter.protocol import messages as m
from kilter.protocol.buffer import FixedSizeBuffer, SimpleBuffer
from kilter.protocol.exceptions import InsufficientSpace, UnknownMessage

from .outage import folded

__all__ = ["Edit", "Envelope", "Field", "MilterError", "Outcome", "converse"]

Field: TypeAlias = tuple[bytes, bytes]
"""A header field: its name, and the text from the colon to its last CRLF, not unfolded."""
Edit: TypeAlias = (
    m.AddHeader
    | m.InsertHeader
    | m.ChangeHeader
    | m.ReplaceBody
    | m.AddRecipient
    | m.AddRecipientPar
    | m.RemoveRecipient
    | m.ChangeSender
    | m.Quarantine
)
"""A change that a filter wants. Values of header fields are written as in `Field`."""

_Step: TypeAlias = (
    m.Connect
    | m.Helo
    | m.EnvelopeFrom
    | m.EnvelopeRecipient
    | m.Data
    | m.Header
    | m.EndOfHeaders
    | m.Body
    | m.EndOfMessage
)

_VERSION: Final = 6
_CHUNK: Final = 65_535
_LONGEST: Final = 4_194_304
"""The most octets of a packet from a filter. A larger one is an error."""
_A = m.ActionFlags
_ACTIONS: Final = (
    _A.ADD_HEADERS
    | _A.CHANGE_HEADERS
    | _A.CHANGE_BODY
    | _A.ADD_RECIPIENT
    | _A.ADD_RECIPIENT_PAR
    | _A.QUARANTINE
    | _A.SETSYMLIST
)
"""The changes that are offered to the filter. The server has already answered MAIL and RCPT, so changing the
sender or removing recipients is not offered."""
_P = m.ProtocolFlags
_STEPS: Final[dict[int, tuple[m.ProtocolFlags, m.ProtocolFlags, m.Stage | None]]] = {
    m.Connect.ident: (_P.NO_CONNECT, _P.NR_CONNECT, m.Stage.CONNECT),
    m.Helo.ident: (_P.NO_HELO, _P.NR_HELO, m.Stage.HELO),
    m.EnvelopeFrom.ident: (_P.NO_SENDER, _P.NR_SENDER, m.Stage.ENVELOPE_FROM),
    m.EnvelopeRecipient.ident: (_P.NO_RECIPIENT, _P.NR_RECIPIENT, m.Stage.ENVELOPE_RECIPIENT),
    m.Data.ident: (_P.NO_DATA, _P.NR_DATA, m.Stage.DATA),
    m.Header.ident: (_P.NO_HEADERS, _P.NR_HEADER, None),
    m.EndOfHeaders.ident: (_P.NO_END_OF_HEADERS, _P.NR_END_OF_HEADERS, m.Stage.END_HEADERS),
    m.Body.ident: (_P.NO_BODY, _P.NR_BODY, None),
    m.EndOfMessage.ident: (_P.NONE, _P.NONE, m.Stage.END_MESSAGE),
}
"""Step → the flag of a filter that does not want this step, the flag of a filter that does not answer it, and
the stage that names the macros sent before it."""
_OFFERED: Final = m.ProtocolFlags(
    sum(no | silent for no, silent, _ in _STEPS.values())
    | _P.NO_UNKNOWN
    | _P.NR_UNKNOWN
    | _P.SKIP
    | _P.HEADER_LEADING_SPACE
)
_MACROS: Final[Mapping[m.Stage, Collection[str]]] = {
    m.Stage.CONNECT: ("j", "{daemon_name}"),
    m.Stage.ENVELOPE_FROM: ("i", "{auth_authen}", "{mail_addr}"),
    m.Stage.ENVELOPE_RECIPIENT: ("i", "{rcpt_addr}"),
    m.Stage.DATA: ("i",),
    m.Stage.END_HEADERS: ("i",),
    m.Stage.END_MESSAGE: ("i",),
}
"""The macros for a filter that does not say which it wants."""


class MilterError(Exception):
    """The filter does not speak the protocol, or has closed the connection too early."""


@attrs.frozen(kw_only=True)
class Envelope:
    """The client, the sender and the recipients of a message."""

    ip: str = ""
    """Empty if the client has no IP address, or if that is not known."""
    port: int = 0
    name: str = ""
    """The client's host name; empty if it is not known."""
    helo: str = ""
    sender: bytes = b"<>"
    """The sender in angle brackets; recipients have them too."""
    sender_parameters: tuple[bytes, ...] = ()
    recipients: tuple[tuple[bytes, tuple[bytes, ...]], ...] = ()
    """Each recipient with its parameters."""
    macros: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Macros for all steps, such as ``{"j": "mail.example.net", "{auth_authen}": "bob"}``. The macros of a
    step are added."""


@attrs.frozen
class Outcome:
    """The result of a filter for a message."""

    action: Literal["accept", "reject", "defer", "discard", "reply"]
    code: int = 0
    """With ``reply``: 4xx or 5xx."""
    text: str = ""
    """With ``reply``: one line of printable ASCII."""
    edits: tuple[Edit, ...] = ()
    """With ``accept``, in the filter's order."""


_FINAL: Final[dict[int, Outcome]] = {
    m.Accept.ident: Outcome("accept"),
    m.Reject.ident: Outcome("reject"),
    m.TemporaryFailure.ident: Outcome("defer"),
    m.Discard.ident: Outcome("discard"),
}


async def converse(
    stream: trio.abc.Stream, envelope: Envelope, fields: Iterable[Field], body: bytes
) -> Outcome:
    """Sends a filter everything from connect to the end of one message, and ends the milter session.

    Raises `MilterError`, and what the stream raises. The caller sets the deadline.
    """
    session = _Session(stream, envelope.macros)
    await session.negotiate()
    outcome = await session.show(envelope, fields, body)
    with suppress(trio.BrokenResourceError):
        await session.send(m.Abort(), m.Close())
    return outcome


@attrs.define
class _Session:
    _stream: trio.abc.Stream
    _macros: Mapping[str, str]
    _wanted: Mapping[m.Stage, Collection[str]] = attrs.field(init=False, default=_MACROS)
    _flags: m.ProtocolFlags = attrs.field(init=False, default=_P.NONE)
    _data: bytearray = attrs.field(init=False, factory=bytearray)

    async def negotiate(self) -> None:
        await self.send(m.Negotiate(_VERSION, _ACTIONS, _OFFERED))
        answer = await self._receive()
        if not isinstance(answer, m.Negotiate) or not 2 <= answer.version <= _VERSION:
            raise MilterError(f"not an answer to what was on offer: {answer!r}")
        self._flags = answer.protocol_flags
        if answer.version < 4:  # this version has no step DATA
            self._flags |= _P.NO_DATA
        if answer.macros:
            self._wanted = {**_MACROS, **answer.macros}

    async def show(self, envelope: Envelope, fields: Iterable[Field], body: bytes) -> Outcome:
        """Goes from step to step until the filter has decided."""
        spaced = bool(self._flags & _P.HEADER_LEADING_SPACE)
        for step, macros in _steps(envelope, fields, spaced):
            answer = await self._tell(step, macros)
            if (outcome := _outcome(answer)) is not None:
                return outcome
        for start in range(0, len(body), _CHUNK):
            answer = await self._tell(m.Body(body[start : start + _CHUNK]))
            if isinstance(answer, m.Skip):
                break
            if (outcome := _outcome(answer)) is not None:
                return outcome
        edits: list[Edit] = []
        answer = await self._tell(m.EndOfMessage(b""))
        while isinstance(answer, Edit):
            edits.append(_spaced(answer, spaced))
            answer = await self._receive()
        outcome = _outcome(answer) or _FINAL[m.Accept.ident]
        return attrs.evolve(outcome, edits=tuple(edits)) if outcome.action == "accept" else outcome

    async def _tell(self, step: _Step, macros: Mapping[str, str] | None = None) -> m.Message | None:
        """Sends a step and returns the answer; None if the filter does not want this step, or does not answer
        it."""
        unwanted, unanswered, stage = _STEPS[step.ident]
        if unwanted & self._flags:
            return None
        known = {**self._macros, **(macros or {})}
        names = self._wanted.get(stage, ()) if stage is not None else ()
        values = {name: known[name] for name in names if name in known}
        await self.send(*([_Macro(step.ident, values)] if values else []), step)
        return None if unanswered & self._flags else await self._receive()

    async def send(self, *messages: m.Message) -> None:
        await self._stream.send_all(b"".join(map(_packed, messages)))

    async def _receive(self) -> m.Message:
        """The next packet other than `Progress`, with which a filter asks for more time."""
        while True:
            size = int.from_bytes(self._data[:4], "big") + 4
            if len(self._data) < 4 or len(self._data) < size <= _LONGEST:
                if not (more := await self._stream.receive_some(65_536)):
                    raise MilterError("it hung up")
                self._data += more
                continue
            if not 5 <= size <= _LONGEST:
                raise MilterError(f"a packet of {size} octets")
            packet = bytes(self._data[:size])
            del self._data[:size]
            message = _unpacked(packet)
            if not isinstance(message, m.Progress):
                return message


def _steps(
    envelope: Envelope, fields: Iterable[Field], spaced: bool
) -> Iterator[tuple[_Step, Mapping[str, str] | None]]:
    """The steps before the body, each with the macros that are known only there."""
    yield _connect(envelope.name, envelope.ip, envelope.port), None
    yield _Helo(envelope.helo), None
    sender = m.EnvelopeFrom(envelope.sender, [*envelope.sender_parameters])
    yield sender, {"{mail_addr}": _bare(envelope.sender)}
    for address, parameters in envelope.recipients:
        yield m.EnvelopeRecipient(address, [*parameters]), {"{rcpt_addr}": _bare(address)}
    yield m.Data(), None
    for name, value in fields:
        text = value.replace(b"\r\n", b"\n").replace(b"\0", b"")
        yield m.Header(_ascii(name), text if spaced else text.removeprefix(b" ")), None
    yield m.EndOfHeaders(), None


def _connect(name: str, ip: str, port: int) -> m.Connect:
    if not ip:
        return m.Connect(name or "unknown")
    address = ip_address(ip.partition("%")[0])
    return m.Connect(name or f"[{address}]", address, port)


def _outcome(answer: m.Message | None) -> Outcome | None:
    """The result that an answer gives; None if the filter wants to see more."""
    if answer is None or isinstance(answer, m.Continue):
        return None
    if isinstance(answer, m.ReplyCode):
        return _reply(bytes(answer.content))
    if answer.ident not in _FINAL:
        raise MilterError(f"{answer!r} at a time when it has no meaning")
    return _FINAL[answer.ident]


def _reply(content: bytes) -> Outcome:
    """Joins the lines of a reply, because a verdict has one line."""
    lines = content.rstrip(b"\0\r\n").replace(b"%%", b"%").splitlines()
    found = [re.fullmatch(rb"([45]\d\d)[ -]?(.*)", line) for line in lines]
    if not found or found[0] is None:
        raise MilterError(f"{content!r} is no reply")
    text = b" ".join(match[2].strip() for match in found if match)
    return Outcome("reply", int(found[0][1]), re.sub(r"[^ -~]", "?", _ascii(text)))


def _spaced(edit: Edit, spaced: bool) -> Edit:
    """The edit, with CRLF and white space before each continuation line of a folded field."""
    if isinstance(edit, m.AddHeader | m.ChangeHeader):
        value = folded(bytes(edit.value))
        return replace(edit, value=value if spaced or not value else b" " + value)
    return edit


def _packed(message: m.Message) -> bytes:
    capacity = 2 * _CHUNK
    while True:
        buffer = SimpleBuffer(capacity)
        try:
            message.pack(buffer)
        except InsufficientSpace:
            capacity *= 8
        else:
            return bytes(buffer[:])


def _unpacked(packet: bytes) -> m.Message:
    buffer = SimpleBuffer(len(packet))
    buffer[:] = packet
    try:
        message, _ = m.Message.unpack(buffer)
    except (UnknownMessage, ValueError, AssertionError, IndexError, struct.error) as error:
        raise MilterError(f"a packet that cannot be read: {packet[:60]!r}") from error
    message.freeze()
    return message


class _Helo(m.Helo):
    """The argument of EHLO as the client gave it. kilter's own class accepts only what IDNA can encode."""

    def to_buffer(self, buf: FixedSizeBuffer) -> None:
        buf[:] = _octets(self.hostname)


class _Macro(m.Macro):
    """Macros with values in UTF-8. kilter's own class accepts only ASCII."""

    def to_buffer(self, buf: FixedSizeBuffer) -> None:
        buf[:] = bytes([self.stage]) + b"".join(
            _octets(text) for pair in self.macros.items() for text in pair
        )


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0"


def _ascii(octets: bytes) -> str:
    return octets.decode("latin-1").encode("ascii", "replace").decode("ascii")


def _bare(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape").strip("<>")
