"""The command line. Trio, and every module that imports it, is imported only when it is used: so ``--help``
is fast."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trio_proxy.trial.options import read_case, read_letters, with_trial_options

from . import exit_status
from .command_group import SuggestingGroup
from .completion import SHELLS, completion_script
from .read_options import read_control, read_options
from .setting_options import Mistaken, with_settings

if TYPE_CHECKING:
    from sansio_smtp.rules.lint.problems import Problem
    from trio_proxy.settings.options import Options
    from trio_proxy.trial.reports import How as TrialHow

    from .show import How, Which

__all__ = ["cli", "main"]

_NUMBER = re.compile(r"[1-9][0-9]{0,11}")
_CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}


@click.group(
    cls=SuggestingGroup,
    invoke_without_command=True,
    context_settings=_CONTEXT,
    epilog="Exit status: 0 stopped as asked, 2 wrong usage, 69 cannot listen there (check: the upstream "
    "server cannot be used), 77 no permission, 78 settings, rules or certificates are wrong, 130 a second "
    "signal. Every option can be given as an environment variable, such as SMTP_PROXY_UPSTREAM, or in a "
    "settings file. If something does not work, docs/how-to/diagnose.md leads from what you see to the "
    "cause.",
)
@with_settings()
@click.version_option(None, "-V", "--version", package_name="sansio-smtp", prog_name="smtp-proxy")
@click.pass_context
def cli(ctx: click.Context, /, **_: Any) -> None:
    """An SMTP proxy between mail clients and a mail server. It checks and changes mail by your rules.

    \b
    smtp-proxy --listen 127.0.0.1:2525 --upstream mail.example.net:25
    smtp-proxy --listen smtps://127.0.0.1:2465 --self-signed  TLS, with a certificate for development
    smtp-proxy --rules my_rules.py --transcript  keep messages in ./captured-mail, show the dialogues
    smtp-proxy check --config proxy.toml         are the settings right? Does the server answer?
    smtp-proxy show                              list the messages in ./captured-mail, or print one
    smtp-proxy demo                              start both ends, send samples, check every byte
    """
    if ctx.invoked_subcommand is None:
        sys.exit(_run(ctx))


@cli.command(context_settings=_CONTEXT)
@click.option(
    "-v", "--verbose", is_flag=True, help="Show every command and reply, on both sides of the proxy."
)
def demo(*, verbose: bool) -> None:
    """Send five messages through a proxy to a server, and check that each arrives byte for byte.

    Client, proxy and server run on this machine, and nothing is left of them. Exit status: 0 all arrived, 1
    one did not.
    """
    from .demo import run_demo

    sys.exit(run_demo(verbose=verbose))


@cli.command(context_settings=_CONTEXT)
@with_settings()
@click.pass_context
def check(ctx: click.Context, /, **_: Any) -> None:
    """Report what is wrong with settings, rules and certificates, and what the upstream server answers.

    Give it the same options as the service, before or after the word check. It does not start the service.
    """
    from .check import run_check

    options, problems = read_options(ctx)
    sys.exit(run_check(options, problems))


@cli.command(context_settings=_CONTEXT)
@with_settings("config", "control")
@click.option("--only", is_flag=True, help="Restart no worker: read settings, rules and certificates again.")
@click.option("--status", is_flag=True, help="Change nothing: say what the workers do.")
@click.pass_context
def reload(ctx: click.Context, /, *, only: bool, status: bool, **_: Any) -> None:
    """Replace the workers of a running service with new ones, which run the current program and settings.

    It is for a service with --workers. A service of one process needs no such command: kill -HUP PID makes it
    read rules and settings again; with --reload it does so when a file changes.

    No client is refused, and no message is lost. The socket of the service is given with --control, or in the
    settings file. Exit status: 0 the new workers run, 1 they do not and the old ones continue, 69 no such
    service is running.
    """
    from .reload import run_reload

    control, problems = read_control(ctx)
    if problems:
        sys.exit(_complain(problems))
    if control is None:
        raise click.UsageError(
            "This command is for a service with --workers, and needs its --control PATH (or control in the "
            "settings file). A service of one process reads rules and settings again at SIGHUP: kill -HUP "
            "PID; or when a file changes, with --reload (reload = true below [rules]).",
            ctx,
        )
    sys.exit(run_reload(control, "status" if status else "reload" if only else "restart"))


@cli.command(context_settings=_CONTEXT)
@click.argument("number", metavar="[N]", required=False)
@click.option("--last", is_flag=True, help="Show the newest message.")
@click.option("--to", metavar="ADDRESS", help="List the messages with this recipient.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object, or a list of them.")
@click.option(
    "--raw", is_flag=True, help="The message as it was sent; control characters are escaped on a terminal."
)
@click.option(
    "--save",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Save the attachments of the message as files in this directory. Existing files stay as they are.",
)
@with_settings("capture", "config")
@click.pass_context
def show(
    ctx: click.Context,
    /,
    number: str | None,
    *,
    last: bool,
    to: str | None,
    as_json: bool,
    raw: bool,
    save: Path | None,
    capture: Path | Mistaken | None,
    **_: Any,
) -> None:
    """Show mail that was kept, as it is when there is no upstream server.

    \b
    smtp-proxy show            a list of all messages, the newest last
    smtp-proxy show --to A@B   those with this recipient, in upper or lower case
    smtp-proxy show --last     the newest: envelope, header fields, text, attachments
    smtp-proxy show 3 --json   the third of the list, for programs
    smtp-proxy show 3 --save . its attachments, as files in this directory

    Exit status: 0 it is shown, 1 there is no such message or no directory with mail, 2 wrong usage.
    """
    if last and number is not None:
        raise click.UsageError("'N' and '--last' name two messages: leave out one of them.", ctx)
    if to is not None and (last or number is not None):
        raise click.UsageError("'--to' lists messages: leave out the number and '--last'.", ctx)
    if as_json and raw:
        raise click.UsageError("'--json' and '--raw' are two forms: leave out one of them.", ctx)
    if raw and not last and number is None:
        raise click.UsageError("'--raw' shows one message: say which, with a number or '--last'.", ctx)
    if save is not None and (as_json or raw):
        raise click.UsageError("'--save' writes files: leave out '--json' and '--raw'.", ctx)
    if save is not None and not last and number is None:
        raise click.UsageError("'--save' is for one message: say which, with a number or '--last'.", ctx)
    if number is not None and not _NUMBER.fullmatch(number):
        raise click.UsageError(f"{number!r} is no number of a message: the list begins with 1.", ctx)
    if not isinstance(capture, Path):  # else nothing in a settings file matters
        options, problems = read_options(ctx)
        if problems:
            sys.exit(_complain(problems))
        capture = options.capture
    from .show import run_save, run_show

    if save is not None:
        sys.exit(run_save(capture, int(number) if number is not None else None, save))
    which: Which = int(number) if number is not None else "last" if last else "all"
    how: How = "json" if as_json else "raw" if raw else "text"
    sys.exit(run_show(capture, which, how, to))


@cli.command(context_settings=_CONTEXT)
@click.argument("messages", metavar="MSG.eml...", nargs=-1, type=click.Path(allow_dash=True))
@with_trial_options
@with_settings("rules", "config", "rule_timeout", "on_rule_error", "max_message_size", "max_held")
@click.pass_context
def test(ctx: click.Context, /, messages: tuple[str, ...], how: TrialHow | None, **said: Any) -> None:
    """Say what the rules would do with messages. It connects to no server and sends nothing.

    \b
    smtp-proxy test --rules my_rules.py mail.eml
    smtp-proxy test --rules my_rules.py mail.eml --from ann@me.example --to bob@old.example
    smtp-proxy test --rules my_rules.py captured-mail

    Shows which rules are asked in each phase, how long they take, what they decide and change, the replies to
    the client, and the difference between the message and the delivered one, if the server accepts
    everything.

    MSG.eml is a file, or - for standard input. It may be a directory of .eml files, a Maildir or an mbox
    file: of several messages each gets one line, and a summary follows. Each message comes in a connection
    of its own. If the proxy has kept the message, its envelope was kept with it: the sender, the recipients,
    the name in EHLO and the login are those again.

    Exit status: 0 all is as expected, 1 it is not, a rule failed or a message could not be tried, 2 wrong
    usage, 78 the settings file or the rules are wrong.
    """
    options, problems = read_options(ctx)
    if problems:
        sys.exit(_complain([*problems, *_rule_problems(options)]))
    case = read_case(ctx, said)
    letters = read_letters(ctx, messages, case, has_rules=bool(options.rules))
    from sansio_smtp.rules.lint.problems import RuleError
    from trio_proxy.trial.run import run_trial

    how = how or ("all" if len(letters) == 1 else "lines")
    try:
        status = 0 if run_trial(options, letters, case, how) else exit_status.FAILED
    except RuleError as error:
        status = _complain(error.problems)
    except KeyboardInterrupt:
        status = exit_status.INTERRUPTED
    sys.exit(status)


@cli.command(context_settings=_CONTEXT)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete the words of smtp-proxy: commands, options, choices and files.

    \b
    eval "$(smtp-proxy completion bash)"          in ~/.bashrc
    eval "$(smtp-proxy completion zsh)"           in ~/.zshrc
    smtp-proxy completion fish | source           in ~/.config/fish/config.fish
    """
    click.echo(completion_script(cli, shell), nl=False)


def main() -> None:
    """The executable."""
    cli(prog_name="smtp-proxy")


def _run(ctx: click.Context) -> int:
    from trio_proxy.settings.contradictions import listens_twice

    options, problems = read_options(ctx)
    if problems or any(listens_twice(options)):  # the parent of workers opens listeners before all is checked
        from .all_problems import all_problems

        return _complain([*problems, *all_problems(options)])
    from sansio_smtp.rules.lint.problems import RuleError
    from trio_proxy.driver.listening import GivenError
    from trio_proxy.process.user import UserError
    from trio_proxy.workers.seat import VARIABLE

    from .run import ListenError, run

    try:
        if options.workers is not None and VARIABLE not in os.environ:
            from .supervise import supervise

            return supervise(options)
        return run(options)
    except UserError as error:
        click.echo(f"smtp-proxy: --user {options.user}: {error}", err=True)
        return exit_status.NO_PERMISSION
    except RuleError as error:
        return _complain(error.problems)
    except ListenError as error:
        click.echo(f"smtp-proxy: {error}", err=True)
        if isinstance(error, GivenError):
            return exit_status.CONFIG
        return (
            exit_status.NO_PERMISSION
            if isinstance(error.__cause__, PermissionError)
            else exit_status.UNAVAILABLE
        )
    except KeyboardInterrupt:
        return exit_status.INTERRUPTED


def _rule_problems(options: Options) -> list[Problem]:
    """The mistakes in the rules, without those in the settings file."""
    from .rule_problems import load_or_problems

    return load_or_problems(options, config_is_wrong=True)[1]


def _complain(problems: Iterable[Problem]) -> int:
    from trio_proxy.text.masking import plain

    from .problem_order import in_order

    for problem in in_order(problems):
        click.echo(plain(str(problem)), err=True)
    return exit_status.CONFIG
