"""Logs in with a password that the server sees: PLAIN (RFC 4616) and LOGIN, which is older and has no RFC."""

from __future__ import annotations

__all__ = ["Login", "Plain"]


class Plain:
    """One exchange of PLAIN: name and password in one message."""

    def __init__(self, account: str, password: str) -> None:
        self.name, self.complete = "PLAIN", True
        self._message = bytearray(b"\0%s\0%s" % (_octets(account), _octets(password)))
        self._asked = False

    @property
    def initial(self) -> bytes | None:
        return bytes(self._message)

    def respond(self, challenge: bytes) -> bytes:
        """Repeats the message, because some servers ask for it again. Raises ValueError for any other
        challenge."""
        if challenge or self._asked:
            raise ValueError("PLAIN has one message")
        self._asked = True
        return bytes(self._message)

    def forget(self) -> None:
        _wipe(self._message)


class Login:
    """One exchange of LOGIN: the server asks for the name, then for the password. The text of its questions
    is ignored, because servers write it in several ways."""

    def __init__(self, account: str, password: str) -> None:
        self.name = "LOGIN"
        self.initial: bytes | None = None
        self._answers = [bytearray(_octets(password)), bytearray(_octets(account))]

    @property
    def complete(self) -> bool:
        return not self._answers

    def respond(self, challenge: bytes) -> bytes:
        """Answers with the name, then the password. Raises ValueError for a third question."""
        if not self._answers:
            raise ValueError("LOGIN has two answers")
        answer = self._answers.pop()
        said = bytes(answer)
        _wipe(answer)
        return said

    def forget(self) -> None:
        for answer in self._answers:
            _wipe(answer)
        self._answers.clear()


def _octets(text: str) -> bytes:
    """The text in UTF-8. Raises ValueError for NUL, which separates texts."""
    if "\0" in text:
        raise ValueError("a name or password holds NUL")
    return text.encode("utf-8", "surrogateescape")


def _wipe(octets: bytearray) -> None:
    octets[:] = bytes(len(octets))
    octets.clear()
