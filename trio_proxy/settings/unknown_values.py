"""Asks ``__attrs_post_init__`` for its mistakes although some fields have no value that could be used.

What a class checks about several fields together, it checks in ``__attrs_post_init__``, which attrs calls
after all fields have values. So that its mistakes are said together with those of single fields, it is called
on an instance in which each field that is missing or wrong has an `Unknown` value. If it looks at one of
these, nothing is said: nobody knows what it would have found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

__all__ = ["late_mistake"]


class _LookedAt(BaseException):
    """Something has used an unknown value."""


def _refuse(*_: object, **__: object) -> Any:
    raise _LookedAt


_FACTORY: Final[Any] = attrs.Factory
_USES: Final = (
    *("bool", "eq", "ne", "lt", "le", "gt", "ge", "hash", "len", "iter", "next", "contains", "getitem"),
    *("str", "repr", "format", "bytes", "int", "float", "index", "fspath", "call", "enter", "reversed"),
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv"),
    *("mod", "rmod", "and", "rand", "or", "ror", "neg", "abs", "round", "getattr", "setattr"),
)
Unknown: Final[Any] = type(
    "Unknown",
    (),
    {f"__{use}__": _refuse for use in _USES} | {"__class__": property(_refuse)},
)
"""A class whose instances cannot be used for anything."""


def late_mistake(
    cls: type[Any], values: Mapping[str, Any], wrong: Collection[str], base: object = None
) -> Exception | None:
    """What ``__attrs_post_init__`` of the class raises, if it does not look at a field without a value.

    ``values``: parameter of ``__init__`` → value, before it is converted, for what could be read; ``wrong``:
    the parameters for which something stands there that could not. ``base``: as in `tables.structure`.
    """
    check = getattr(cls, "__attrs_post_init__", None)
    if check is None:
        return None
    try:
        half_made = object.__new__(cls)
        for field in attrs.fields(cls):
            object.__setattr__(half_made, field.name, _value(field, values, wrong, base))
        check(half_made)
    except (_LookedAt, TypeError, AttributeError):
        return None  # the latter come from code in C that was given an unknown value
    except Exception as error:  # a rule's own code
        return error
    return None


def _value(field: Any, values: Mapping[str, Any], wrong: Collection[str], base: object) -> Any:
    key, convert, default = field.alias or field.name, field.converter, field.default
    if field.init and key in wrong:
        return Unknown()
    if field.init and key in values:
        value = values[key]
    elif base is not None and field.init:
        return getattr(base, field.name)
    elif isinstance(default, _FACTORY):
        value = Unknown() if default.takes_self else default.factory()
    else:
        value = Unknown() if default is attrs.NOTHING else default
    if convert is None or type(value) is Unknown:
        return value
    return Unknown() if isinstance(convert, attrs.Converter) else convert(value)
