"""Reads the settings of a script: lines such as ``# ask: RCPT`` before its first event."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeAlias, get_args, get_type_hints

import attrs

from sansio_smtp.client_info import ClientInfo, TlsInfo
from sansio_smtp.config import Config
from sansio_smtp.networks import Networks
from sansio_smtp.questions import asked_places

from .handshakes import tls_info
from .notation import did_you_mean

__all__ = ["SETTINGS", "SHOWN", "read_setting"]

SHOWN: Final = ("complete", "answered", "violation", "received", "chunk", "client", "unusable")
"""Events that a script shows only if its ``# show:`` line names them."""

Settings: TypeAlias = dict[str, Any]
"""Fields of a `Script`, by name."""


def read_setting(settings: Settings, key: str, value: str) -> None:
    """Adds what one line says; ``key`` is one of `SETTINGS`. Raises ValueError."""
    SETTINGS[key](settings, value)


def _ask(settings: Settings, value: str) -> None:
    names = _words(value)
    if not names:
        raise ValueError("ask names no hook place")
    settings["ask"] = settings.get("ask", frozenset()) | asked_places(names)


def _show(settings: Settings, value: str) -> None:
    names = _words(value)
    for name in names:
        if name not in SHOWN:
            raise ValueError(f"cannot show {name!r}{did_you_mean(name, SHOWN)}")
    settings["show"] = settings.get("show", frozenset()) | frozenset(names)


def _play(settings: Settings, value: str) -> None:
    if value != "whole":
        raise ValueError(f"'# play: whole' is the only way that can be asked for, not {value!r}")
    settings["whole_only"] = True


def _config(settings: Settings, value: str) -> None:
    config: Config = settings.get("config", Config())
    settings["config"] = attrs.evolve(config, **_given(Config, _words(value)))


def _client(settings: Settings, value: str) -> None:
    words = _words(value)
    if not words:
        raise ValueError("client needs an address, such as 192.0.2.1:51000, or unix")
    address, *words = words
    settings["client"] = ClientInfo(address=address, **_given(ClientInfo, words))


def _given(cls: type[Any], words: list[str]) -> dict[str, Any]:
    """The values of attributes of a class, each written ``name=value``."""
    kinds = get_type_hints(cls)
    given: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if key not in kinds:
            raise ValueError(f"unknown setting {key!r}{did_you_mean(key, kinds)}")
        if not equals:
            raise ValueError(f"{key} needs a value: {key}=…")
        try:
            given[key] = _typed(kinds[key], text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return given


SETTINGS: Final[dict[str, Callable[[Settings, str], None]]] = {
    "ask": _ask,
    "config": _config,
    "client": _client,
    "show": _show,
    "play": _play,
}


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _typed(kind: Any, text: str) -> object:
    """The value of an attribute, typed by its annotation."""
    kinds: tuple[Any, ...] = get_args(kind) or (kind,)
    if type(None) in kinds and text.lower() == "none":
        return None
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(text)
        except ValueError:
            values = [str(member.value) for member in kind]
            raise ValueError(f"{text!r} is none of {', '.join(values)}{did_you_mean(text, values)}") from None
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    if int in kinds:
        if not re.fullmatch("[0-9]{1,18}", text):
            raise ValueError(f"{text!r} is not a number")
        return int(text)
    if TlsInfo in kinds:
        return tls_info(text)
    if kind is Networks:
        return Networks.parse(text.split())
    return frozenset(text.split()) if kind == frozenset[str] else text
