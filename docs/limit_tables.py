"""What the documentation takes from the table of limits; see make_diagrams.py."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from rule_tables import table
from setting_tables import default_of

from sansio_smtp import Config
from trio_proxy.limits.table import LIMITS, Limit
from trio_proxy.settings.options import SETTINGS


def limits_table() -> str:
    """Every limit: how it is set, what the client hears, what the log says, and what shows it."""
    rows = [
        (
            limit.about,
            _setting(limit),
            _default(limit),
            f"`{limit.hears}`" if limit.hears else "nothing",
            f"`{limit.label}`",
            limit.log,
            f"`{limit.test}`",
        )
        for limit in LIMITS
    ]
    return table(("limit", "setting", "default", "the client hears", "label", "log line", "test"), rows)


def _setting(limit: Limit) -> str:
    setting = SETTINGS.get(limit.setting)
    return f"`Config.{limit.setting}`" if setting is None else f"`{setting.option}`"


def _default(limit: Limit) -> str:
    setting = SETTINGS.get(limit.setting)
    if setting is not None:
        return default_of(setting)
    return f"{attrs.fields_dict(Config)[limit.setting].default:,}"


REGIONS: dict[str, Callable[[], str]] = {"limits": limits_table}
