"""The command line. Trio and all that needs it are imported when they are used: ``--help`` is fast."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from trio_proxy.text.addresses import Address, AddressError
from trio_proxy.text.units import parse_duration, parse_size
from trio_proxy.trial.options import read_case, read_messages, with_trial_options

if TYPE_CHECKING:
    from sansio_smtp.rules.lint.problems import Problem
    from trio_proxy.settings.options import Options

__all__ = ["RUN_OPTIONS", "chosen", "main", "with_options"]

F = TypeVar("F", bound=Callable[..., Any])

_EXIT_UNAVAILABLE = 69
_EXIT_NO_PERMISSION = 77
_EXIT_CONFIG = 78
_EXIT_INTERRUPTED = 130


class _Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        names = self.list_commands(ctx)
        if name and name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Commands: {', '.join(names)}."
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


class _AddressType(click.ParamType[Any]):
    name = "address"

    def __init__(self, default_port: int | None) -> None:
        self.default_port = default_port

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(str(value), default_port=self.default_port)
        except AddressError as error:
            self.fail(str(error), param, ctx)


class _UnitType(click.ParamType[Any]):
    """A size or a duration."""

    name = "unit"

    def __init__(self, parse: Callable[[Any], Any], *, zero: bool = True) -> None:
        self.parse = parse
        self.zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = self.parse(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if number == 0 and not self.zero:
            self.fail(f"{value!r}: expected more than 0", param, ctx)
        return number


def _directory() -> click.Path:
    return click.Path(file_okay=False, path_type=Path)


# fmt: off
RUN_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "config": click.option(
        "-c", "--config", type=click.Path(path_type=Path), metavar="FILE",
        help="A settings file, such as proxy.toml: [server], [server.timeouts], [rules] and [rules.NAME] for "
        "the settings of rules. Options win.",
    ),
    "rules": click.option(
        "-r", "--rules", multiple=True, metavar="FILE.py",
        help="Rules: functions named after phases (connect, helo, auth, mail, rcpt, data, headers, "
        "body_line, body, message, reply, disconnect), or ready:NAME. Repeatable, asked in this order.",
    ),
    "listen": click.option(
        "-l", "--listen", multiple=True, type=_AddressType(None), metavar="ADDRESS",
        help="Where clients connect: HOST:PORT, [IPV6]:PORT or unix:PATH. Repeatable. Port 0 takes a free "
        "port and prints it.  [default: 127.0.0.1:2525]",
    ),
    "upstream": click.option(
        "-u", "--upstream", type=_AddressType(25), metavar="ADDRESS",
        help="The server that clients are connected to: smtp://HOST:PORT, HOST:PORT, HOST (port 25) or "
        "unix:PATH. Without it, a built-in server keeps the messages.",
    ),
    "capture": click.option(
        "--capture", type=_directory(), metavar="DIR",
        help="The Maildir of the built-in server; envelopes go into DIR/envelopes.  [default: captured-mail]",
    ),
    "transcript": click.option(
        "--transcript", is_flag=True, help="Show both legs of every dialogue, secrets masked."
    ),
    "bare_newline": click.option(
        "--bare-newline", type=click.Choice(["normalize", "reject"]), default="normalize", show_default=True,
        help="A CR or LF that is no CRLF: make LF a CRLF and CR a space, or refuse the message.",
    ),
    "nul": click.option(
        "--nul", type=click.Choice(["pass", "refuse"]), default="pass", show_default=True,
        help="NUL octets in messages.",
    ),
    "max_message_size": click.option(
        "--max-message-size", type=_UnitType(parse_size), metavar="SIZE",
        help="Refuse larger messages (such as 25M).  [default: what the upstream server announces]",
    ),
    "max_connections": click.option(
        "--max-connections", type=click.IntRange(1), default=1000, show_default=True,
        help="Clients at the same time; more get 421.",
    ),
    "timeouts": click.option(
        "--timeout", "timeouts", multiple=True, metavar="[PHASE=]SECONDS", envvar="SMTP_PROXY_TIMEOUT",
        help="For every wait, or for one: connect, greeting, idle, command, reply, content, final-reply, "
        "verdict. Repeatable.  [default: those of RFC 5321, 4.5.3.2]",
    ),
    "grace": click.option(
        "--grace", type=_UnitType(parse_duration), default="30s", show_default=True, metavar="SECONDS",
        help="For messages in flight to finish when the service stops.",
    ),
    "rule_timeout": click.option(
        "--rule-timeout", type=_UnitType(parse_duration, zero=False), default="30s", show_default=True,
        metavar="SECONDS", help="For one call of a rule.",
    ),
    "on_rule_error": click.option(
        "--on-rule-error", type=click.Choice(["defer", "reject", "accept"]), default="defer",
        show_default=True, help="When a rule fails or is too late: 451, 550, or go on as if it said nothing.",
    ),
    "quarantine": click.option(
        "--quarantine", type=_directory(), metavar="DIR",
        help="Where messages go that a rule holds.  [default: quarantine]",
    ),
    "max_held": click.option(
        "--max-held", type=_UnitType(parse_size), metavar="SIZE",
        help="The largest message kept in memory for a rule that wants it whole.  [default: 32MiB]",
    ),
    "spool": click.option(
        "--spool", metavar="DIR",
        help="Larger ones go through a file in this directory.  [default: they are refused]",
    ),
    "reload": click.option(
        "--reload/--no-reload", default=False,
        help="Watch the rules and the settings file; new connections get the new rules.",
    ),
    "verbose": click.option(
        "-v", "--verbose", count=True, help="Log what became of each message; twice: everything."
    ),
    "quiet": click.option(
        "-q", "--quiet", is_flag=True, help="Log errors only, and do not say what was started."
    ),
}
# fmt: on
"""Parameter → option, in the order of ``--help``."""


def with_options(*names: str) -> Callable[[F], F]:
    """Gives a command these of `RUN_OPTIONS`; they may then stand before and behind its name."""

    def decorate(function: F) -> F:
        for name in reversed(names):
            function = RUN_OPTIONS[name](function)
        return function

    return decorate


_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "SMTP_PROXY",
    "max_content_width": 100,
}


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings=_SETTINGS,
    epilog="Exit status: 0 stopped as asked, 2 wrong usage, 69 cannot listen there (check: the upstream "
    "server cannot be used), 77 no permission, 78 the settings file or the rules are wrong, 130 a second "
    "signal. Every option can be given as an environment variable, such as SMTP_PROXY_UPSTREAM, or in a "
    "settings file.",
)
@with_options(*RUN_OPTIONS)
@click.version_option(None, "-V", "--version", package_name="sansio-smtp", prog_name="smtp-proxy")
@click.pass_context
def cli(ctx: click.Context, /, **_: Any) -> None:
    """An SMTP proxy that never stalls, never lies and cannot be used to smuggle.

    \b
    smtp-proxy --listen 127.0.0.1:2525 --upstream mail.example.net:25
    smtp-proxy --rules my_rules.py --transcript  keep messages in ./captured-mail, show the dialogues
    smtp-proxy check --config proxy.toml         is it right? Does the server answer?
    smtp-proxy demo                              start both ends, send samples, check every byte
    """
    if ctx.invoked_subcommand is None:
        sys.exit(_run(ctx))


@cli.command()
def demo() -> None:
    """Send samples through a proxy into a capture server and check that each arrives byte for byte."""
    from .demo import run_demo

    sys.exit(run_demo())


@cli.command(context_settings=_SETTINGS)
@with_options(*RUN_OPTIONS)
@click.pass_context
def check(ctx: click.Context, /, **_: Any) -> None:
    """Say all that is wrong with the settings file and the rules, and whether the upstream server answers.

    Takes the options that the service would be started with, before or behind the word. Nothing is started.
    """
    from .check import run_check

    options, problems = chosen(ctx)
    sys.exit(run_check(options, problems))


@cli.command(context_settings=_SETTINGS)
@click.argument(
    "messages",
    metavar="MSG.eml...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@with_trial_options
@with_options("rules", "config", "rule_timeout", "on_rule_error", "max_message_size", "max_held")
@click.pass_context
def test(ctx: click.Context, /, messages: tuple[str, ...], how: str | None, **said: Any) -> None:
    """Say what the rules would do with a message. Nothing is connected, nothing is sent.

    \b
    smtp-proxy test --rules my_rules.py mail.eml --from ann@me.example --to bob@old.example

    Shows which rules are asked in each phase, how long they take, what they decide and change, what the
    client would be told, and the difference between the message and what would be delivered, if the server
    takes everything. A message is a file, or - for standard input; each comes in a connection of its own.

    Exit status: 0 all is as expected, 1 it is not or a rule failed, 2 wrong usage, 78 the settings file or
    the rules are wrong.
    """
    options, problems = chosen(ctx)
    if problems:
        sys.exit(_complain(problems))
    if not options.rules:
        raise click.UsageError("Missing option '-r' / '--rules'.", ctx)
    from sansio_smtp.rules.lint.problems import RuleError
    from trio_proxy.trial.run import run_trial

    case, given = read_case(ctx, said), read_messages(ctx, messages)
    try:
        status = run_trial(options, given, case, how)
    except RuleError as error:
        status = _complain(error.problems)
    except KeyboardInterrupt:
        status = _EXIT_INTERRUPTED
    sys.exit(status)


def main() -> None:
    """The executable."""
    cli(prog_name="smtp-proxy")


def chosen(ctx: click.Context) -> tuple[Options, list[Problem]]:
    """What the command line, the environment and the settings file say, and what is wrong in the file.

    A file that has mistakes counts as far as it could be read. Raises `click.UsageError`.
    """
    from trio_proxy.settings.options import choose
    from trio_proxy.settings.timeouts import Timeouts

    given = _given(ctx)
    try:
        Timeouts.parse(given.get("timeouts", ()))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--timeout'") from None
    config, problems = None, list["Problem"]()
    if given.get("config") is not None:
        from trio_proxy.settings.config_file import read_config

        config, problems = read_config(given["config"])
    try:
        return choose(given, config), problems
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from None


def _given(ctx: click.Context) -> dict[str, Any]:
    """Parameter → value, for what stands on the command line or in the environment.

    What stands behind the name of a command wins; what may be repeated adds up.
    """
    typed: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    for level in reversed(list(_levels(ctx))):
        for name, value in level.params.items():
            if name not in RUN_OPTIONS:
                continue
            source = level.get_parameter_source(name)
            if source is ParameterSource.COMMANDLINE:
                typed[name] = (*typed.get(name, ()), *value) if isinstance(value, tuple) else value
            elif source is ParameterSource.ENVIRONMENT:
                environment[name] = value
    return environment | typed


def _levels(ctx: click.Context | None) -> Iterator[click.Context]:
    while ctx is not None:
        yield ctx
        ctx = ctx.parent


def _run(ctx: click.Context) -> int:
    options, problems = chosen(ctx)
    if problems:
        return _complain(problems)
    from sansio_smtp.rules.lint.problems import RuleError

    from .run import ListenError, run

    try:
        return run(options)
    except RuleError as error:
        return _complain(error.problems)
    except ListenError as error:
        click.echo(f"smtp-proxy: {error}", err=True)
        return _EXIT_NO_PERMISSION if isinstance(error.__cause__, PermissionError) else _EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def _complain(problems: Iterable[Problem]) -> int:
    from trio_proxy.text.masking import plain

    for problem in problems:
        click.echo(plain(str(problem)), err=True)
    return _EXIT_CONFIG
