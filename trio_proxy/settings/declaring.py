"""Declares settings: `setting` makes a field of an attrs class, and `settings_of` finds these fields."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import attrs

from .kinds import Kind

__all__ = ["Setting", "setting", "settings_of"]

T = TypeVar("T")
_DECLARED: Final = "setting"
"""The key of a field's metadata."""


@attrs.frozen(kw_only=True)
class Setting:
    """One setting as declared. All ways to give it are made from this."""

    name: str = ""
    """The name of the field, and of the parameter of the command."""
    kind: Kind[Any]
    default: Any
    help: str
    table: str | None
    """Its table in the settings file; None: it cannot be in the file."""
    key: str
    option: str
    """The option, with its dashes."""
    short: str
    """The short option of one letter; may be empty."""
    unset: str
    """A text that explains the default, if its value does not; may be empty."""
    in_core: bool
    """True if the value goes to the field of `sansio_smtp.Config` with the same name."""

    @property
    def options(self) -> tuple[str, ...]:
        """All the options: the short one, the long one, and ``--no-x`` of a switch."""
        negation = f"--no-{self.option.removeprefix('--')}" if self.kind.shape == "switch" else ""
        return tuple(filter(None, (self.short, self.option, negation)))

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "SMTP_PROXY_" + self.option.removeprefix("--").replace("-", "_").upper()

    @property
    def default_text(self) -> str:
        """A text for the default; empty if the default is no, none or 0."""
        return self.unset or (self.kind.show(self.default) if self.default else "")


def setting(
    table: str | None,
    kind: Kind[T],
    default: T,
    *,
    help: str,
    key: str = "",
    option: str = "",
    short: str = "",
    unset: str = "",
    in_core: bool = False,
) -> T:
    """Declares a setting, in the body of an attrs class: ``name: type = setting(...)``.

    By default the key is the name, and the option is the name with dashes. For the other parameters see
    `Setting`.
    """
    declared = Setting(
        kind=kind,
        default=default,
        help=help,
        table=table,
        key=key,
        option=option,
        short=short,
        unset=unset,
        in_core=in_core,
    )
    field: Any = attrs.field(default=default, metadata={_DECLARED: declared})
    return field  # type: ignore[no-any-return]  # the class turns it into a T


def settings_of(cls: type[attrs.AttrsInstance]) -> dict[str, Setting]:
    """The settings that a class declares, by name, in their order."""
    return {field.name: _named(field) for field in attrs.fields(cls) if _DECLARED in field.metadata}


def _named(field: attrs.Attribute[Any]) -> Setting:
    declared: Setting = field.metadata[_DECLARED]
    return attrs.evolve(
        declared,
        name=field.name,
        key=declared.key or field.name,
        option=declared.option or f"--{field.name.replace('_', '-')}",
    )
