"""A proxy that records its dialogue, and writes it as a dialogue script: what a test shows when it fails."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import attrs

from sansio_smtp.arguments import Octets
from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config, Dialect, UpstreamTls
from sansio_smtp.events import (
    CLIENT,
    SERVER,
    Ask,
    Close,
    Connect,
    Event,
    Release,
    SendToClient,
    SendToServer,
    Side,
    StartTLS,
)
from sansio_smtp.networks import Networks
from sansio_smtp.proxy.proxy import Proxy
from sansio_smtp.questions import (
    Answer,
    AnyQuestion,
    Continue,
    Disconnect,
    Inspect,
    LogIn,
    Replace,
    ReplaceCommand,
    ReplaceReply,
    Route,
    Swallow,
)
from sansio_smtp.wire.replies import Reply

from .handshakes import written_handshake, written_tls
from .notation import escape, written
from .verdicts import HOME, ScriptedSasl
from .written import Step, asks, ending, shown

__all__ = ["RecordedProxy", "Recording", "setting_lines", "verdict_lines"]

_LETTERS: Final = {CLIENT: "C", SERVER: "S"}

if TYPE_CHECKING:
    _Base = Proxy
else:
    _Base = object


@attrs.frozen
class _Fed:
    """Octets from a side."""

    side: Side
    data: bytes


@attrs.frozen
class _Answered:
    """A verdict on a question."""

    question: Any
    verdict: Any


class Recording(_Base):
    """Put this class before the class of a proxy among the bases of a class. It records the inputs and the
    events of the proxy. The script is written when somebody reads it."""

    shows: ClassVar[Collection[str]] = ()
    """The kinds of events that are written besides what is sent, asked, connected and closed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._known: ClientInfo | None = named.get("client")
        self._record: list[str | _Fed | _Answered | list[Event]] = []

    @property
    def dialogue(self) -> str:
        """The script so far."""
        lines = setting_lines(self.config, self.ask, self._known, self.shows)
        fed: dict[Side, bytes] = {}
        for entry in self._record:
            if isinstance(entry, _Fed):
                if entry.side not in fed:
                    lines += _fed_lines(fed)
                    fed = {entry.side: b""}
                fed[entry.side] += entry.data  # what comes in several pieces is one segment of a script
                continue
            if entry:
                lines += _fed_lines(fed)
                fed = {}
            if isinstance(entry, str):
                lines.append(entry)
            elif isinstance(entry, _Answered):
                lines += [f"    {line}" for line in verdict_lines(entry.verdict, entry.question)]
            else:
                lines += [f"    {line}" for line in _event_lines(entry, self.ask, self.shows)]
        return "\n".join([*lines, *_fed_lines(fed)]) + "\n"

    # Each input is recorded before it is handled: it may be the one that raises.

    def receive_from(self, side: Side, data: Octets) -> list[Event]:
        self._record.append(_Fed(side, bytes(data)))
        return self._follows(super().receive_from(side, data))

    def eof_from(self, side: Side) -> list[Event]:
        self._record.append(f"{_LETTERS[side]}: <eof>")
        return self._follows(super().eof_from(side))

    def client_lost(self) -> list[Event]:
        self._record.append("<client lost>")
        return self._follows(super().client_lost())

    def server_connected(
        self, tls: UpstreamTls | str, dialect: Dialect | str | None = None, *, kept: bool = False
    ) -> None:
        self._record.append(f"<connected {UpstreamTls(tls).value}{' kept' if kept else ''}>")
        super().server_connected(tls, dialect, kept=kept)

    def tls_started(self, side: Side, info: TlsInfo) -> list[Event]:
        self._record.append(f"{_LETTERS[side]}: {written_handshake(info)}")
        return self._follows(super().tls_started(side, info))

    def tls_failed(self, side: Side, why: str) -> list[Event]:
        self._record.append(f"{_LETTERS[side]}: {written_handshake(why)}")
        return self._follows(super().tls_failed(side, why))

    def server_unreachable(self) -> list[Event]:
        self._record.append("<unreachable>")
        return self._follows(super().server_unreachable())

    def timed_out(self, *, stalled: bool = False) -> list[Event]:
        self._record.append("<timeout>")
        return self._follows(super().timed_out(stalled=stalled))

    def shutdown(self, *, now: bool = False) -> list[Event]:
        self._record.append("<shutdown now>" if now else "<shutdown>")
        return self._follows(super().shutdown(now=now))

    def refuse(self, reply: Reply) -> list[Event]:
        self._record.append(f"# refused before a server is connected, which no script can say: {reply}")
        return self._follows(super().refuse(reply))

    def answer(self, question: Any, verdict: Any) -> list[Event]:
        self._record.append(_Answered(question, verdict))
        return self._follows(super().answer(question, verdict))

    def more(self) -> list[Event]:
        return self._follows(super().more())

    def _follows(self, events: list[Event]) -> list[Event]:
        # A copy: a driver may add to the list what follows from a verdict, and that is recorded by itself.
        self._record.append(events.copy())
        return events


class RecordedProxy(Recording, Proxy):
    """A proxy that records its dialogue."""


def setting_lines(
    config: Config, ask: frozenset[str], client: ClientInfo | None = None, shows: Collection[str] = ()
) -> list[str]:
    """The lines at the top of a script: hook places, settings that are not the default, the client, events
    to show."""
    changed = [
        f"{field.name}={_setting(value)}"
        for field in attrs.fields(Config)
        if (value := getattr(config, field.name)) != field.default
    ]
    settings = {"ask": sorted(ask), "config": changed, "client": _client_words(client), "show": shows}
    return [f"# {name}: {', '.join(words)}" for name, words in settings.items() if words]


def verdict_lines(verdict: Any, question: AnyQuestion | None = None) -> list[str]:
    """The lines that give a verdict; the recipients that it adds come first. The question is needed for a
    `Replace` that keeps a part of the content."""
    added = [f"! add {escape(command.raw)}" for command in getattr(verdict, "recipients", ())]
    return [*added, f"! {_verdict(verdict, question)}".rstrip()]


def _client_words(client: ClientInfo | None) -> list[str]:
    """The address, then what does not follow from it."""
    if client is None:
        return []
    plain = ClientInfo(address=client.address)
    return [client.address] + [
        f"{field.name}={_setting(value)}"
        for field in attrs.fields(ClientInfo)
        if field.name != "address" and (value := getattr(client, field.name)) != getattr(plain, field.name)
    ]


def _event_lines(events: list[Event], ask: frozenset[str], shows: Collection[str]) -> list[str]:
    """What a proxy does, as the lines that expect it."""
    step = Step()
    for event in events:
        if isinstance(event, SendToClient):
            step.add_sent(CLIENT, event.data)
        elif isinstance(event, SendToServer):
            step.add_sent(SERVER, event.data)
        elif isinstance(event, Close | Release):
            step.add_closed(event.side, ending(event))
        elif isinstance(event, StartTLS):
            step.add_tls_due(event.side)
        elif isinstance(event, Connect):
            step.add_connected(event.upstream)
        elif isinstance(event, Ask):
            step.add_asked(asks(event.question, ask))
        elif (kind_and_text := shown(event)) and kind_and_text[0] in shows:
            step.add_shown(kind_and_text[1])
    return step.notation()


def _verdict(verdict: Any, question: Any) -> str:
    match verdict:
        case Continue():
            return "continue"
        case Answer(reply):
            return f"answer {_reply(reply)}"
        case Disconnect(reply):
            return f"disconnect {_reply(reply)}"
        case Swallow(reply):
            return f"swallow {_reply(reply)}"
        case Inspect(places):
            return f"inspect {', '.join(sorted(places))}"
        case Route(upstream, command):
            return f"route {upstream or HOME} {escape(command.raw) if command else ''}"
        case ReplaceCommand(command):
            return f"replace {escape(command.raw)}"
        case ReplaceReply(reply):
            return f"replace {escape(reply.raw[:-2])}"
        case LogIn(ScriptedSasl(login=login)):
            first = "-" if login.initial is None else _secret(login.initial)
            return " | ".join(("login " + login.name, first, *map(_secret, login.responses)))
        case Replace(data, rest=rest):
            kept = b"" if rest is None else bytes(question.data[rest:])
            return f"replace {_content(data + kept)}"
        case _:
            return f"(no verdict) {verdict!r}"


def _secret(octets: bytes) -> str:
    return escape(octets) or "empty"


def _reply(reply: Reply) -> str:
    text = escape(b"\r\n".join(reply.lines))
    return f"{reply.code} {text}"


def _content(data: bytes) -> str:
    r"""Content on one line: its last CRLF implied, the others written."""
    whole = data.endswith(b"\r\n") and data != b"\r\n"
    return escape(data[:-2]) if whole else escape(data) + "\\"


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return " ".join(sorted(cast("frozenset[str]", value)))
    if isinstance(value, Networks):
        return str(value)
    if isinstance(value, TlsInfo):
        return written_tls(value)
    return str(cast("object", value.value) if isinstance(value, Enum) else value)


def _fed_lines(fed: dict[Side, bytes]) -> list[str]:
    return [f"{_LETTERS[side]}: {text}".rstrip() for side, data in fed.items() for text in written(data)]
