"""Makes the manual page ``deploy/man/smtp-proxy.1`` from the help texts. As a program it prints the page."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

import click

from sansio_smtp import __version__

__all__ = ["man_page"]

_NAME: Final = "smtp-proxy"
_SEE_ALSO: Final = (
    "The documentation, which comes with the source distribution: README.md, docs/reference/operating.md for "
    "all settings, docs/reference/rules.md for rules."
)
_ENVIRONMENT: Final = (
    "Each option can be given as a variable: its name in upper case, with _ for -, after SMTP_PROXY_. So "
    "SMTP_PROXY_UPSTREAM is --upstream. The command line wins over variables, and they win over the settings "
    "file."
)


def man_page(group: click.Group) -> str:
    """The page in the language of ``man``, with all commands and their options."""
    return "\n".join([*_lines(group), ""])


def _lines(group: click.Group) -> Iterator[str]:
    context = click.Context(group, info_name=_NAME)
    commands = [(name, group.commands[name]) for name in group.list_commands(context)]
    first, *examples = _paragraphs(group.help or "")
    yield f'.TH SMTP-PROXY 1 "" "{_NAME} {__version__}"'
    yield from _section("NAME", [f"{_NAME} \\- {_escaped(first.rstrip('.'))}"])
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(_NAME)}"
    yield _escaped("[OPTION]...")
    for name, command in commands:
        yield ".br"
        yield f".B {_escaped(f'{_NAME} {name}')}"
        yield _escaped(_usage(command, name, context))
    yield ".SH DESCRIPTION"
    yield from _written(examples)
    yield ".SH OPTIONS"
    yield from _options(group, context)
    yield ".SH COMMANDS"
    for name, command in commands:
        below = click.Context(command, info_name=name, parent=context)
        yield f".SS {_escaped(name)}"
        yield from _written(_paragraphs(command.help or ""))
        own = [param for param in command.params if param.name not in {each.name for each in group.params}]
        yield from _options(command, below, own)
        if len(own) < len(command.params):
            yield ".PP"
            yield _escaped(f"Other options are those of {_NAME}: see {_NAME} {name} --help.")
    yield from _section("EXIT STATUS", [_escaped(re.sub(r"^Exit status: ", "", _epilog(group)))])
    yield from _section("ENVIRONMENT", [_escaped(_ENVIRONMENT)])
    yield from _section("SEE ALSO", [_escaped(_SEE_ALSO)])


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f".SH {title}"
    yield from lines


def _usage(command: click.Command, name: str, parent: click.Context) -> str:
    pieces = command.collect_usage_pieces(click.Context(command, info_name=name, parent=parent))
    return " ".join(pieces)


def _epilog(group: click.Group) -> str:
    """The statuses; what the epilog says of the environment has a section of its own."""
    return " ".join((group.epilog or "").split()).partition(" Every option ")[0]


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text.replace("\r", "").strip()) if part.strip()]


def _written(paragraphs: Iterable[str]) -> Iterator[str]:
    """Paragraphs of a help text; those that begin with \\b keep their lines."""
    for paragraph in paragraphs:
        lines = [line.rstrip() for line in paragraph.strip("\n").split("\n")]
        if lines[0].strip() == "\b":
            yield ".PP"
            yield ".nf"
            yield from (_escaped(line.strip()) for line in lines[1:])
            yield ".fi"
        else:
            yield ".PP"
            yield _escaped(" ".join(line.strip() for line in lines))


def _options(
    command: click.Command, context: click.Context, params: Iterable[click.Parameter] | None = None
) -> Iterator[str]:
    for param in command.params if params is None else params:
        record = param.get_help_record(context)
        if record is not None and record[1]:  # an argument has no text of its own
            names, text = record
            yield ".TP"
            yield f".B {_escaped(names)}"
            yield _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    """Text that stands for itself: no backslash, hyphen, dot or quote in it means anything."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "...")
    return f"\\&{text}" if text[:1] in (".", "'", "\\") and not text.startswith("\\-") else text


if __name__ == "__main__":
    from .cli import cli

    sys.stdout.write(man_page(cli))
