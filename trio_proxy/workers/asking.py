"""Asks the parent of the workers on its control socket, without Trio: for a command that only waits."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ask"]


def ask(path: Path, topic: str, seconds: float) -> Mapping[str, Any]:
    """Asks the parent, and returns its answer. Raises OSError, also if there is none in time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        sock.connect(str(path))
        sock.sendall(json.dumps({"topic": topic, "ask": 1}).encode() + b"\n")
        line = sock.makefile("rb").readline()
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the service has ended without an answer")
    answer: Mapping[str, Any] = json.loads(line)
    return answer
