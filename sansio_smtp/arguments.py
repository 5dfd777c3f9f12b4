"""Checks the types of what a caller gives, and says in the error which type is right.

A wrong type raises TypeError at the call that has it. Without a check it would raise later, somewhere inside,
or not at all: ``"client"`` in place of `Side.CLIENT` would be taken for the other side.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Octets", "check_number", "check_type", "named", "octets", "wrong_type"]

Octets: TypeAlias = bytes | bytearray | memoryview
"""What `octets` takes."""


def named(value: object) -> str:
    """The type of a value as an error names it: ``int``, ``None``, ``the class Config``."""
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def wrong_type(right: str, value: object, hint: str = "") -> TypeError:
    """The error for a value of a wrong type. ``right`` says what is right: ``"a command is a str"``; ``hint``
    says what to write in its place."""
    return TypeError(f"{right}, not {named(value)}{'; ' if hint else ''}{hint}")


def check_type(value: object, kind: type | tuple[type, ...], right: str, hint: str = "") -> None:
    """Raises the error of `wrong_type` if the value is not of this type."""
    if not isinstance(value, kind):
        raise wrong_type(right, value, hint)


def check_number(name: str, value: object, least: int = 1) -> None:
    """Raises ValueError if a setting is no number, or less than ``least``, which is 0 or 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is a number such as 4096, not {value!r:.60}")  # noqa: TRY004 - see `Config`
    if value < least:
        raise ValueError(f"{name} must be {'positive' if least else '0 or more'}, not {value}")


def octets(data: object, what: str) -> bytes:
    """The octets as `bytes`. Of a bytearray or memoryview they are a copy, so that the caller may use its
    buffer again. Raises TypeError for everything else; ``what`` says where they were given."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)  # pyright: ignore[reportUnknownArgumentType]
    hint = "encode the text first" if isinstance(data, str) else ""
    if hasattr(data, "as_bytes"):  # an email.message.Message
        hint = "give what its method as_bytes() returns"
    raise wrong_type(f"{what} takes bytes", data, hint)
