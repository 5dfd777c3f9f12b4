"""Sets up the spans for ``--otel``. Its library is imported only then."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.settings.in_file import of_settings
from trio_proxy.settings.options import Options

if TYPE_CHECKING:
    from trio_proxy.tracing.sessions import Tracing

__all__ = ["tracing_of", "tracing_problems"]


def tracing_problems(options: Options) -> list[Problem]:
    """The reasons why spans cannot be made."""
    if not options.otel or _is_installed():
        return []
    text = "--otel needs opentelemetry-api: pip install 'sansio-smtp[otel]', or leave it out"
    return [of_settings(options, text)]


def tracing_of(options: Options) -> Tracing | None:
    """The object that makes spans; None without ``--otel``."""
    if not options.otel:
        return None
    from trio_proxy.tracing.sessions import Tracing

    return Tracing(shows_addresses=options.log_addresses == "full")


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:  # no other package of OpenTelemetry is installed either
        return False
