"""Finds mistakes with ``__attrs_post_init__`` although some fields have no usable value. A class checks
several fields together in ``__attrs_post_init__``, which attrs calls after all fields have values. To report
its mistakes together with those of single fields, it is called on an instance in which each missing or wrong
field has an `Unknown` value. If it reads one of these, nothing is reported, because its result is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

__all__ = ["late_mistake"]


class _LookedAt(BaseException):
    """Code has used an unknown value."""


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
"""A class whose instances raise at every use."""


def late_mistake(
    cls: type[Any], values: Mapping[str, Any], wrong: Collection[str], base: object = None
) -> Exception | None:
    """The exception that ``__attrs_post_init__`` of the class raises, unless it reads a field without a
    value.

    ``values``: parameter of ``__init__`` → its value before conversion, if it could be read; ``wrong``: the
    parameters whose values could not be read. ``base``: as in `tables.structure`.
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
        return None  # other errors come from code in C that got an unknown value
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
