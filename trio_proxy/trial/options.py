"""Reads the command line of ``smtp-proxy test``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from .expectations import Expectation
    from .model import Case

__all__ = ["read_case", "read_messages", "with_trial_options"]

F = TypeVar("F", bound=Callable[..., Any])


class _Expected(click.ParamType[Any]):
    name = "expectation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Expectation:
        from .expectations import Expectation

        try:
            return Expectation.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _IP(click.ParamType[Any]):
    name = "ip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(ipaddress.ip_address(str(value)))
        except ValueError:
            self.fail(f"{value!r} is no IP address, such as 192.0.2.1 or 2001:db8::1", param, ctx)


# fmt: off
_OPTIONS = (
    click.option(
        "-f", "--from", "mail_from", required=True, metavar="ADDRESS",
        help="The sender. '' is the null path, as of a bounce.",
    ),
    click.option(
        "-t", "--to", "rcpt_to", required=True, multiple=True, metavar="ADDRESS",
        help="A recipient. Repeatable.",
    ),
    click.option(
        "--ip", type=_IP(), default="192.0.2.1", show_default=True,
        help="Where the client connects from.",
    ),
    click.option(
        "--helo", default="client.example", show_default=True, metavar="NAME",
        help="What it calls itself.",
    ),
    click.option(
        "--user", "login", metavar="NAME", help="Who has logged in.",
    ),
    click.option(
        "--expect", "expectations", type=_Expected(), multiple=True, metavar="[PHASE=]VERDICT",
        help="accept, reject, defer, discard, hold, close, redirect; with a reply code or server, as in "
        "reject:550 or redirect:HOST; of one phase, as in rcpt=reject. Repeatable, all must hold.",
    ),
    click.option("--json", "how", flag_value="json", help="Tell all of it as JSON."),
    click.option(
        "-q", "--quiet", "how", flag_value="quiet",
        help="Say what was not as expected and which rules failed, nothing else.",
    ),
)
# fmt: on


def with_trial_options(function: F) -> F:
    """Gives a command the options of a trial, besides the rules."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_case(ctx: click.Context, said: Mapping[str, Any]) -> Case:
    """The values of `with_trial_options`. Raises `click.UsageError`."""
    from sansio_smtp.errors import LocalProtocolError
    from sansio_smtp.wire.commands import Command

    from .model import Case

    names = ("mail_from", "rcpt_to", "ip", "helo", "login", "expectations")
    case = Case(**{name: said[name] for name in names})
    try:
        # Addresses are sent as they are, odd ones too: what becomes of them is to be seen.
        for line in (f"EHLO {case.helo}", f"MAIL FROM:<{case.mail_from}>"):
            Command.of(line.encode("utf-8", "surrogateescape"))
        for address in case.rcpt_to:
            if not address:
                raise click.UsageError("not an address: ''", ctx)
            Command.of(f"RCPT TO:<{address}>".encode("utf-8", "surrogateescape"))
    except LocalProtocolError as error:
        raise click.UsageError(str(error), ctx) from None
    return case


def read_messages(ctx: click.Context, files: Sequence[str]) -> list[tuple[str, bytes]]:
    """Name and octets of each message. Raises `click.UsageError`."""
    if files.count("-") > 1:
        raise click.UsageError("Standard input can be one message only: - is given twice.", ctx)
    return [("stdin" if file == "-" else file, _read(ctx, file)) for file in files]


def _read(ctx: click.Context, file: str) -> bytes:
    try:
        with click.open_file(file, "rb") as opened:
            octets: bytes = opened.read()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}", ctx) from None
    return octets
