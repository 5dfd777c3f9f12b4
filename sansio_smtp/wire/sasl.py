"""Reads the login name from an AUTH exchange (RFC 4954), for mechanisms that send it in clear. Servers are
lenient in different ways. They accept base64 without padding or with blanks; ``=`` is an empty initial
response; of an authorization identity and an authentication identity one server uses the first, another the
second. So the name is read in all of these ways::

    AUTH exchange ──> the answers, decoded ──> the names that some server may take ──> prepared
                                                          │
                     all of them the same name <──────────┴──────────> none, or several
                              `Login.name`                              None: *unknown*

What must never happen is that a client counts as not logged in, or as another user, because only the server
understands the spelling of its name. So after a server has accepted a login, there is a `Login`; if its name
is None, a user has logged in whose name is not known here.

Any octets can be read; nothing raises. A password is never read as a name, and never kept.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from .commands import Command
from .login_names import prepared

__all__ = ["LONGEST_EXCHANGE", "UNKNOWN_LOGIN", "Login", "decoded", "identity", "read_login"]

LONGEST_EXCHANGE: Final = 8
"""The most lines of the client, including AUTH, of an exchange; in a longer one the name is unknown."""

_BLANKS: Final = bytes.maketrans(b"", b""), b" \t\r\n\v\f"
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,3}")
_KEY_VALUE: Final = re.compile(rb"user=(.*)", re.DOTALL)
_GS2: Final = re.compile(rb"(?:n|y|p=[A-Za-z0-9.-]+),(?:a=([^,]+))?,(.*)", re.DOTALL)  # RFC 5801 §4
_SCRAM: Final = re.compile(rb"n=([^,]*),r=.*", re.DOTALL)  # RFC 5802 §7; extensions (m=) are not known
_CRAM: Final = re.compile(rb"(.*) [0-9a-fA-F]{32}", re.DOTALL)  # RFC 2195 §2: the name may hold blanks
_DIRECTIVE: Final = re.compile(
    rb'[ \t]*([a-z-]+)=("(?:[^"\\]|\\.)*"|[^",]*)[ \t]*(?:,|\Z)', re.DOTALL
)  # RFC 2831
_ESCAPE: Final = re.compile(rb"=(2C|3D|.{0,2})", re.DOTALL)  # RFC 5802 §5.1


@attrs.frozen
class Login:
    """A login that a server has accepted."""

    name: str | None = None
    """The name, prepared by `login_names.prepared` for comparing; None if it is unknown: the mechanism does
    not show it, or servers would read different names."""
    given: str | None = None
    """The name as the client gave it; None if it is unknown."""
    case_sensitive: bool = False
    """True if names that differ in case are different names."""


UNKNOWN_LOGIN: Final = Login()

Names = Iterable["bytes | None"]
"""The names that some server may read; None for a name that cannot be read."""


def read_login(lines: Sequence[Command], *, case_sensitive: bool = False) -> Login:
    """The login of this exchange: the AUTH command, then the client's answers to the challenges.
    ``case_sensitive``: names that differ in case are different."""
    if not 1 <= len(lines) <= LONGEST_EXCHANGE:
        return UNKNOWN_LOGIN
    words = lines[0].raw.split()
    if len(words) < 2 or words[0].upper() != b"AUTH":
        return UNKNOWN_LOGIN
    mechanism = words[1].upper()
    reader = _READERS.get(b"SCRAM" if mechanism.startswith(b"SCRAM-") else mechanism)
    if reader is None:
        return UNKNOWN_LOGIN
    initial = [decoded(b"".join(words[2:]))] if len(words) > 2 else []
    return _agreed(reader(initial, [decoded(line.raw) for line in lines[1:]]), case_sensitive)


def identity(lines: Sequence[Command], *, case_sensitive: bool = False) -> str | None:
    """`Login.name` of `read_login`."""
    return read_login(lines, case_sensitive=case_sensitive).name


def _agreed(names: Names, case_sensitive: bool) -> Login:
    given, found = "", set[str | None]()
    for octets in names:
        given = _text(octets)
        found.add(prepared(given, case_sensitive=case_sensitive))
    name = found.pop() if len(found) == 1 else None
    return UNKNOWN_LOGIN if name is None else Login(name, given, case_sensitive)


def _text(octets: bytes | None) -> str:
    """The octets as text; empty if they are not UTF-8."""
    try:
        return (octets or b"").decode()
    except UnicodeDecodeError:
        return ""


def decoded(word: bytes) -> bytes | None:
    """Decodes base64 as lenient servers do: with blanks anywhere, with or without padding. None if it is
    invalid."""
    word = word.translate(*_BLANKS)
    if not _BASE64.fullmatch(word):
        return None
    word = word.rstrip(b"=")
    return None if len(word) % 4 == 1 else a2b_base64(word + b"=" * (-len(word) % 4))


# For each mechanism: the initial response, if any, and the answers to challenges. Some servers ignore an
# initial response, and ask again.

Answers = list["bytes | None"]


def _login(initial: Answers, answers: Answers) -> Names:
    if initial and initial[0]:
        # It is the name, and the server asks for the password; or it is ignored, and the server asks for
        # both.
        return initial if len(answers) < 2 else (*initial, *_login([], answers))
    # After an empty initial response, one answer may be the password to the empty name.
    complete = len(answers) == 2 or (len(answers) == 1 and not initial)
    return answers[:1] if complete else (None,)


def _plain(initial: Answers, answers: Answers) -> Names:
    """RFC 4616 §2: authorization identity NUL authentication identity NUL password."""
    for answer in _not_empty(initial, answers):
        parts = answer.split(b"\0") if answer else []
        if len(parts) != 3 or not parts[1]:
            yield None
        else:  # the first identity counts if it is given, but some servers ignore it
            yield from filter(None, parts[:2])


def _external(initial: Answers, answers: Answers) -> Names:
    return _not_empty(initial, answers)


def _cram_md5(initial: Answers, answers: Answers) -> Names:
    for answer in _not_empty(initial, answers):
        found = _CRAM.fullmatch(answer or b"")
        yield found[1] if found else None


def _digest_md5(initial: Answers, answers: Answers) -> Names:
    """RFC 2831 §2.1.2. With a realm, some servers use ``name@realm`` as the name."""
    for answer in _not_empty(initial, answers):
        directives = _directives(answer or b"")
        if directives is None or directives.get(b"realm"):
            yield None
        else:
            yield directives.get(b"username")
            if b"authzid" in directives:
                yield directives[b"authzid"]


def _xoauth2(initial: Answers, answers: Answers) -> Names:
    for answer in _not_empty(initial, answers):
        users = [found[1] for part in (answer or b"").split(b"\1") if (found := _KEY_VALUE.fullmatch(part))]
        yield from users or (None,)


def _oauthbearer(initial: Answers, answers: Answers) -> Names:
    """RFC 7628 §3.1."""
    for answer in _not_empty(initial, answers):
        found = _GS2.fullmatch(answer or b"")
        yield _unescaped(found[1]) if found and found[1] else None


def _scram(initial: Answers, answers: Answers) -> Names:
    """RFC 5802 §7: the first message has the name; the last one, without a GS2 header, has no name."""
    for answer in _not_empty(initial, answers):
        if answer is not None and answer.startswith(b"c="):
            continue
        gs2 = _GS2.fullmatch(answer or b"")
        found = _SCRAM.fullmatch(gs2[2]) if gs2 else None
        yield _unescaped(found[1]) if found else None
        if gs2 and gs2[1]:
            yield _unescaped(gs2[1])


_READERS: Final[dict[bytes, Callable[[Answers, Answers], Names]]] = {
    b"LOGIN": _login,
    b"PLAIN": _plain,
    b"EXTERNAL": _external,
    b"CRAM-MD5": _cram_md5,
    b"DIGEST-MD5": _digest_md5,
    b"XOAUTH2": _xoauth2,
    b"OAUTHBEARER": _oauthbearer,
    b"SCRAM": _scram,
}
"""Mechanism → the function that reads the names. Others, such as GSSAPI and NTLM, have no name in clear."""


def _not_empty(initial: Answers, answers: Answers) -> Answers:
    return [answer for answer in (*initial, *answers) if answer != b""]


def _unescaped(name: bytes) -> bytes | None:
    """RFC 5802 §5.1: ``=2C`` is a comma, ``=3D`` an equals sign, and no other escape is valid."""
    if any(escape not in (b"2C", b"3D") for escape in _ESCAPE.findall(name)):
        return None
    return name.replace(b"=2C", b",").replace(b"=3D", b"=")


def _directives(answer: bytes) -> dict[bytes, bytes] | None:
    """The directives of a DIGEST-MD5 response; None if it is invalid, or has a directive twice."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(answer):
        directive = _DIRECTIVE.match(answer, at)
        if directive is None or directive[1] in found:
            return None
        value = directive[2]
        found[directive[1]] = (
            re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL) if value[:1] == b'"' else value
        )
        at = directive.end()
    return found
