"""`Data`: data that rules keep for a connection or a mail transaction."""

from __future__ import annotations

from typing import Any, TypeVar, overload

__all__ = ["Data"]

T = TypeVar("T")


class Data:
    """Data that rules keep: ``data.get(MyState)`` is the one ``MyState``, made at first use by calling the
    class without arguments; ``data["key"]`` may be anything."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[Any, Any] = {}

    @overload
    def get(self, key: type[T]) -> T: ...
    @overload
    def get(self, key: str, default: T) -> T: ...
    @overload
    def get(self, key: str, default: None = None) -> Any: ...
    def get(self, key: Any, default: Any = None) -> Any:
        if isinstance(key, type):
            if key not in self._items:
                self._items[key] = key()
            return self._items[key]
        return self._items.get(key, default)

    def pop(self, key: str, default: Any = None) -> Any:
        return self._items.pop(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._items[key] = value

    def __delitem__(self, key: str) -> None:
        del self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __repr__(self) -> str:
        return f"Data({self._items!r})"
