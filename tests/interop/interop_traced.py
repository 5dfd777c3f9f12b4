"""The system calls of the executable, as strace sees them: what is made durable, in which order; replies."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

__all__ = ["durable_calls", "traced"]

_LINE = re.compile(r"^\d+ +(.*)$")
_CALL = re.compile(r"(\w+)\((.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")


def traced(trace: Path) -> list[str]:
    """The command that the executable runs under; signals reach it as usual."""
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: install Debian's strace", pytrace=False)
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write"
    return ["strace", "-D", "-f", "-y", "-s", "200", "-e", calls, "-o", str(trace)]


def durable_calls(trace: Path, directory: Path) -> list[str]:
    """``fsync PATH``, ``rename PATH``, and ``reply TEXT`` for what is sent to a client, in the order in which
    the first two returned and the third began. Paths are relative to the directory; messages are NAME."""
    begun: dict[str, str] = {}
    found: list[str] = []
    for line in trace.read_text("utf-8", "replace").splitlines():
        process = line.split(" ", 1)[0]
        matched = _LINE.match(line)
        text = matched[1] if matched else ""
        if resumed := _RESUMED.match(text):
            text = begun.pop(process, "") + resumed[2]
        elif "<unfinished ...>" in text:
            begun[process] = text.removesuffix(" <unfinished ...>")
            if not text.startswith("sendto"):
                continue
        if (call := _CALL.match(text)) is not None:
            found += _said(call[1], call[2], str(directory))
    return found


def _said(name: str, rest: str, directory: str) -> list[str]:
    if name == "sendto":
        sent = re.match(r'[^"]*"((?:[^"\\]|\\.)*)"', rest)
        return [f"reply {sent[1]}"] if sent else []
    if name in ("fsync", "fdatasync"):
        path = re.search(r"<(.*?)>", rest)
    elif name.startswith("rename"):
        path = re.search(r'.*"(.*?)"', rest)
    else:
        return []
    if path is None or not path[1].startswith(directory):
        return []
    short = (
        re.sub(r"\d+\.\d+\.P\d+Q\d+\.[^/]+?\.eml", "NAME", path[1].removeprefix(directory).strip("/")) or "."
    )
    return [f"{name} {short}" + ("" if rest.rstrip().endswith("= 0") else " failed")]
