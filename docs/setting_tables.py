"""What the documentation takes from the declared settings; see make_diagrams.py."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from rule_tables import attribute_docs, table

from trio_proxy.settings.declaring import Setting
from trio_proxy.settings.options import SETTINGS, TABLES
from trio_proxy.settings.timeouts import OPTION_PHASES, Timeouts
from trio_proxy.settings.toml_values import describe


def options_table() -> str:
    """Every option, as ``--help`` tells of it."""
    rows = [(_options(setting), _about(setting)) for setting in SETTINGS.values()]
    return table(("option", ""), [*rows, ("`-V`, `--version` and `-h`, `--help`", "")])


def settings_table() -> str:
    """Every setting that the settings file can say, and where else it can be said."""
    rows = [
        (
            f"`[{setting.table}]` `{setting.key}`",
            f"`{setting.option}`",
            f"`{setting.variable}`",
            _value(setting),
            default_of(setting),
        )
        for name in TABLES
        for setting in SETTINGS.values()
        if setting.table == name
    ]
    return table(("key", "option", "variable", "value in the file", "default"), rows)


def timeouts_table() -> str:
    about = attribute_docs(Timeouts)
    defaults = attrs.asdict(Timeouts())
    rows = [
        (f"`{option}`", f"{defaults[phase]:g}", " ".join(about[phase].split()).removesuffix("."))
        for option, phase in OPTION_PHASES.items()
    ]
    return table(("phase", "seconds", "for"), rows)


def _options(setting: Setting) -> str:
    *others, last = setting.options
    if setting.kind.choices:
        *most, final = (f"`{choice}`" for choice in setting.kind.choices)
        return ", ".join([*(f"`{option}`" for option in others), f"`{last}` {', '.join(most)} or {final}"])
    shown = [*others, f"{last} {setting.kind.metavar}".strip()]
    return ", ".join(f"`{option}`" for option in shown)


def _about(setting: Setting) -> str:
    default = f" Default: {default_of(setting)}." if setting.default_text else ""
    return setting.help + default


def _value(setting: Setting) -> str:
    kind = setting.kind.toml
    if isinstance(kind, type) and attrs.has(kind):
        return f"a table: {', '.join(f'`{key}`' for key in attrs.fields_dict(kind))}"
    return describe(kind)


def default_of(setting: Setting) -> str:
    """The default of a setting, for people."""
    if setting.unset:
        return setting.unset
    if isinstance(setting.default, bool):
        return str(setting.default).lower()
    return f"`{setting.kind.show(setting.default)}`" if setting.default not in (None, ()) else "none"


REGIONS: dict[str, Callable[[], str]] = {
    "options": options_table,
    "settings": settings_table,
    "timeouts": timeouts_table,
}
