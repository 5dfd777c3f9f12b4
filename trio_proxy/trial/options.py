"""Reads the command line of ``smtp-proxy test``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from .expectations import Expectation
    from .letters import Letter
    from .model import Case

__all__ = ["read_case", "read_letters", "with_trial_options"]

F = TypeVar("F", bound=Callable[..., Any])

_NO_RULES: Final = "--rules FILE.py (or --config FILE.toml, a settings file that names rules)"
_NO_MESSAGE: Final = "MSG.eml (a message, or a directory, a Maildir or an mbox file of messages)"


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
        "-f", "--from", "mail_from", metavar="ADDRESS",
        help="The sender. '' is the null path, as of a bounce.  [default: from the kept envelope, or the "
        "message's own fields: Return-Path, Sender or From]",
    ),
    click.option(
        "-t", "--to", "rcpt_to", multiple=True, metavar="ADDRESS",
        help="A recipient. Repeatable.  [default: from the kept envelope, or the message's own fields: To, "
        "Cc and Bcc]",
    ),
    click.option(
        "--ip", type=_IP(), default="192.0.2.1", show_default=True,
        help="Where the client connects from.",
    ),
    click.option(
        "--helo", metavar="NAME",
        help="What it calls itself.  [default: from the kept envelope, or client.example]",
    ),
    click.option(
        "--user", "login", metavar="NAME", help="Who has logged in.  [default: from the kept envelope]",
    ),
    click.option(
        "--expect", "expectations", type=_Expected(), multiple=True, metavar="[PHASE=]VERDICT",
        help="accept, reject, defer, discard, hold, close, redirect; with a reply code or server, as in "
        "reject:550 or redirect:HOST; of one phase, as in rcpt=reject. It is met if this happens at "
        "least once: with several recipients, to one of them. accept is met if nothing else happens, so for "
        "all recipients, and the message is delivered. Applies to each message. Repeatable, all must hold.",
    ),
    click.option("--json", "how", flag_value="json", help="Tell all of it as JSON."),
    click.option(
        "-q", "--quiet", "how", flag_value="quiet",
        help="Say what was not as expected and which rules failed, nothing else.",
    ),
    click.option(
        "-v", "--verbose", "how", flag_value="all",
        help="Of several messages, too, tell all: the dialogue, the rules, the difference.",
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

    from .model import HELO, Case

    names = ("mail_from", "rcpt_to", "ip", "helo", "login", "expectations")
    case = Case(**{name: said[name] for name in names})
    try:
        # Addresses are sent as they are, odd ones too: what becomes of them is to be seen.
        for line in (f"EHLO {case.helo or HELO}", f"MAIL FROM:<{case.mail_from or ''}>"):
            Command.of(line.encode("utf-8", "surrogateescape"))
        for address in case.rcpt_to:
            if not address:
                raise click.UsageError("not an address: ''", ctx)
            Command.of(f"RCPT TO:<{address}>".encode("utf-8", "surrogateescape"))
    except LocalProtocolError as error:
        raise click.UsageError(str(error), ctx) from None
    return case


def read_letters(ctx: click.Context, paths: Sequence[str], case: Case, *, has_rules: bool) -> list[Letter]:
    """The messages to try. Raises `click.UsageError`, which says all that is missing at once."""
    from .letters import LettersError, find_letters

    if paths.count("-") > 1:
        raise click.UsageError("Standard input can be read once only: - is given twice.", ctx)
    rules = next((path for path in paths if path.endswith(".py")), "")
    missing = [] if has_rules else [f"--rules in front of {rules}: --rules {rules}" if rules else _NO_RULES]
    letters: list[Letter] = []
    problems: tuple[str, ...] = ()
    if not paths:
        missing.append(_NO_MESSAGE)
    try:
        letters = find_letters(paths, ctx.with_resource(ExitStack()))
        if len(letters) == 1:  # of several, each is tried that can be
            missing += _missing_in(letters[0], case)
    except LettersError as error:
        problems = error.problems
    if missing:
        problems = (*problems, "Missing:", *(f"  {each}" for each in missing))
    if problems:
        raise click.UsageError("\n".join(problems), ctx)
    return letters


def _missing_in(letter: Letter, case: Case) -> tuple[str, ...]:
    from sansio_smtp.wire.content import canonical

    from .envelope import envelope_of
    from .kept import with_kept

    case, _ = with_kept(case, letter.kept())
    try:
        return envelope_of(canonical(letter.read()), case.mail_from, case.rcpt_to).missing
    except OSError:  # the trial says so
        return ()
