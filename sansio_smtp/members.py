"""Members of enums as module names, for comparisons at every input.

In CPython 3.11 ``Phase.COMMAND`` searches the metaclass, which costs more than a function call; a module name
is found at once. Only code that runs for every input uses these names. ``PHASE_COMMAND`` is
``Phase.COMMAND``.
"""

from __future__ import annotations

from typing import Final

from sansio_smtp.wire.content import Form

from .config import Dialect
from .states import Gate, Message, Phase, UpstreamState
from .verbs import Effect, Kind, Support

__all__ = [
    "DIALECT_LMTP",
    "EFFECT_ADD_RECIPIENT",
    "EFFECT_BEGIN",
    "EFFECT_END",
    "FORM_DOTTED",
    "FORM_PLAIN",
    "GATE_ASKED",
    "GATE_ENDING",
    "GATE_OPEN",
    "GATE_QUEUED",
    "GATE_SHUT",
    "KIND_AUTH",
    "KIND_AUTH_LINE",
    "KIND_CHUNK",
    "KIND_DATA",
    "KIND_DROPPED_CHUNK",
    "KIND_END_OF_DATA",
    "KIND_GROUP",
    "KIND_HELLO",
    "KIND_IDENTITY",
    "KIND_LAST_CHUNK",
    "KIND_QUIT",
    "KIND_STARTTLS",
    "MESSAGE_DROPPING",
    "MESSAGE_NONE",
    "MESSAGE_SENDING",
    "MESSAGE_STREAMING",
    "PHASE_AUTH_LINE",
    "PHASE_CHUNK",
    "PHASE_CLOSED",
    "PHASE_COMMAND",
    "PHASE_CONTENT",
    "PHASE_GREETING",
    "PHASE_MUST_CLOSE",
    "PHASE_TLS",
    "SUPPORT_FORWARDED",
    "UPSTREAM_CLOSED",
    "UPSTREAM_CONNECTING",
    "UPSTREAM_DETACHED",
    "UPSTREAM_READY",
]

DIALECT_LMTP: Final = Dialect.LMTP

PHASE_AUTH_LINE: Final = Phase.AUTH_LINE
PHASE_CHUNK: Final = Phase.CHUNK
PHASE_CLOSED: Final = Phase.CLOSED
PHASE_COMMAND: Final = Phase.COMMAND
PHASE_CONTENT: Final = Phase.CONTENT
PHASE_GREETING: Final = Phase.GREETING
PHASE_MUST_CLOSE: Final = Phase.MUST_CLOSE
PHASE_TLS: Final = Phase.TLS

KIND_AUTH: Final = Kind.AUTH
KIND_AUTH_LINE: Final = Kind.AUTH_LINE
KIND_CHUNK: Final = Kind.CHUNK
KIND_DROPPED_CHUNK: Final = Kind.DROPPED_CHUNK
KIND_LAST_CHUNK: Final = Kind.LAST_CHUNK
KIND_DATA: Final = Kind.DATA
KIND_END_OF_DATA: Final = Kind.END_OF_DATA
KIND_GROUP: Final = Kind.GROUP
KIND_HELLO: Final = Kind.HELLO
KIND_IDENTITY: Final = Kind.IDENTITY
KIND_QUIT: Final = Kind.QUIT
KIND_STARTTLS: Final = Kind.STARTTLS

EFFECT_ADD_RECIPIENT: Final = Effect.ADD_RECIPIENT
EFFECT_BEGIN: Final = Effect.BEGIN
EFFECT_END: Final = Effect.END

GATE_ASKED: Final = Gate.ASKED
GATE_ENDING: Final = Gate.ENDING
GATE_OPEN: Final = Gate.OPEN
GATE_QUEUED: Final = Gate.QUEUED
GATE_SHUT: Final = Gate.SHUT

MESSAGE_DROPPING: Final = Message.DROPPING
MESSAGE_NONE: Final = Message.NONE
MESSAGE_SENDING: Final = Message.SENDING
MESSAGE_STREAMING: Final = Message.STREAMING

UPSTREAM_CLOSED: Final = UpstreamState.CLOSED
UPSTREAM_CONNECTING: Final = UpstreamState.CONNECTING
UPSTREAM_DETACHED: Final = UpstreamState.DETACHED
UPSTREAM_READY: Final = UpstreamState.READY

SUPPORT_FORWARDED: Final = Support.FORWARDED

FORM_DOTTED: Final = Form.DOTTED
FORM_PLAIN: Final = Form.PLAIN
