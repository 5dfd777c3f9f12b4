"""Walks whatever objects a state is made of: tells whether two states are the same, and copies one.

Both walks are generic. They follow attributes, slots, containers, bound methods, partial applications and
closures, so that a flag cannot be missed because nobody has listed it here. They name no attribute.

Two states have the same `fingerprint` if they differ in nothing that a later input can bring to light:
octets in buffers count, but of a command only its verb and kind, of a reply only its first digit and
whether it is 421, and of a number only whether it is 0.
"""

from __future__ import annotations

import copy
import functools
import types
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from operator import attrgetter
from typing import Any, Final

from sansio_smtp import Command, Config, Reply
from sansio_smtp.proxy.lane import Lane
from sansio_smtp.proxy.passing import Passing
from sansio_smtp.proxy.passing_asked import AskedPassing
from sansio_smtp.proxy.shared import Shared
from sansio_smtp.proxy.tally import Tally
from sansio_smtp.wire.inbox import Inbox

__all__ = ["Uncopyable", "cloned", "fingerprint", "fingerprints"]

Token = Any
_MISSING: Final = object()


class Uncopyable(Exception):
    """A state holds something that cannot be copied, such as a generator that has begun."""


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    """The attributes that instances may have by declaration of slots."""
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            # `Proxy.flows` says if the last input took the lane, and nothing of what comes next.
            if name not in ("__dict__", "__weakref__", "flows"):
                mangled = name.startswith("__") and not name.endswith("__")
                names.append(f"_{base.__name__.lstrip('_')}{name}" if mangled else name)
    return tuple(dict.fromkeys(names))


@functools.cache
def _slots(kind: type) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """The names of slots, and what takes all of their values at once."""
    names = _names(kind)
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda value: tuple(getattr(value, name) for name in names)


# Fingerprints


def fingerprint(*roots: object) -> int:
    """A number that is the same for states that are the same. It holds within one process only."""
    return fingerprints(*roots)[1]


def fingerprints(root: object, *roots: object) -> tuple[int, int]:
    """The fingerprint of the first alone, and that of all."""
    tokens: list[Token] = []
    seen: dict[int, int] = {}
    _walk(root, tokens, seen)
    alone = hash(tuple(tokens))
    for further in roots:
        _walk(further, tokens, seen)
    return alone, hash(tuple(tokens))


def _walk(value: Any, tokens: list[Token], seen: dict[int, int]) -> None:
    kind = type(value)
    if kind in _THEMSELVES:
        tokens.append(value)
        return
    plain = _PLAIN.get(kind)
    if plain is not None:
        tokens.append(plain(value))
        return
    if issubclass(kind, Enum):
        tokens.append(id(value))
        return
    number = seen.get(id(value))
    if number is not None:
        tokens.append(("again", number))
        return
    seen[id(value)] = len(seen)
    leaf = _LEAVES.get(kind)
    if leaf is not None:
        tokens.append(leaf(value))
        return
    inside = _INSIDE.get(kind)
    label, parts = inside(value) if inside is not None else _parts(value, kind)
    tokens.append(label)
    for part in parts:
        kind = type(part)
        if kind in _THEMSELVES:
            tokens.append(part)
        elif kind is int:
            tokens.append(_NUMBERS[part > 0])
        else:
            _walk(part, tokens, seen)
    tokens.append(_END)


def _parts(value: Any, kind: type) -> tuple[Token, Iterable[Any]]:
    """An instance: its class, and what its attributes hold."""
    if kind.__module__ == "builtins":  # such as an iterator
        return kind, value.__reduce__()[1:]
    names, slots = _slots(kind)
    try:
        held = slots(value)
    except AttributeError:  # some are not set
        held = tuple(getattr(value, name, _MISSING) for name in names)
    others = getattr(value, "__dict__", None)
    if others is None:
        return kind, held
    return (kind, *others), (*held, *others.values())


def _unread(inbox: Inbox) -> tuple[str, bytes]:
    return "inbox", copy.copy(inbox).take()


def _iterated(value: Any) -> tuple[Token, Iterable[Any]]:
    frame = value.gi_frame
    place = (value.gi_code.co_qualname, frame.f_lasti if frame is not None else None)
    return place, list(frame.f_locals.values()) if frame is not None else ()


_END: Final = "end"
_NUMBERS: Final = ("none", "some")
_THEMSELVES: Final = frozenset((types.NoneType, bool, str, bytes))
_PLAIN: Final[dict[type, Callable[[Any], Token]]] = {
    int: lambda value: _NUMBERS[value > 0],
    float: lambda value: ("float", value),
    bytearray: bytes,
    memoryview: bytes,
    type: lambda value: value.__qualname__,
    types.BuiltinFunctionType: lambda value: value.__qualname__,
    types.ModuleType: lambda value: value.__name__,
    range: repr,
    frozenset: lambda value: ("set", *sorted(map(str, value))),
    Config: lambda value: "config",
    Shared: lambda value: "shared",
    # What these know of the state is looked at in `World.key`.
    Passing: lambda value: None,
    AskedPassing: lambda value: None,
    Tally: lambda value: value.over is not None,  # not the counts, which would make states without end
    Lane: lambda value: None,  # it has no state: a proxy without one is in the same state
}
"""Values that are what they say, wherever they stand."""

_LEAVES: Final[dict[type, Callable[[Any], Token]]] = {
    Command: lambda value: ("command", value.verb, value.kind.name),
    Reply: lambda value: ("reply", value.code if value.code == 421 else value.severity),
    Inbox: _unread,
}
"""Objects of which only this counts, and whether it is the same one that was met before."""

_INSIDE: Final[dict[type, Callable[[Any], tuple[Token, Iterable[Any]]]]] = {
    object: lambda value: ("object", ()),
    list: lambda value: ("list", value),
    deque: lambda value: ("list", value),
    tuple: lambda value: ("tuple", value),
    dict: lambda value: ("dict", [part for item in value.items() for part in item]),
    set: lambda value: ("set", sorted(value, key=str)),
    types.MethodType: lambda value: (value.__func__.__qualname__, (value.__self__,)),
    types.FunctionType: lambda value: (
        (value.__qualname__, value.__code__.co_firstlineno),
        [*_cells(value), value.__defaults__],
    ),
    types.GeneratorType: _iterated,
    functools.partial: lambda value: ("partial", (value.func, value.args, value.keywords)),
}
"""How objects are told apart that are no plain instances, and what is to be followed inside."""


def _cells(function: types.FunctionType) -> list[Any]:
    return [cell.cell_contents for cell in function.__closure__ or ()]


# Copies


def cloned(root: Any, *shared: Any) -> Any:
    """A copy that shares nothing mutable, except what is ``shared``. Raises `Uncopyable`."""
    return _clone(root, {id(value): value for value in shared})


def _clone(value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _SHARED:
        return value
    known = memo.get(id(value), _MISSING)
    if known is not _MISSING:
        return known
    special = _COPIES.get(kind)
    if special is not None:
        return special(value, memo)
    if issubclass(kind, Enum):
        return value
    if isinstance(value, BaseException):
        return value  # what was wrong is never changed afterwards
    if kind.__module__ == "builtins":
        return copy.copy(value)
    made = object.__new__(kind)
    memo[id(value)] = made
    for name in _names(kind):
        held = getattr(value, name, _MISSING)
        if type(held) in _SHARED:
            _set(made, name, held)
        elif held is not _MISSING:
            _set(made, name, _clone(held, memo))
    if others := getattr(value, "__dict__", None):
        copied = made.__dict__
        for name, held in others.items():
            copied[name] = held if type(held) in _SHARED else _clone(held, memo)
    return made


_set: Final = object.__setattr__


def _clone_list(value: list[Any], memo: dict[int, Any]) -> list[Any]:
    made: list[Any] = []
    memo[id(value)] = made
    made += [_clone(part, memo) for part in value]
    return made


def _clone_deque(value: deque[Any], memo: dict[int, Any]) -> deque[Any]:
    made: deque[Any] = deque(maxlen=value.maxlen)
    memo[id(value)] = made
    made += [_clone(part, memo) for part in value]
    return made


def _clone_dict(value: dict[Any, Any], memo: dict[int, Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    memo[id(value)] = made
    for key, held in value.items():
        made[_clone(key, memo)] = _clone(held, memo)
    return made


def _clone_tuple(value: tuple[Any, ...], memo: dict[int, Any]) -> tuple[Any, ...]:
    return tuple(_clone(part, memo) for part in value)


def _clone_set(value: set[Any], memo: dict[int, Any]) -> set[Any]:
    made: set[Any] = set()
    memo[id(value)] = made
    made.update(_clone(part, memo) for part in value)
    return made


def _clone_bytearray(value: bytearray, memo: dict[int, Any]) -> bytearray:
    made = memo[id(value)] = bytearray(value)
    return made


def _clone_method(value: types.MethodType, memo: dict[int, Any]) -> types.MethodType:
    return types.MethodType(value.__func__, _clone(value.__self__, memo))


def _clone_function(value: types.FunctionType, memo: dict[int, Any]) -> types.FunctionType:
    if not value.__closure__:
        return value
    cells = tuple(types.CellType() for _ in value.__closure__)
    made = types.FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, cells)
    made.__kwdefaults__ = value.__kwdefaults__
    memo[id(value)] = made
    for cell, original in zip(cells, value.__closure__, strict=True):
        cell.cell_contents = _clone(original.cell_contents, memo)
    return made


def _clone_partial(value: functools.partial[Any], memo: dict[int, Any]) -> functools.partial[Any]:
    return functools.partial(
        _clone(value.func, memo), *_clone(value.args, memo), **_clone(value.keywords, memo)
    )


def _no_copy(value: object, _: dict[int, Any]) -> Any:
    raise Uncopyable(type(value).__name__)


_SHARED: Final = frozenset(
    (
        types.NoneType, bool, int, float, str, bytes, memoryview, type, types.BuiltinFunctionType,
        types.ModuleType, range, frozenset, Config, Shared, Command, Reply,
    )
)  # fmt: skip
"""What is never changed, so that two states may share it."""

_COPIES: Final[dict[type, Callable[[Any, dict[int, Any]], Any]]] = {
    list: _clone_list,
    deque: _clone_deque,
    dict: _clone_dict,
    tuple: _clone_tuple,
    set: _clone_set,
    bytearray: _clone_bytearray,
    types.MethodType: _clone_method,
    types.FunctionType: _clone_function,
    types.GeneratorType: _no_copy,
    functools.partial: _clone_partial,
}
