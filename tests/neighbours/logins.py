"""Spellings of one login: AUTH exchanges that some servers take, and that others read differently."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

import attrs
from hypothesis import strategies as st

from sansio_smtp.wire.commands import Command, auth_line

__all__ = ["PASSWORD", "Exchange", "exchanges", "names"]

PASSWORD = b"secret"
_NAMES = ("scanner", "ann@example.com", "bob")
_WIDE = str.maketrans({char: chr(ord(char) + 0xFEE0) for char in "abcdefghijklmnopqrstuvwxyz"})
_NONCE = b"rOprNGfwEbeRWgbNEkqO"


@attrs.frozen
class Exchange:
    """What a client says in one AUTH exchange. An answer may depend on the challenge: `line` gives it."""

    mechanism: str
    initial: bytes | None
    """As it stands in the command; None if there is none."""
    answers: tuple[bytes, ...]
    """As they stand on the wire; ``CRAM``, ``SCRAM`` for what depends on the challenge."""
    name: bytes = b""

    @property
    def command(self) -> bytes:
        tail = b"" if self.initial is None else b" " + self.initial
        return b"AUTH " + self.mechanism.encode() + tail

    def line(self, number: int, challenge: bytes) -> bytes:
        """The answer to a challenge, of which it is given the text after 334."""
        answer = self.answers[number]
        if answer == b"CRAM":
            digest = hmac.new(PASSWORD, b64decode(challenge), "md5").hexdigest().encode()
            return b64encode(self.name + b" " + digest)
        if answer == b"SCRAM":
            return b64encode(self._proof(b64decode(challenge)))
        return answer

    def _proof(self, challenge: bytes) -> bytes:
        """RFC 5802 §3."""
        fields = dict(part.split(b"=", 1) for part in challenge.split(b",") if b"=" in part)
        if not {b"r", b"s", b"i"} <= fields.keys():
            return b"c=biws,r=x,p=x"
        hashed = self.mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        salted = hashlib.pbkdf2_hmac(hashed, PASSWORD, b64decode(fields[b"s"]), int(fields[b"i"]))
        client_key = hmac.digest(salted, b"Client Key", hashed)
        bare = b"c=biws,r=" + fields[b"r"]
        first = b64decode(self.initial or self.answers[0]).split(b",", 2)[2]
        signed = b",".join((first, challenge, bare))
        signature = hmac.digest(hashlib.new(hashed, client_key).digest(), signed, hashed)
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        return bare + b",p=" + b64encode(proof)

    def said(self, count: int, challenges: list[bytes]) -> list[Command]:
        """The lines that the client has sent when it has answered ``count`` challenges."""
        answers = [self.line(number, challenges[number]) for number in range(count)]
        return [Command.parse(self.command), *map(auth_line, answers)]


@st.composite
def names(draw: st.DrawFn) -> bytes:
    """One name, spelled in some way."""
    name = draw(st.sampled_from(_NAMES))
    spell = draw(st.sampled_from(("as it is", *_SPELLINGS)))
    at = draw(st.integers(0, len(name)))
    return name.encode() if spell == "as it is" else _SPELLINGS[spell](name, at)


_SPELLINGS = {
    "case": lambda name, at: (name[:at] + name[at:].upper()).encode(),
    "soft hyphen": lambda name, at: (name[:at] + "\u00ad" + name[at:]).encode(),
    "zero width": lambda name, at: (name[:at] + "\u200b" + name[at:]).encode(),
    "full width": lambda name, at: name.translate(_WIDE).encode(),
    "blank": lambda name, at: (name[:at] + " " + name[at:]).encode(),
    "blanks around": lambda name, at: f" {name} ".encode(),
    "nul": lambda name, at: name[:at].encode() + b"\0" + name[at:].encode(),
    "another after nul": lambda name, at: name.encode() + b"\0bob",
    "newline": lambda name, at: (name[:at] + "\n" + name[at:]).encode(),
    "right to left": lambda name, at: (name[:at] + "\u202e" + name[at:]).encode(),
    "not UTF-8": lambda name, at: name[:at].encode() + b"\xfc" + name[at:].encode(),
    "umlaut": lambda name, at: (name[:at] + "ü" + name[at:]).encode(),
    "umlaut, two characters": lambda name, at: (name[:at] + "u\u0308" + name[at:]).encode(),
    "dot": lambda name, at: (name + ".").encode(),
    "comma": lambda name, at: (name[:at] + "," + name[at:]).encode(),
    "equals": lambda name, at: (name[:at] + "=2C" + name[at:]).encode(),
    "control 1": lambda name, at: (name[:at] + "\x01user=bob" + name[at:]).encode(),
    "nobody": lambda name, at: b"",
}


@st.composite
def _base64(draw: st.DrawFn, octets: bytes) -> bytes:
    """Base64, written in some way."""
    word = b64encode(octets)
    at = draw(st.integers(0, len(word)))
    return draw(
        st.sampled_from(
            (
                word,
                word,
                word,
                word.rstrip(b"="),
                word + b" ",
                b" " + word,
                word[:at] + b" " + word[at:],
                word[:at] + b"\t" + word[at:],
                word + b"=",
                word[:at] + b"=" + word[at:],
                word[:at] + b"!" + word[at:],
                word.replace(b"+", b"-").replace(b"/", b"_"),
                word or b"=",
            )
        )
    )


@st.composite
def exchanges(draw: st.DrawFn, mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")) -> Exchange:
    """An exchange of one of the mechanisms."""
    mechanism = draw(st.sampled_from(mechanisms))
    name = draw(names())
    if mechanism == "CRAM-MD5":
        return Exchange(mechanism, None, (b"CRAM", b""), name)
    if mechanism.startswith("SCRAM"):
        quoted = name.replace(b"=", b"=3D").replace(b",", b"=2C") if draw(st.booleans()) else name
        authzid = draw(st.sampled_from((b"", b"", b"", b"a=" + quoted, b"a=bob")))
        first = b"n,%b,n=%b,r=%b" % (authzid, quoted, _NONCE)
        return _begin(draw, mechanism, b64encode(first), (b"SCRAM", b""), name)
    if mechanism == "LOGIN":
        first, *rest = [draw(_base64(each)) for each in _login_words(draw, name)]
        return _begin(draw, mechanism, first, tuple(rest), name)
    authzid = draw(st.one_of(st.just(b""), names()))
    password = draw(st.sampled_from((PASSWORD, PASSWORD, PASSWORD + b"\0more")))
    return _begin(draw, mechanism, draw(_base64(b"%b\0%b\0%b" % (authzid, name, password))), (), name)


def _login_words(draw: st.DrawFn, name: bytes) -> tuple[bytes, ...]:
    decoy = draw(names())
    return draw(
        st.sampled_from(
            (
                (name, PASSWORD),
                (name, PASSWORD),
                (name + b"\0" + PASSWORD,),
                (decoy, name, PASSWORD),
                (b"", name, PASSWORD),
            )
        )
    )


def _begin(draw: st.DrawFn, mechanism: str, first: bytes, rest: tuple[bytes, ...], name: bytes) -> Exchange:
    """With the first answer in the command, or after it, or after an empty initial response."""
    how = draw(st.sampled_from(("initial", "answer", "empty", "empty")))
    if how == "initial":
        return Exchange(mechanism, first, rest, name)
    return Exchange(mechanism, b"=" if how == "empty" else None, (first, *rest), name)
