"""Makes the `Config` of the core from the settings that belong to it."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from sansio_smtp.config import Config

from .options import SETTINGS, Options

__all__ = ["core_config"]


def core_config(options: Options, **more: Any) -> Config:
    """The core's configuration for a session. ``more`` are fields of `Config` that are no settings."""
    fields = attrs.fields_dict(Config)
    values = {
        name: _value(fields[name], getattr(options, name))
        for name, setting in SETTINGS.items()
        if setting.in_core
    }
    return Config(**(values | more))


def _value(field: attrs.Attribute[Any], value: Any) -> Any:
    """A choice is an enum there, and a word here."""
    return type(field.default)(value) if isinstance(field.default, Enum) else value
