"""Header fields as an ordered list over the original octets: fields that no rule edits keep their octets. The
section is parsed at its first use, by one pass of C code; an edit writes one field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias, cast

import attrs

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import mime
from sansio_smtp.rules.fields import Field, FieldList, is_plain

__all__ = ["Field", "Headers"]

Value: TypeAlias = str | bytes
"""Text, which is encoded if necessary, or octets, which are not."""

# A line with its continuation lines. A bare LF ends a line too, because it is sent as CRLF.
_FIELD: Final = re.compile(rb"((?:([!-9;-~]+)[ \t]*:)?[^\n]*(?:\n[ \t][^\n]*)*\n?)")
_NAME: Final = re.compile(r"[!-9;-~]+")
# One field that cannot be read as two: after every CRLF except the last comes a blank and something else.
_WRITTEN: Final = re.compile(rb"(([!-9;-~]+):[^\r\n\0]*(?:\r\n[ \t]+[^ \t\r\n\0][^\r\n\0]*)*)(?:\r\n)?")
_FORBIDDEN: Final = re.compile(r"[\r\n\0]")
_FORBIDDEN_OCTETS: Final = re.compile(rb"[\r\n\0]")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
_PIECE: Final = re.compile(rb"[ \t]*[^ \t]+")

_LINE: Final = 78
_LONGEST_LINE: Final = 998
"""Octets without CRLF (RFC 5322 §2.1.1): lines beyond the first number are folded; beyond the second they are
never sent."""
_LONGEST_CHANGE: Final = 120
_MOST_CHANGES: Final = 100
"""The number of changes of one rule that are shown one by one."""


Snapshot: TypeAlias = tuple[bytes, tuple[Field, ...] | None, bytes, int, int]


_no_changes: Final = cast("type[list[tuple[str, Field]]]", list)  # see `sansio_smtp.ends.transaction`


@attrs.define(eq=False, repr=False)
class Headers:
    """A header section, with or without the empty line that ends it. Case does not matter in names.

    Methods that edit refuse CR, LF and NUL, and invalid names (`LocalProtocolError`). Text that is not ASCII
    is written in encoded words, or as UTF-8 if ``utf8`` (an SMTPUTF8 transaction, RFC 6532). Lines of more
    than 78 octets are folded at blanks. Lines that are not fields do not change: an mbox ``From`` line, text
    without a colon.
    """

    _section: bytes = b""
    utf8: bool = attrs.field(default=False, kw_only=True)
    revision: int = attrs.field(default=0, init=False)
    """The number of edits."""
    _fields: FieldList | None = attrs.field(default=None, init=False)
    _end: bytes = attrs.field(default=b"", init=False)
    _changes: list[tuple[str, Field]] = attrs.field(factory=_no_changes, init=False)

    # Reading

    @property
    def raw(self) -> bytes:
        """The section as it is now, with its original end; if it was empty, an edit adds the empty line."""
        if not self.revision:
            return self._section
        return b"".join([field.raw for field in self._all()]) + self._end

    @property
    def edited(self) -> bool:
        return self.revision > 0

    @property
    def has_end(self) -> bool:
        """True if the section has the empty line that ends it."""
        self._all()
        return self._end != b"" and self.raw != b""

    @property
    def changes(self) -> list[str]:
        """The edits, for people: ``"+ X-Scanned-By: smtp-proxy"``, ``"- Subject: old"``."""
        return [_shown(sign, field) for sign, field in self._changes]

    def __iter__(self) -> Iterator[Field]:
        return iter(tuple(self._all()))

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._first(name) is not None

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the topmost field of that name."""
        field = self._first(name)
        return default if field is None else field.value

    def get_all(self, name: str) -> list[str]:
        """The value of each field of that name, from the top."""
        fields = self._all()
        return [fields[place].value for place in fields.places(name)]

    def get_raw(self, name: str) -> bytes | None:
        """The value of the topmost field of that name as it came, with folds, without the last CRLF."""
        field = self._first(name)
        return None if field is None else field.octets

    # Editing

    def add(self, name: str, value: Value) -> None:
        """Adds a field after the others, but before the first line that is not a field, because for some
        parsers the header section ends there."""
        self._add(self._write("add", name, value))

    def prepend(self, name: str, value: Value) -> None:
        """Adds a field before the others, as trace fields are added (RFC 5321 §4.4)."""
        self._prepend(self._write("prepend", name, value))

    def add_raw(self, field: bytes) -> None:
        """Like `add`, but takes the whole field with its folds; the last CRLF may be missing."""
        self._add(_whole_field("add_raw", field))

    def prepend_raw(self, field: bytes) -> None:
        """Like `prepend`, but takes the whole field, such as a DKIM-Signature."""
        self._prepend(_whole_field("prepend_raw", field))

    def set(self, name: str, value: Value) -> None:
        """Replaces all fields of that name with one, at the place of the first; like `add` if there is none.
        A field in which only folds would change keeps its octets."""
        places = self._all().places(name)
        new = self._write("set", name, value, self._all()[places[0]].octets if places else b"")
        if not places:
            self._add(new)
            return
        self._delete(places[1:])
        if not _same(self._all()[places[0]], new):
            self._put(places[0], new)

    def remove(self, name: str) -> int:
        """Removes each field of that name; returns how many there were."""
        places = self._all().places(_checked_name("remove", name))
        self._delete(places)
        return len(places)

    def replace(self, name: str, value: Value | Callable[[str], Value]) -> int:
        """Gives each field of that name this value, or the function's result for the old value. If the
        function returns the same text, the field keeps its octets. Returns how many changed."""
        _checked_name("replace", name)
        new: list[tuple[int, Field]] = []
        for place in self._all().places(name):
            old = self._all()[place]
            text = old.value
            said = value(text) if callable(value) else value
            if callable(value) and said == text:
                continue
            field = self._write("replace", old.name, said, old.octets)
            if not _same(old, field):
                new.append((place, field))
        for place, field in new:
            self._put(place, field)
        return len(new)

    def replace_all(self, section: bytes) -> None:
        """Replaces the whole header section."""
        if section == self.raw:
            return
        old = dict.fromkeys(self._all())
        self._fields = None
        self._section = section
        new = dict.fromkeys(self._all())
        self._changes += [("-", field) for field in old if field not in new]
        self._changes += [("+", field) for field in new if field not in old]
        self.revision += 1

    # See `views.Editable`.

    def snapshot(self) -> Snapshot:
        fields = None if self._fields is None else tuple(self._fields)
        return self._section, fields, self._end, self.revision, len(self._changes)

    def restore(self, snapshot: Snapshot) -> None:
        self._section, fields, self._end, self.revision, changes = snapshot
        self._fields = None if fields is None else FieldList(fields)
        del self._changes[changes:]

    def changes_since(self, snapshot: Snapshot) -> list[str]:
        changes = self._changes[snapshot[-1] :]
        shown = [_shown(sign, field) for sign, field in changes[:_MOST_CHANGES]]
        more = len(changes) - len(shown)
        return [*shown, f"… and {more} more"] if more else shown

    def __repr__(self) -> str:
        return f"Headers({self.raw!r})"

    def _first(self, name: str) -> Field | None:
        """The topmost field of that name. At the first use of the section it is only searched for, and the
        section is not parsed: with 25 fields this takes 2 µs in place of 60."""
        if self._fields is None and _NAME.fullmatch(name):
            found = _first_field(name).search(b"\n" + self._section)
            return None if found is None else Field(found[2].decode("ascii"), found[1])
        return self._all().first(name)

    def _all(self) -> FieldList:
        if self._fields is None:
            found: list[tuple[bytes, bytes]] = _FIELD.findall(self._section)
            found.pop()  # the pattern also matches the empty string at the end
            self._end = b"" if self._section else b"\r\n"
            if found and found[-1][0] in (b"\r\n", b"\n"):
                self._end = found.pop()[0]
            self._fields = FieldList(Field(name.decode("ascii"), raw) for raw, name in found)
        return self._fields

    def _add(self, field: Field) -> None:
        self._all().add(field)
        self._changed("+", field)

    def _prepend(self, field: Field) -> None:
        self._all().prepend(field)
        self._changed("+", field)

    def _put(self, place: int, field: Field) -> None:
        self._changed("-", self._all()[place])
        self._changed("+", field)
        self._all().put(place, field)

    def _delete(self, places: list[int]) -> None:
        for place in reversed(places):
            self._changed("-", self._all().delete(place))

    def _changed(self, sign: str, field: Field) -> None:
        self.revision += 1
        self._changes.append((sign, field))

    def _write(self, method: str, name: object, value: object, old: bytes = b"") -> Field:
        name = _checked_name(method, name)
        where = f"Headers.{method}({name!r}): "
        if not isinstance(value, str | bytes):
            raise LocalProtocolError(f"{where}a value is str or bytes, not {_excerpt(value)}")
        if _FORBIDDEN.search(value) if isinstance(value, str) else _FORBIDDEN_OCTETS.search(value):
            raise LocalProtocolError(f"{where}CR, LF and NUL cannot be in a value: {_excerpt(value)}")
        try:
            octets = value if isinstance(value, bytes) else mime.encode(name, value, old, utf8=self.utf8)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{where}{error}: {_excerpt(value)}") from None
        except UnicodeEncodeError:
            raise LocalProtocolError(f"{where}a lone surrogate is no text: {_excerpt(value)}") from None
        return _field(where, name, _folded(b"%b: %b" % (name.encode("ascii"), octets)))


@lru_cache(maxsize=256)
def _first_field(name: str) -> re.Pattern[bytes]:
    """Matches a field of a name with the LF before it, which is twenty times as fast as a search for the
    beginning of a line. Cached, because rules ask for few names."""
    pattern = rb"\n((%b)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?)" % re.escape(name.encode("ascii"))
    return re.compile(pattern, re.IGNORECASE)


def _checked_name(method: str, name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    what = "a name is printable ASCII without blanks and colon"
    raise LocalProtocolError(f"Headers.{method}: {what}, not {_excerpt(name)}")


def _whole_field(method: str, field: object) -> Field:
    where = f"Headers.{method}: "
    found = _WRITTEN.fullmatch(field) if isinstance(field, bytes) else None
    if found is None:
        raise LocalProtocolError(f"{where}not the octets of one header field: {_excerpt(field)}")
    return _field(where, found[2].decode("ascii"), found[1])


def _field(where: str, name: str, octets: bytes) -> Field:
    longest = max(map(len, octets.split(b"\r\n")))
    if longest > _LONGEST_LINE:
        what = f"a line of {longest} octets that no blank allows to fold"
        raise LocalProtocolError(f"{where}{what}; {_LONGEST_LINE} may be sent (RFC 5322 §2.1.1)")
    return Field(name, octets + b"\r\n")


def _folded(line: bytes) -> bytes:
    """A field in lines of at most 78 octets, if blanks allow it; no line is blank."""
    if len(line) <= _LINE:
        return line
    name, _, value = line.partition(b":")
    pieces: list[bytes] = _PIECE.findall(value)
    lines: list[bytes] = []
    at = sum(map(len, pieces))
    current = name + b":"
    for piece in pieces:
        empty = not lines and len(current) == len(name) + 1
        if len(current) + len(piece) > (_LONGEST_LINE if empty else _LINE):
            lines.append(current)
            current = b""
        current += piece
    lines.append(current + value[at:])
    return b"\r\n".join(lines)


def _same(old: Field, new: Field) -> bool:
    """Returns True if only folds and the blanks around the value would change."""
    return is_plain(old) and _unfolded(old) == _unfolded(new)


def _unfolded(field: Field) -> bytes:
    return _FOLD.sub(b"", field.octets).strip(b" \t")


def _shown(sign: str, field: Field) -> str:
    text = f"{sign} {field}"
    text = text if len(text) <= _LONGEST_CHANGE else f"{text[: _LONGEST_CHANGE - 1]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
