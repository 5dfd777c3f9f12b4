"""An edit that keeps the text of a field loses no character of it, for any charsets and labels."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from neighbours.charsets import fields, prefixes, shown

from sansio_smtp.rules import charsets
from sansio_smtp.rules.charset_labels import encoding_of
from sansio_smtp.rules.headers import Headers


def read(octets: bytes, label: str) -> str | None:
    """Decodes as a browser does; tests/interop uses a real one."""
    if label in ("us-ascii", "ascii"):
        label = "windows-1252"
    return charsets.decode(octets, label) if encoding_of(label) else None


def edited(value: bytes, prefix: str, *, utf8: bool) -> bytes:
    headers = Headers(b"Subject:" + value + b"\r\nX: y\r\n\r\n", utf8=utf8)
    assert headers.replace("Subject", lambda old: prefix + old) == 1
    raw = headers.raw
    assert raw.startswith(b"Subject: ")
    assert raw.endswith(b"\r\nX: y\r\n\r\n")
    new = raw.removeprefix(b"Subject:").removesuffix(b"\r\nX: y\r\n\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\n(?![ \t]+[^ \t\r])|\0", new)
    return new


@example(b"=?utf-16?b?//5oAGUAbABs?= =?utf-8?b??= =?utf-16?b?//5oAGU=?=", "[ext] ", False)
@example(b"=?utf-8?q?=3D=3Futf-8=3Fq=3Fevil?= ?=", "[ext] ", False)
@example(b"=?utf-8?q?=FF?= =?utf-8?q??= =?utf-8?q?=FF?=", "[ext] ", False)
@example(b"=?x-a?q?=FF?= =?x-b?q??= =?x-a?q?=FF?=", "[ext] ", False)
@given(value=fields(), prefix=prefixes, utf8=st.booleans())
def test_a_prefix_is_added_and_the_rest_is_shown_as_before(value: bytes, prefix: str, utf8: bool) -> None:
    new = shown(edited(value, prefix, utf8=utf8), read)
    assert f"{new}  ".startswith(prefix)  # blanks at the end of a field are not shown
    assert new[len(prefix) :].lstrip(" \t") == shown(value, read)


@given(value=fields(), suffix=prefixes, utf8=st.booleans())
def test_so_is_a_suffix(value: bytes, suffix: str, utf8: bool) -> None:
    headers = Headers(b"Subject:" + value + b"\r\n\r\n", utf8=utf8)
    headers.set("Subject", (headers.get("Subject") or "") + " " + suffix.strip())
    new = shown(headers.get_raw("Subject") or b"", read)
    assert f" {new}".endswith(" " + suffix.strip())
    assert new[: -len(suffix.strip())].strip(" \t") == shown(value, read)
