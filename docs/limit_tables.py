"""What the documentation takes from the table of limits; see make_diagrams.py."""

from __future__ import annotations

from collections.abc import Callable

from rule_tables import table
from setting_tables import default_of

from trio_proxy.limits.table import LIMITS
from trio_proxy.settings.options import SETTINGS


def limits_table() -> str:
    """Every limit: how it is set, what the client hears, what the log says, and what shows it."""
    rows = [
        (
            limit.about,
            f"`{SETTINGS[limit.setting].option}`",
            default_of(SETTINGS[limit.setting]),
            f"`{limit.hears}`" if limit.hears else "nothing",
            f"`{limit.label}`",
            limit.log,
            f"`{limit.test}`",
        )
        for limit in LIMITS
    ]
    return table(("limit", "setting", "default", "the client gets", "label", "log line", "test"), rows)


REGIONS: dict[str, Callable[[], str]] = {"limits": limits_table}
