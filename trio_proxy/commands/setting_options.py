"""Makes the options of the command line from the declared settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, TypeVar

import attrs
import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from click.types import BoolParamType

from trio_proxy.settings.declaring import Setting
from trio_proxy.settings.kinds import Kind
from trio_proxy.settings.options import SETTINGS
from trio_proxy.text.masking import MASK

__all__ = ["Mistaken", "option_for", "with_settings"]

F = TypeVar("F", bound=Callable[..., Any])

_LOGIN: Final = re.compile(r"(?<=://)[^/@]*(?=@)")
"""What stands before the host in a URL: it may hold a password."""


def with_settings(*names: str) -> Callable[[F], F]:
    """Adds to a command the options for these settings; for all settings if none is named."""

    def decorate(function: F) -> F:
        for name in reversed(names or tuple(SETTINGS)):
            function = option_for(SETTINGS[name])(function)
        return function

    return decorate


def option_for(setting: Setting) -> Callable[[F], F]:
    """The option for a setting, as a decorator of click.

    It has no default of its own, so the context holds only what was given.
    """
    shape = setting.kind.shape
    default = f"  [default: {setting.default_text}]" if setting.default_text else ""
    more: dict[str, Any] = {"type": _TextType(setting.kind), "metavar": setting.kind.metavar}
    if shape == "list":
        more |= {"multiple": True, "callback": _read_items}
    elif shape == "count":
        more = {"count": True}
    elif shape == "flag":
        more = {"is_flag": True, "type": _YesNo()}
    elif shape == "switch":
        more = {"default": False, "type": _YesNo()}
    return click.option(*_names(setting), envvar=setting.variable, help=setting.help + default, **more)


def _names(setting: Setting) -> tuple[str, ...]:
    """The names for click: a switch and its negation in one string, and the name of the parameter last."""
    names = setting.options
    if setting.kind.shape == "switch":
        names = (*names[:-2], "/".join(names[-2:]))
    return (*names, setting.name)


@attrs.frozen
class Mistaken:
    """Takes the place of an option's value that cannot be read: click would stop at the first mistake, but
    all are reported together."""

    complaint: str
    param: click.Parameter | None

    def error(self, ctx: click.Context) -> click.BadParameter:
        """The error that click raises for such a value."""
        source = ctx.get_parameter_source(self.param.name or "") if self.param is not None else None
        if self.param is not None and source is ParameterSource.ENVIRONMENT:
            hint = f"{self.param.envvar} in the environment"
            return click.BadParameter(self.complaint, ctx, self.param, hint)
        return click.BadParameter(self.complaint, ctx, self.param)


class _TextType(click.ParamType[Any]):
    """A value that `Kind.read` makes of a text. The texts of a list are read together: see `_read_items`."""

    name = "text"

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if self.kind.shape == "list":
            return value
        try:
            return self.kind.read(value)
        except ValueError as error:
            return Mistaken(_complaint(value, error), param)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if self.kind.completes:
            return [CompletionItem(incomplete, type={"directory": "dir"}.get(self.kind.completes, "file"))]
        return [CompletionItem(choice) for choice in self.kind.choices if choice.startswith(incomplete)]


class _YesNo(BoolParamType):
    """A switch, whose value is a text only if it comes from the environment."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            return Mistaken(f"{value!r}: expected true or false", param)


def _read_items(
    ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]
) -> tuple[Any, ...] | Mistaken:
    """All items of a list, or all mistakes in them."""
    assert isinstance(param.type, _TextType)
    items: list[tuple[Any, ...]] = []
    complaints: list[str] = []
    for text in texts:
        try:
            items.append(param.type.kind.read(text))
        except ValueError as error:
            complaints.append(_complaint(text, error))
    if complaints:
        return Mistaken("\n".join(complaints), param)
    return tuple(chain.from_iterable(items))


def _complaint(text: str, error: ValueError) -> str:
    """Says what is wrong with a text. Some errors already quote the text."""
    said = str(error)
    shown = repr(_LOGIN.sub(MASK, text))
    return said if said.startswith(shown) else f"{shown}: {said}"
