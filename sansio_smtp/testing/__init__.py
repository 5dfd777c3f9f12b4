"""For tests of programs and rules built on this library: dialogue scripts and their player, ways to cut
octets, and honest peers that need no network."""

from .chunks import Chunker, at, bytewise, drawn, fixed, whole
from .peers import Accepted, FakeClient, FakeServer, Message, Outcome, Peer, converse
from .player import Played, play
from .script import Script, ScriptError, parse

__all__ = [
    "Accepted",
    "Chunker",
    "FakeClient",
    "FakeServer",
    "Message",
    "Outcome",
    "Peer",
    "Played",
    "Script",
    "ScriptError",
    "at",
    "bytewise",
    "converse",
    "drawn",
    "fixed",
    "parse",
    "play",
    "whole",
]
