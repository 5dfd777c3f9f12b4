"""The command line. Trio and all that needs it are imported when they are used: ``--help`` is fast."""

from __future__ import annotations

import difflib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .addresses import Address, AddressError

if TYPE_CHECKING:
    from .run import Options

__all__ = ["main"]

_EXIT_UNAVAILABLE = 69
_EXIT_NO_PERMISSION = 77
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


class _SizeType(click.ParamType[Any]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().upper().removesuffix("B")
        factor = {"K": 1000, "M": 1000**2, "G": 1000**3}.get(text[-1:], 1)
        digits = text[:-1] if factor > 1 else text
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18 and int(digits) > 0):
            self.fail(f"{value!r}: expected a number of bytes, or a size such as 25M", param, ctx)
        return int(digits) * factor


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SMTP_PROXY",
        "max_content_width": 100,
    },
    epilog="Exit status: 0 stopped as asked, 2 wrong usage, 69 cannot listen there, 77 no permission, "
    "130 a second signal. Every option can be given as an environment variable, such as SMTP_PROXY_UPSTREAM.",
)
@click.option(
    "-l", "--listen", "listen", multiple=True, type=_AddressType(None), metavar="ADDRESS",
    help="Where clients connect: HOST:PORT, [IPV6]:PORT or unix:PATH. Repeatable. Port 0 takes a free port "
    "and prints it.  [default: 127.0.0.1:2525]",
)  # fmt: skip
@click.option(
    "-u", "--upstream", type=_AddressType(25), metavar="ADDRESS",
    help="The server that clients are connected to: smtp://HOST:PORT, HOST:PORT, HOST (port 25) or "
    "unix:PATH. Without it, a built-in server keeps the messages.",
)  # fmt: skip
@click.option(
    "--capture", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The Maildir of the built-in server; envelopes go into DIR/envelopes.  [default: captured-mail]",
)  # fmt: skip
@click.option("--transcript", is_flag=True, help="Show both legs of every dialogue, secrets masked.")
@click.option(
    "--bare-newline", type=click.Choice(["normalize", "reject"]), default="normalize", show_default=True,
    help="A CR or LF that is no CRLF: make LF a CRLF and CR a space, or refuse the message.",
)  # fmt: skip
@click.option(
    "--nul", type=click.Choice(["pass", "refuse"]), default="pass", show_default=True,
    help="NUL octets in messages.",
)  # fmt: skip
@click.option(
    "--max-message-size", type=_SizeType(), metavar="SIZE",
    help="Refuse larger messages (such as 25M).  [default: what the upstream server announces]",
)  # fmt: skip
@click.option(
    "--max-connections", type=click.IntRange(1), default=1000, show_default=True,
    help="Clients at the same time; more get 421.",
)  # fmt: skip
@click.option(
    "--timeout", "timeouts", multiple=True, metavar="[PHASE=]SECONDS", envvar="SMTP_PROXY_TIMEOUT",
    help="For every wait, or for one: connect, greeting, idle, command, reply, content, final-reply, "
    "verdict. Repeatable.  [default: those of RFC 5321, 4.5.3.2]",
)  # fmt: skip
@click.option(
    "--grace", type=click.FloatRange(0), default=30.0, show_default=True, metavar="SECONDS",
    help="For messages in flight to finish when the service stops.",
)  # fmt: skip
@click.option("-v", "--verbose", count=True, help="Log what became of each message; twice: everything.")
@click.option("-q", "--quiet", is_flag=True, help="Log errors only, and do not say what was started.")
@click.version_option(None, "-V", "--version", package_name="sansio-smtp", prog_name="smtp-proxy")
@click.pass_context
def cli(ctx: click.Context, /, **values: Any) -> None:
    """An SMTP proxy that never stalls, never lies and cannot be used to smuggle.

    \b
    smtp-proxy --listen 127.0.0.1:2525 --upstream mail.example.net:25
    smtp-proxy --transcript            keep messages in ./captured-mail, show the dialogues
    smtp-proxy demo                    start both ends, send samples, check every byte
    """
    if ctx.invoked_subcommand is None:
        sys.exit(_run(_options(values)))


@cli.command()
def demo() -> None:
    """Send samples through a proxy into a capture server and check that each arrives byte for byte."""
    from .demo import run_demo

    sys.exit(run_demo())


def main() -> None:
    """The executable."""
    cli(prog_name="smtp-proxy")


def _options(values: dict[str, Any]) -> Options:
    from .run import Options
    from .timeouts import Timeouts

    if values["upstream"] is not None and values["capture"] is not None:
        raise click.UsageError("--capture is for the built-in server; with --upstream there is none.")
    if math.isnan(values["grace"]):
        raise click.BadParameter("'nan': expected a number of seconds", param_hint="'--grace'")
    try:
        timeouts = Timeouts.parse(values["timeouts"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--timeout'") from None
    return Options(
        listen=values["listen"] or (Address("127.0.0.1", 2525),),
        upstream=values["upstream"],
        capture=values["capture"] or Path("captured-mail"),
        transcript=values["transcript"],
        bare_newline=values["bare_newline"],
        nul=values["nul"],
        max_message_size=values["max_message_size"],
        max_connections=values["max_connections"],
        timeouts=timeouts,
        grace=values["grace"],
        verbosity=-1 if values["quiet"] else values["verbose"],
    )


def _run(options: Options) -> int:
    from .run import ListenError, run

    try:
        return run(options)
    except ListenError as error:
        click.echo(f"smtp-proxy: {error}", err=True)
        return _EXIT_NO_PERMISSION if isinstance(error.__cause__, PermissionError) else _EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
