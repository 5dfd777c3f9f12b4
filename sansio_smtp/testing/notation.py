r"""Reads and writes octets as a script does: text in UTF-8, one line for each line, CRLF implied.

Escapes are ``\r \n \0 \\ \xNN``; a ``\`` at the end of a line says that no CRLF follows;
``<5000 * x>``, the sign of multiplication being as good as the star, is five thousand times ``x``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sansio_smtp.names import closest

__all__ = ["NotationError", "did_you_mean", "escape", "octets", "written"]

_TOKEN: Final = re.compile(
    r"\\(?P<escape>[rn0\\]|x[0-9A-Fa-f]{2})"
    r"|(?P<open>\\\Z)"
    r"|(?P<bad>\\.)"
    r"|<(?P<times>[0-9]{1,9}) [*\u00d7] (?P<what>[^>]+)>"
)
_NAMED: Final = {"r": b"\r", "n": b"\n", "0": b"\0", "\\": b"\\"}
_ESCAPED: Final = {"\r": r"\r", "\n": r"\n", "\0": r"\0"}
_RUN: Final = re.compile(rb"([!-~])\1{63,}", re.DOTALL)
# What would be read as something else than itself: a repetition, or a whole line such as <eof> or <tls …>.
_REPETITION: Final = re.compile(r"<(?=[0-9]+ [*\u00d7] )")
_EVENT: Final = re.compile(r"<(?:[a-z ]+|tls .*)>")
_MOST: Final = 100_000_000


class NotationError(ValueError):
    """Text that cannot be read as octets."""


def octets(text: str) -> bytes:
    r"""The octets that a line of notation stands for, with CRLF unless it ends in ``\``."""
    data, complete = _unescape(text)
    return data + b"\r\n" if complete else data


def written(data: bytes) -> list[str]:
    """The lines of notation for octets: `octets` of each, joined, is ``data`` again."""
    *lines, rest = data.split(b"\r\n")
    texts = [escape(line) for line in lines]
    return [*texts, escape(rest) + "\\"] if rest or not lines else texts


def escape(line: bytes) -> str:
    """Octets as text, with a CRLF at their end escaped; long runs of one octet are folded."""
    parts: list[str] = []
    start = 0
    for run in _RUN.finditer(line):
        parts.append(_escape(line[start : run.start()]))
        what = _escape(run[1]).replace(">", "\\x3e")
        parts.append(f"<{len(run[0])} * {what}>")
        start = run.end()
    parts.append(_escape(line[start:]))
    text = "".join(parts)
    if _EVENT.fullmatch(text):
        text = "\\x3c" + text[1:]
    return text[:-1] + "\\x20" if text.endswith(" ") else text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'answer'?``, or nothing if no word comes near."""
    meant = closest(word, known)
    return f"; did you mean {meant!r}?" if meant else ""


def _escape(data: bytes) -> str:
    text = data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else _control(char) for char in text)
    return _REPETITION.sub(r"\\x3c", text)


def _control(char: str) -> str:
    return _ESCAPED.get(char) or "".join(f"\\x{octet:02x}" for octet in char.encode())


def _unescape(text: str) -> tuple[bytes, bool]:
    data = bytearray()
    start = 0
    for token in _TOKEN.finditer(text):
        data += text[start : token.start()].encode()
        start = token.end()
        if name := token["escape"]:
            data += _NAMED.get(name) or bytes.fromhex(name[1:])
        elif token["bad"]:
            raise NotationError(f"unknown escape {token['bad']!r}; there are \\r \\n \\0 \\\\ \\xNN")
        elif token["times"]:
            what, complete = _unescape(token["what"])
            times = int(token["times"])
            if not complete or times * len(what) > _MOST:
                raise NotationError(f"cannot repeat: {token[0]!r}")
            data += what * times
        else:
            return bytes(data), False
    data += text[start:].encode()
    return bytes(data), True
