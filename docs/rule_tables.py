"""What the documentation takes from the code of rules; see make_diagrams.py."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs

from sansio_smtp.rules.decorators import marks_of
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Discard, Hold, Redirect, Reject
from trio_proxy import ready
from trio_proxy.settings.tables import field_kind
from trio_proxy.settings.toml_values import describe

VERDICTS = (Accept, Reject, Defer, Discard, Hold, Close, Redirect)
ASKED = {
    "connect": "a client has connected; there is no server yet",
    "helo": "EHLO or HELO",
    "auth": "AUTH; the password is not shown",
    "login": "the client logs in to the proxy itself, with `--login inject` or `translate`",
    "mail": "MAIL",
    "rcpt": "each RCPT",
    "data": "DATA or the first BDAT, if there is a recipient",
    "headers": "the header section is complete",
    "body_line": "each line of the body, with its line end",
    "body": 'each piece of the body as it comes, and `b""` at its end',
    "message": "the message is complete; the server has seen none of it",
    "reply": "each reply of the server, before the client gets it",
    "delivered": "the client gets the reply to a message",
    "disconnect": "the connection is over",
    "command": "each command, before the rules of its own phase",
}
READY = [
    importlib.import_module(f"{ready.__name__}.{module.name}")
    for module in pkgutil.iter_modules(ready.__path__)
    if not module.name.startswith("_")
]


def phases_table() -> str:
    assert ASKED.keys() == PHASES.keys()
    rows = []
    for name, phase in PHASES.items():
        legal = ["bytes"] * phase.octets + [v.__name__ for v in VERDICTS if v in phase.verdicts]
        rows.append((f"`{phase.signature}`", ASKED[name], " ".join(f"`{each}`" for each in legal) or "-"))
    return table(("rule", "is asked when", "may return, besides `None`"), rows)


def ready_table() -> str:
    rows = []
    for module in READY:
        (cls,) = module.rules
        about, needs = _sentence(module.__doc__ or ""), getattr(module, "__extra__", "")
        rows.append((f"`ready:{_name(module)}`", about, _phases(cls), f"`{needs}`" if needs else "-"))
    return table(("rule", "", "phases", "extra"), rows)


def ready_section(module: Any) -> str:
    """What the docstring of a ready rule says, and its settings."""
    (cls,) = module.rules
    return f"{_markdown(inspect.cleandoc(cls.__doc__))}\n\n{_settings_table(cls)}"


def attribute_docs(cls: type) -> dict[str, str]:
    """The strings after the attributes of a class, which Python does not keep."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for attribute, doc in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(doc, ast.Expr):
            assert isinstance(attribute.target, ast.Name)
            found[attribute.target.id] = str(ast.literal_eval(doc.value))
    return found


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def _name(module: Any) -> str:
    return str(module.__name__.rpartition(".")[2])


def _sentence(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split()).removesuffix(".").replace("``", "`")


def _phases(cls: type) -> str:
    """In the order of a dialogue."""
    functions = {name: value for name, value in vars(cls).items() if inspect.isfunction(value)}
    found = set(functions) | {mark.phase for function in functions.values() for mark in marks_of(function)}
    return ", ".join(name for name in PHASES if name in found)


def _markdown(doc: str) -> str:
    """Of a docstring whose only block is TOML."""
    paragraphs = []
    for paragraph in doc.split("\n\n"):
        if paragraph.startswith("    "):
            paragraphs.append(f"```toml\n{textwrap.dedent(paragraph)}\n```")
        else:
            text = re.sub(r" ?::$", "", paragraph).replace("``", "`")
            paragraphs.append(textwrap.fill(" ".join(text.split()), 116, break_on_hyphens=False))
    return "\n\n".join(paragraphs)


def _settings_table(cls: Any) -> str:
    about = attribute_docs(cls)
    rows = []
    for field in attrs.fields(cls):
        if field.init:
            note = about.get(field.name, "").removesuffix(".")
            takes = describe(field_kind(cls, field)) + (f"; {note[0].lower()}{note[1:]}" if note else "")
            rows.append((f"`{field.alias}`", takes, _default(field.default)))
    return table(("key", "value", "default"), rows)


def _default(value: Any) -> str:
    if value is attrs.NOTHING:
        return "none: must be given"
    factory = getattr(value, "factory", None)
    if factory is not None:
        return "the name of the machine" if getattr(factory, "__name__", "") == "gethostname" else "empty"
    if isinstance(value, tuple):
        return " ".join(f"`{each}`" for each in value) or "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    return "-" if value is None or value == "" else f"`{value}`"


REGIONS: dict[str, Callable[[], str]] = {
    "phases": phases_table,
    "ready-rules": ready_table,
    **{f"ready-{_name(module).replace('_', '-')}": partial(ready_section, module) for module in READY},
}
