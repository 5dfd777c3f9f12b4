"""Makes the core's `Config` from the settings."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs

from sansio_smtp.config import ClientTls, Config
from sansio_smtp.networks import Networks

from .options import SETTINGS, Options

__all__ = ["client_access", "client_tls", "core_config"]


def core_config(options: Options, **more: Any) -> Config:
    """The core's configuration for a session. ``more`` are fields of `Config` that are not settings, or that
    depend on several settings."""
    fields = attrs.fields_dict(Config)
    values = {
        name: _value(fields[name], getattr(options, name))
        for name, setting in SETTINGS.items()
        if setting.in_core
    }
    return Config(**(values | client_access(options) | more))


def client_access(options: Options) -> dict[str, Any]:
    """The fields of `Config` that say how clients may encrypt and log in. A service that only keeps mail
    takes logins in plain text too: the application that is tried out decides."""
    return {
        "tls": client_tls(options),
        "auth_without_tls": options.auth_without_tls or options.only_keeps,
    }


def client_tls(options: Options) -> ClientTls:
    """Returns if clients are offered STARTTLS, or must use it."""
    if options.tls is not None:
        return ClientTls(options.tls)
    return ClientTls.MAY if options.has_certificate or options.makes_certificate else ClientTls.NONE


def _value(field: attrs.Attribute[Any], value: Any) -> Any:
    """Converts a setting for `Config`: a word becomes an enum, and texts become networks."""
    if isinstance(field.default, Enum):
        return type(field.default)(value)
    return Networks.parse(value) if isinstance(field.default, Networks) else value
