"""A whole message: editable header fields, the body, and the standard library's view of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import mime

from .headers import Field, Headers, Snapshot

if TYPE_CHECKING:
    from .mime import EmailMessage

__all__ = ["Message", "header_section_end"]

_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_EMPTY_LINE_FIRST: Final = re.compile(rb"\r?\n")
_SIGNATURES: Final = frozenset(("dkim-signature", "arc-message-signature"))
_SIGNED_FIELDS: Final = re.compile(rb"(?:\A|;)\s*h\s*=([^;]*)")
# Signatures over the content of the body: S/MIME (RFC 8551), PGP (RFC 3156, RFC 9580 §7).
_SIGNED_CONTENT: Final = re.compile(
    rb"\n(?:Content-Type[ \t]*:\s*(?:multipart/signed|application/(?:x-)?pkcs7-(?:mime|signature))"
    rb"|-----BEGIN PGP SIGNED MESSAGE-----)",
    re.IGNORECASE,
)


MessageSnapshot: TypeAlias = tuple[Headers, Snapshot, bytes | None, int]


@attrs.define(eq=False, repr=False, init=False)
class Message:
    """A message in decoded form (lines end in CRLF, no dots are doubled), for rules in phase ``message``.

    The header section ends at the first empty line; without one, the whole message is header section, as in
    phase ``headers``. Nothing is parsed, and the body is not copied, before it is used: a message that no
    rule edits keeps all its octets.

    ``data`` may also be a memoryview, such as a mapped file; ``utf8`` is for ``headers``.
    """

    headers: Headers
    """The header fields, which can be edited in place."""
    _data: bytes | memoryview
    _end: int
    _body: bytes | None
    _revision: int
    _parsed: tuple[tuple[int, int], EmailMessage] | None

    def __init__(self, data: bytes | memoryview, *, utf8: bool = False) -> None:
        self._data = data
        self._end = header_section_end(data)
        self.headers = Headers(bytes(data[: self._end]), utf8=utf8)
        self._body = None
        self._revision = 0
        self._parsed = None

    @property
    def body(self) -> bytes:
        """The octets after the empty line. It can be set to other octets; LF is sent as CRLF."""
        if self._body is None:
            self._body = bytes(self._data[self._end :])
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._set_body(body)

    @property
    def raw(self) -> bytes:
        """The message as it is now."""
        if not self.edited:
            return self._data if isinstance(self._data, bytes) else bytes(self._data)
        return self.section + self.body

    @property
    def size(self) -> int:
        """The number of octets of the message as it is now."""
        if not self.edited:
            return len(self._data)
        body = len(self._data) - self._end if self._body is None else len(self._body)
        return len(self.section) + body

    @property
    def edited(self) -> bool:
        return self.headers.edited or self._revision > 0

    @property
    def body_edited(self) -> bool:
        return self._revision > 0

    @property
    def body_start(self) -> int:
        """The offset of the body in the original message."""
        return self._end

    def chunks(self, size: int = 65_536) -> Iterator[bytes]:
        """The body in pieces, for large messages that are not in memory."""
        body = memoryview(self._data)[self._end :] if self._body is None else memoryview(self._body)
        for at in range(0, len(body), size):
            yield bytes(body[at : at + size])

    def parsed(self) -> EmailMessage:
        """The message as the standard library reads it. Changes to this object have no effect until it is
        given to `replace`. The object stays the same until the message is edited.

        Never raises for any octets: parts that cannot be parsed are empty, or one part. Takes about 10 ms for
        each MB of text and attachments.
        """
        now = (self.headers.revision, self._revision)
        if self._parsed is None or self._parsed[0] != now:
            self._parsed = (now, mime.parse(self.raw))
        return self._parsed[1]

    def replace(self, new: EmailMessage | bytes) -> None:
        """Replaces the whole message; signatures break, see `breaks_signatures`. ``bytes`` are in decoded
        form; an `EmailMessage` is written with 8-bit text unchanged.

        Raises `LocalProtocolError` for other types, and if the standard library cannot write the message.
        """
        if not isinstance(new, bytes):
            try:
                new = mime.serialise(new, utf8=self.headers.utf8)
            except LocalProtocolError as error:
                raise LocalProtocolError(f"Message.replace: {error}") from error
        end = header_section_end(new)
        self._set_body(new[end:])
        self.headers.replace_all(new[:end])

    @property
    def breaks_signatures(self) -> bool:
        """True if an edit breaks a signature that the message had and still has.

        An edit of the body breaks all: DKIM, ARC, S/MIME, PGP. An edit of a field breaks DKIM and ARC
        signatures of that field. So does another field of that name below the signed ones, or if the
        signature says that there are no more (RFC 6376 §5.4.2).
        """
        if not self.edited:
            return False
        before = Headers(bytes(self._data[: self._end]))
        left = set(self.headers)
        signatures = [field for field in before if field.name.lower() in _SIGNATURES and field in left]
        if self._revision and (signatures or _has_signed_content(before.raw, self._data)):
            return True
        old, new = _by_name(before), _by_name(self.headers)
        return any(_signed(old, field) != _signed(new, field) for field in signatures)

    # See `views.Editable`.

    @property
    def revision(self) -> tuple[int, int, int]:
        return id(self.headers), self.headers.revision, self._revision

    def snapshot(self) -> MessageSnapshot:
        return self.headers, self.headers.snapshot(), self._body, self._revision

    def restore(self, snapshot: MessageSnapshot) -> None:
        self.headers, section, self._body, self._revision = snapshot
        self.headers.restore(section)
        self._parsed = None  # the same revision number will mean another message

    def changes_since(self, snapshot: MessageSnapshot) -> list[str]:
        changes = self.headers.changes_since(snapshot[1])
        if self._revision != snapshot[3]:
            changes.append(f"body is now {len(self.body):,} octets")
        return changes

    def __repr__(self) -> str:
        return f"<Message of {self.size} octets>"

    @property
    def section(self) -> bytes:
        """The header section as it is now, with the empty line if a body follows."""
        section = self.headers.raw
        if not self._revision or self.headers.has_end or not self.body:
            return section
        return section + (b"\r\n" if section.endswith(b"\n") or not section else b"\r\n\r\n")

    def _set_body(self, body: object) -> None:
        if not isinstance(body, bytes):
            raise LocalProtocolError(f"Message.body: octets (bytes), not {type(body).__name__}")
        if body != (memoryview(self._data)[self._end :] if self._body is None else self._body):
            self._body = body
            self._revision += 1


def header_section_end(data: bytes | memoryview) -> int:
    """The number of octets of the header section, with the empty line that ends it if there is one."""
    found = _EMPTY_LINE_FIRST.match(data) or _EMPTY_LINE.search(data)
    return found.end() if found else len(data)


def _has_signed_content(section: bytes, data: bytes | memoryview) -> bool:
    found = _SIGNED_CONTENT.search(b"\n" + section) or _SIGNED_CONTENT.search(data)
    return found is not None


def _by_name(headers: Headers) -> dict[bytes, list[bytes]]:
    """The fields of each name, from the top."""
    found: dict[bytes, list[bytes]] = {}
    for field in headers:
        found.setdefault(field.name.lower().encode("ascii"), []).append(field.raw)
    return found


def _signed(fields: dict[bytes, list[bytes]], signature: Field) -> list[list[bytes]]:
    """The fields that a DKIM or ARC signature covers: for each name as many as it lists, from the bottom up
    (RFC 6376 §5.4.2)."""
    found = _SIGNED_FIELDS.search(signature.octets)
    names = Counter(b"".join(found[1].lower().split()).split(b":") if found else ())
    return [fields.get(name, [])[-count:] for name, count in names.items()]
