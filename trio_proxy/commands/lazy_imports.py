"""Delays imports that a library makes and this program does not use, so that they take no memory."""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

__all__ = ["delay_import"]


def delay_import(*names: str) -> None:
    """From now on ``import name`` gives a module that is loaded at the first access to one of its attributes.
    Does nothing for a module that is loaded already."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = _Delayed(name)


class _Delayed(ModuleType):
    """A placeholder for a module that is not loaded yet. `importlib.util.LazyLoader` cannot be used: in
    Python 3.11 it loads the module at the next ``import`` of it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__lock = Lock()

    def __getattr__(self, attribute: str) -> Any:
        with self.__lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            module = import_module(self.__name__)
        value = getattr(module, attribute)
        setattr(self, attribute, value)  # some modules keep a reference to this object, and use it often
        return value
