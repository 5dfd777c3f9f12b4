"""Makes the `Config` of the core from the settings that belong to it."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from sansio_smtp.config import ClientTls, Config
from sansio_smtp.networks import Networks

from .options import SETTINGS, Options

__all__ = ["client_tls", "core_config"]


def core_config(options: Options, **more: Any) -> Config:
    """The core's configuration for a session. ``more`` are fields of `Config` that are no settings, or that
    depend on more than one."""
    fields = attrs.fields_dict(Config)
    values = {
        name: _value(fields[name], getattr(options, name))
        for name, setting in SETTINGS.items()
        if setting.in_core
    }
    derived: dict[str, Any] = {"tls": client_tls(options)}
    return Config(**(values | derived | more))


def client_tls(options: Options) -> ClientTls:
    """What STARTTLS is to clients."""
    if options.tls is not None:
        return ClientTls(options.tls)
    return ClientTls.MAY if options.has_certificate else ClientTls.NONE


def _value(field: attrs.Attribute[Any], value: Any) -> Any:
    """A choice is an enum there, and a word here; networks are texts here."""
    if isinstance(field.default, Enum):
        return type(field.default)(value)
    return Networks.parse(value) if isinstance(field.default, Networks) else value
