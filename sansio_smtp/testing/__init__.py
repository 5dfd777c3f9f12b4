"""Tools for tests of programs and rules that are built on this library.

Dialogue scripts and their player, ways to cut octets, honest peers without a network, rules in a unit test.
Hypothesis strategies are in the subpackage `strategies`, which is not imported here: it needs Hypothesis.
"""

from .chunks import Chunker, Sizes, at, bytewise, drawn, fixed, whole
from .conversation import converse
from .dialogue import Dialogue, Turn
from .peers import Accepted, FakeClient, FakeServer, Message, Outcome, Peer
from .player import Played, play
from .rules import AsyncSession, Session, async_session, session
from .script import Script, ScriptError, parse
from .steps import willing_server

__all__ = [
    "Accepted",
    "AsyncSession",
    "Chunker",
    "Dialogue",
    "FakeClient",
    "FakeServer",
    "Message",
    "Outcome",
    "Peer",
    "Played",
    "Script",
    "ScriptError",
    "Session",
    "Sizes",
    "Turn",
    "async_session",
    "at",
    "bytewise",
    "converse",
    "drawn",
    "fixed",
    "parse",
    "play",
    "session",
    "whole",
    "willing_server",
]
