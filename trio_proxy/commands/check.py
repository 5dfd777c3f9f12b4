"""``smtp-proxy check``: says everything that would go wrong, before the service is started."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from sansio_smtp import ClientConnection, Command, Pause, RemoteProtocolError, Reply, ReplyReceived
from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.driver.server import ListenError, listening
from trio_proxy.driver.streams import SocketStream, connect
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address
from trio_proxy.text.masking import plain
from trio_proxy.text.output import write_line

from . import exit_status
from .open_relay import open_relay_warning
from .rule_problems import load_or_problems

__all__ = ["run_check"]

_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 1.0
_NOT_THE_SETTINGS: Final = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)
"""Errors that may not occur when the service is started: by another user, or at another time."""


@attrs.define
class _Findings:
    """Says each thing as it is found: what is right on standard output, what is not on standard error."""

    config_is_wrong: bool
    """True if the settings file has mistakes. An option that seems not to be given may stand in it."""
    wrong: bool = False
    unavailable: bool = False

    def good(self, what: str, text: str) -> None:
        write_line(f"  {what:<11} {plain(text)}")

    def warn(self, text: str) -> None:
        _say(f"warning: {text}")

    def problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.wrong = True
            _say(str(problem))

    def unreached(self, text: str) -> None:
        self.unavailable = True
        _say(text)


def run_check(options: Options, problems: Iterable[Problem]) -> int:
    """Says what is right and what is wrong. Returns 78 if options or rules are wrong, else 69 if the upstream
    server cannot be used, else 0. ``problems`` are those of the settings file."""
    problems = tuple(problems)
    found = _Findings(config_is_wrong=bool(problems))
    found.problems(problems)
    if options.config is not None and not problems:
        found.good("config", f"{options.config} ok")
    _check_rules(options, found)
    _check_listeners(options, found)
    _check_directories(options, found)
    trio.run(_check_upstream, options, found)
    if found.wrong:
        return exit_status.CONFIG
    return exit_status.UNAVAILABLE if found.unavailable else 0


def _check_rules(options: Options, found: _Findings) -> None:
    loaded, problems = load_or_problems(options, config_is_wrong=found.config_is_wrong)
    found.problems(problems)
    if warning := open_relay_warning(options, loaded):
        found.warn(warning)
    if loaded is None:
        return
    for part in loaded.parts:
        found.good("rules", f"{part.spec}: {', '.join(part.phases) or 'none'}")
    if options.on_rule_error == "accept" and loaded.guards:
        guards = ", ".join(loaded.guards)
        found.good("on_error", f'"accept", but "defer" for what guards: {guards}')


def _check_listeners(options: Options, found: _Findings) -> None:
    if found.config_is_wrong and "listen" not in options.named:
        return
    for address in options.listen:
        try:
            with listening(address):
                pass
        except ListenError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
                found.warn(f"{address} is in use, maybe by this service; two cannot listen there")
            elif isinstance(cause, PermissionError):
                found.warn(str(error))
            else:
                found.problems([Problem("", 0, str(error))])
        else:
            found.good("listen", f"{address} is free")
        if address == options.upstream:
            found.problems(
                [
                    Problem(
                        "",
                        0,
                        f"{address} is where this proxy listens itself: it cannot be its upstream server",
                    )
                ]
            )


# Directories


def _check_directories(options: Options, found: _Findings) -> None:
    directories = {
        "capture": options.capture if options.upstream is None else None,
        "quarantine": options.quarantine if options.rules else None,
        "spool": options.spool if options.rules else None,
    }
    for name, path in directories.items():
        if path is not None and (obstacle := _obstacle(path)):
            text = f"--{name} {path}: {obstacle}; choose a directory that can be made and written"
            found.problems([Problem("", 0, text)])


def _obstacle(directory: Path) -> str:
    """Returns the reason why no file can be written in this directory, which may not exist yet; else ""."""
    for path in (directory, *directory.parents):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if path.is_symlink():
                return f"{path} is a link that leads nowhere"
            continue
        except OSError as error:
            return error.strerror or str(error)
        if not stat.S_ISDIR(mode):
            return f"{path} is no directory"
        return "" if os.access(path, os.W_OK | os.X_OK) else f"no permission to write in {path}"
    return ""


# The upstream server


async def _check_upstream(options: Options, found: _Findings) -> None:
    address = options.upstream
    if address is None:
        if not found.config_is_wrong:
            found.good("upstream", f"none: messages are kept in {options.capture}")
        return
    where = f"upstream {address}"
    try:
        with trio.fail_after(_SECONDS):
            said = await _introduction(address)
    except trio.TooSlowError:
        hint = (
            "is it a port for TLS? That is not built yet" if address.port == 465 else "is it an SMTP server?"
        )
        found.unreached(f"{where}: no answer within {_SECONDS:g} s; {hint}")
    except RemoteProtocolError as error:
        found.unreached(f"{where}: does not speak SMTP: {plain(str(error))}; is the port right?")
    except _Refused as error:
        found.unreached(f"{where}: {plain(str(error))}; it would refuse the clients too")
    except OSError as error:
        # A server that closes before it has read what we sent resets the connection.
        is_closed = isinstance(error, ConnectionResetError | BrokenPipeError)
        why = "it closed the connection" if is_closed else error.strerror or str(error)
        found.unreached(f"{where}: cannot be reached: {why}; is it running, and the address right?")
    else:
        found.good("upstream", f"{address}: {said}")


class _Refused(Exception):
    """The server does not want to talk."""


async def _introduction(address: Address) -> str:
    """The greeting and the keywords of the server. Raises OSError, `RemoteProtocolError`, `_Refused`."""
    stream = await connect(address)
    try:
        connection = ClientConnection()
        greeting = await _reply(stream, connection)
        if greeting.severity != 2:
            raise _Refused(f"greets with {_first_line(greeting)}")
        hello = await _ask(stream, connection, f"EHLO {_our_name(stream.sock)}")
        if hello.severity != 2:
            raise _Refused(f"answers EHLO with {_first_line(hello)}")
        offers = ", ".join(f"{name} {value}".strip() for name, value in connection.keywords.items())
        await _say_goodbye(stream, connection)
    finally:
        stream.close()
    return f"{_first_line(greeting)}; {offers or 'no extensions'}"


async def _say_goodbye(stream: SocketStream, connection: ClientConnection) -> None:
    """Sends QUIT. Errors are ignored: everything that matters is known already."""
    with trio.move_on_after(_GOODBYE_SECONDS):
        try:
            await _ask(stream, connection, "QUIT")
        except (OSError, RemoteProtocolError):
            return


async def _ask(stream: SocketStream, connection: ClientConnection, line: str) -> Reply:
    rest = memoryview(connection.send_command(Command.of(line)))
    while rest:
        rest = rest[await stream.send_some(rest) :]
    return await _reply(stream, connection)


async def _reply(stream: SocketStream, connection: ClientConnection) -> Reply:
    while True:
        event = connection.next_event()
        if isinstance(event, ReplyReceived):
            return event.reply
        if isinstance(event, RemoteProtocolError):
            raise event
        if event is Pause.END_OF_INPUT:
            raise OSError("it closed the connection")
        if data := await stream.receive():
            connection.receive_data(data)
        else:
            connection.receive_eof()


def _our_name(sock: socket.socket) -> str:
    """An address literal (RFC 5321 §4.1.3): to look up a name may take longer than all the rest."""
    if sock.family == socket.AF_UNIX:
        return "localhost"
    host = str(sock.getsockname()[0])
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _first_line(reply: Reply) -> str:
    return reply.raw.split(b"\r\n", 1)[0].decode("utf-8", "backslashreplace")


def _say(line: str) -> None:
    click.echo(plain(line), err=True)
