"""Replies (RFC 5321 §4.2): a value type that keeps the original octets. `ReplyReader` reads them."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import attrs

from sansio_smtp.arguments import wrong_type
from sansio_smtp.errors import LocalProtocolError

__all__ = ["REPLY", "Origin", "Reply"]

# RFC 5321 §4.2: three digits, then SP, "-" or nothing. [0-9], because \d also matches other digits in str.
REPLY: Final = re.compile(rb"([2-5][0-9][0-9])(?:-[^\r\n\0]*\r\n\1)*(?: [^\r\n\0]*)?\r\n")
"""A complete reply; its first group is the code."""
_ENHANCED: Final = re.compile(rb"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?=[ \r])")
_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?: .*)?", re.DOTALL)
_CODE: Final = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}")
_USE_OF: Final = 'make a reply with Reply.of, such as Reply.of(250, "ok")'
_FORBIDDEN: Final = re.compile(rb"[\r\n\0]")


class Origin(Enum):
    """Who has decided a reply."""

    __hash__ = object.__hash__  # as in states: members are singletons

    SERVER = "server"
    """The server; the proxy may have removed text that the client cannot use."""
    PROXY = "proxy"
    RULE = "rule"
    """A rule, or the proxy because a rule has failed."""


@attrs.define(eq=False, slots=True)
class Reply:
    """One reply: ``raw`` are its lines on the wire, each with its CRLF.

    Make a reply with `Reply.of`, which checks its arguments. ``Reply(…)`` itself checks nothing, as it runs
    for each reply that is read; `ServerConnection.send_reply` refuses a wrong one. Treat a reply as
    immutable.
    """

    code: int
    raw: bytes
    origin: Origin = attrs.field(default=Origin.SERVER, repr=False)
    """Who has decided it. It is not compared, so equal replies may have different origins."""

    @classmethod
    def of(cls, code: int, *lines: str | bytes, enhanced: str = "", origin: Origin = Origin.PROXY) -> Reply:
        """A reply of the proxy's own: ``Reply.of(550, "not here", enhanced="5.7.1")``.

        Each line is one line of text without its CRLF; ``enhanced`` (RFC 2034) is put before each.
        Raises `LocalProtocolError` if the code is not 200..599, a line holds CR, LF or NUL, or the enhanced
        code is none or has another first digit.
        """
        if not isinstance(code, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("the code of a reply is an int such as 250", code, 'write Reply.of(250, "ok")')
        if not 200 <= code <= 599:
            raise LocalProtocolError(f"reply code {code} is not in 200..599 (RFC 5321 §4.2.1)")
        before = _checked(enhanced, code) + b" " if enhanced else b""
        raw: list[bytes] = []
        line = b""
        for given in lines or ("",):
            text = given.encode() if isinstance(given, str) else given
            if not isinstance(text, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise wrong_type(
                    "each line of a reply is a str or bytes",
                    text,
                    'write Reply.of(250, "first line", "second line")',
                )
            line = before + text
            if _FORBIDDEN.search(line):
                raise LocalProtocolError(f"a reply line must not hold CR, LF or NUL: {line!r}")
            raw.append(b"%d-%s\r\n" % (code, line))
        raw[-1] = b"%d %s\r\n" % (code, line) if line else b"%d\r\n" % code
        return cls(code, b"".join(raw), origin)

    @classmethod
    def parse(cls, line: Reply | str | bytes) -> Reply:
        """A reply of our own that is written in one line: ``Reply.parse("250 2.1.0 ok")``. A challenge of
        AUTH that is empty is ``"334 "``, with the space.

        Raises `LocalProtocolError` if it does not begin with a code, or holds CR, LF or NUL."""
        if isinstance(line, Reply):
            return line
        raw = line.encode() if isinstance(line, str) else line
        if not isinstance(raw, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("a reply is a str, bytes or Reply", raw, 'such as "250 ok"')
        if _FORBIDDEN.search(raw):
            raise LocalProtocolError(
                f"a reply must not hold CR, LF or NUL: {raw!r}; write it without CRLF, and one of several "
                'lines as Reply.of(250, "first line", "second line")'
            )
        found = _LINE.fullmatch(raw)
        if found is None:
            raise LocalProtocolError(
                f'not a reply: {raw!r}; it begins with a code from 200 to 599 and a space, such as "250 ok"'
            )
        return cls(int(found[1]), raw + b"\r\n", Origin.PROXY)

    def check(self) -> None:
        """Raises TypeError or `LocalProtocolError` if ``raw`` is not one reply with this code. Only a reply
        that was not made by `Reply.of`, `Reply.parse` or `ReplyReader` may be wrong."""
        if not isinstance(self.code, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("the code of a reply is an int such as 250", self.code, _USE_OF)
        if not isinstance(self.raw, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("raw of a reply is bytes, as they are sent", self.raw, _USE_OF)
        found = REPLY.fullmatch(self.raw)
        if found is None or int(found[1]) != self.code:
            raise LocalProtocolError(f"{self.raw!r} is not one reply with the code {self.code}; {_USE_OF}")

    @property
    def severity(self) -> int:
        """The first digit: 2 completion, 3 intermediate, 4 transient, 5 permanent (RFC 5321 §4.2.1)."""
        return self.code // 100

    @property
    def lines(self) -> list[bytes]:
        """The text of each line, without code, separator and CRLF."""
        return [line[4:] for line in self.raw[:-2].split(b"\r\n")]

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code of the first line, such as ``"5.7.1"`` (RFC 2034), or None."""
        found = _ENHANCED.match(self.raw, 4)
        return found[1].decode() if found else None

    @property
    def brief(self) -> str:
        """The code and the enhanced status code, for the repr of objects with a server's reply: some servers
        repeat a secret in the text."""
        enhanced = self.enhanced
        return f"<{self.code}>" if enhanced is None else f"<{self.code} {enhanced}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __str__(self) -> str:
        return self.raw[:-2].decode("utf-8", "backslashreplace").replace("\r\n", " / ")


def _checked(enhanced: str, code: int) -> bytes:
    """The octets of an enhanced status code that goes with the code of a reply (RFC 3463 §2)."""
    if not isinstance(enhanced, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong_type('the enhanced code is a str such as "5.7.1"', enhanced)
    found = _CODE.fullmatch(enhanced)
    if found is None:
        raise LocalProtocolError(f'{enhanced!r} is no enhanced code; it has three numbers, such as "5.7.1"')
    if int(found[1]) != code // 100:
        raise LocalProtocolError(f"{code} and {enhanced} do not go together: their first digits differ")
    return enhanced.encode()
