"""Checks patterns for names of files and for content types when they are loaded.

``exe`` fits only a file with exactly this name, and lets tool.exe pass: ``*.exe`` is meant.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable
from typing import Final

from ._settings import complain, said

__all__ = ["content_types", "file_names"]

_SEPARATOR: Final = re.compile(r"\s*[,;|]\s*|\s+")
_ALTERNATIVES: Final = re.compile(r"(.*)\{([^{}]+,[^{}]*)\}(.*)")
_EXPRESSION: Final = re.compile(r"\^|\.\*|\(|[^*]*\\\.")
_TYPE: Final = re.compile(r"[\w!#$&^+.*?-]+/[\w!#$&^+.*?-]+")
_TOP_TYPES: Final = frozenset(
    ("application", "audio", "font", "image", "message", "model", "multipart", "text", "video")
)


def file_names(rule: object, attribute: object, patterns: Iterable[str]) -> None:
    """Raises `SettingError` if a pattern fits no file name that a person would mean."""
    complain(said(pattern, _wrong_file_name(pattern)) for pattern in patterns)


def content_types(rule: object, attribute: object, patterns: Iterable[str]) -> None:
    """Raises `SettingError` if a pattern fits no content type."""
    complain(said(pattern, _wrong_content_type(pattern)) for pattern in patterns)


def _wrong_file_name(pattern: str) -> str:
    if not pattern.strip(". "):
        return "no name of a file fits an empty pattern"
    if pattern != (bare := pattern.strip().rstrip(". ")):
        return f'blanks and dots at the end of a name do not count; did you mean "{bare}"?'
    if found := _ALTERNATIVES.fullmatch(pattern):
        each = (f'"{found[1]}{part.strip()}{found[3]}"' for part in found[2].split(","))
        return f"braces are literal here; write {', '.join(each)}"
    if several := _several(pattern):
        return f"several patterns in one text; write {', '.join(several)}"
    if _EXPRESSION.match(pattern):
        return 'this is no regular expression: * is any text and ? one character, as in "*.exe"'
    if "/" in pattern or "\\" in pattern:
        return "write a file name without its folder, and a content type in types"
    if not re.search(r"[*?]", pattern) and "." not in pattern.lstrip("."):
        return f'only a file of exactly this name fits; did you mean "{_extension(pattern)}"?'
    if re.search(r"[\[\]]", pattern.rpartition(".")[2]):
        return "brackets are literal here; write a pattern for each name"
    return ""


def _several(pattern: str) -> list[str]:
    """The patterns of a list that was written as one text, in quotes; empty if it is one pattern."""
    parts = [part for part in _SEPARATOR.split(pattern) if part]
    extensions = [part for part in parts if part.startswith(("*.", ".")) or "." not in part]
    written = all(part.startswith(("*.", ".")) for part in parts) or re.search("[,;|]", pattern)
    if len(parts) < 2 or extensions != parts or not written:
        return []
    return [f'"{_extension(part)}"' for part in parts]


def _extension(part: str) -> str:
    return part if part.startswith("*") else f"*.{part.lstrip('.')}"


def _wrong_content_type(pattern: str) -> str:
    plain = pattern.lower()
    bare = plain.partition(";")[0].strip()
    if not bare:
        return "no content type fits an empty pattern"
    if len(parts := re.split(r"\s*[,|]\s*|\s+", bare)) > 1:
        return "several patterns in one text; write " + ", ".join(f'"{part}"' for part in parts if part)
    if bare != plain:
        return f'write a content type without parameters and blanks; did you mean "{bare}"?'
    if bare.rstrip("/") in _TOP_TYPES:
        return f'a content type has two parts; did you mean "{bare.rstrip("/")}/*"?'
    if "/" not in bare and "*" in bare and not bare.startswith("*."):
        return ""
    if "/" not in bare:
        extension = bare.removeprefix("*").removeprefix(".")
        guess = mimetypes.MimeTypes().guess_type(f"x.{extension}")[0]
        hint = f'; did you mean "{guess}"?' if guess else ""
        return f'a content type is such as "image/*", and names of files are written in names{hint}'
    return "" if _TYPE.fullmatch(bare) else 'no content type looks like that; "application/zip" does'
