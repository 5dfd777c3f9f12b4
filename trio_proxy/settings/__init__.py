"""What can be set: by options, environment variables, the settings file, and tables of rules."""

from trio_proxy.text.units import Duration, Size

__all__ = ["Duration", "Size"]
