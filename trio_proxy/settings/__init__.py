"""The settings: options, environment variables, the settings file, and its tables for rules."""

from trio_proxy.text.units import Duration, Size

__all__ = ["Duration", "Size"]
