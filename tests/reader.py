"""Reads a page as a person does who follows it: types its commands, saves its files, compares what is shown.

What a page may say, besides prose:

- a block ``sh`` is pasted into a terminal. The prose before it says which, "in the second terminal", else it
  is the one of the block before;
- a block ``text`` is what that terminal shows then, all of it. A line ``...`` in it stands for any number of
  lines, and ``...`` in a line for any characters. Times, ports and other things that change are not compared;
- a block of any language is a file if it begins with its name, ``# moved.py``, or if the prose before it ends
  with "as `hello.eml`:";
- "Press Ctrl-C in the first terminal" is done.

A command is over, with exit status 0, before the page goes on. A service, ``smtp-proxy`` with nothing but
options, goes on until it is stopped: what it shows at its start has to be on the page.
"""

from __future__ import annotations

import difflib
import os
import pty
import re
import select
import shlex
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import attrs
from pages import FENCED, shown_file, text

__all__ = ["Reader", "environment", "free_ports", "prepared"]

_TERMINAL: Final = re.compile(r"\b(first|second|third)\s+terminal\b")
_CTRL_C: Final = re.compile(r"\b[Pp]ress\s+Ctrl-C(?:\s+in\s+the\s+(first|second|third)\s+terminal)?")
_SAVED: Final = re.compile(r"\bas\s+`([\w./-]+)`:\s*$")
_SERVICE: Final = re.compile(r"(?m)^smtp-proxy(?: +-(?!-help|-version)[^\n]*)?(?<!&)\Z")
_PLAIN: Final = {"VIRTUAL_ENV_DISABLE_PROMPT": "1", "PS1": "", "PS2": ""}
"""A shell without prompts."""
_END: Final = "the-command-is-over"
_CHANGES: Final = {
    r"\x1b\[[0-9;]*m": "",
    r"\[\d+\] \d+\n|\[\d+\]\+ .*\n": "",  # what a shell says of jobs
    r"\d{4}-\d\d-\d\d[ T]": "",
    r"\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)?": "TIME",
    r" *\b\d+[.]\d+( ?)(ms|s)\b": r" 0\1\2",
    r"\b\d+\.\d+\.P\d+Q\d+\.[\w.-]+|\b\d{10}[\w.]*…\.eml": "NAME",
    r"\bP\d+Q\d+": "NAME",
    r"(?<=127\.0\.0\.1:)(?!25\d\d\b)\d{4,5}\b": "PORT",
    r"\bsmtp-proxy \d[\w.]*": "smtp-proxy VERSION",
    r"\bincident \w+": "incident NUMBER",
    r" +(?=\[ *\d+%\])": " ",  # of pytest, at the right
    r"[ \t]+$": "",
}


def stable(output: str) -> str:
    """The output without what changes from run to run."""
    for pattern, instead in _CHANGES.items():
        output = re.sub(pattern, instead, output, flags=re.MULTILINE)
    return output.strip("\n") + "\n"


def _pattern(expected: str) -> re.Pattern[str]:
    lines = (
        r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n"
        for line in stable(expected).splitlines()
    )
    return re.compile("".join(lines))


# A terminal


class Terminal:
    """A shell on a terminal, to type into."""

    def __init__(self, folder: Path, variables: Mapping[str, str], patience: float) -> None:
        self._patience = patience
        self._fd, theirs = pty.openpty()
        settings = termios.tcgetattr(theirs)
        settings[1] &= ~termios.OPOST  # no CR before LF
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
        termios.tcsetwinsize(theirs, (24, 80))
        # The first process of a session that opens a terminal gets it as its own: Ctrl-C needs that.
        # Ctrl-C works also if these tests run in the background, where SIGINT is ignored.
        start = 'exec env --default-signal=INT bash --norc --noprofile --noediting -i <"$0" >"$0" 2>&1'
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", start, os.ttyname(theirs)],
            cwd=folder, env=variables, start_new_session=True,
        )  # fmt: skip
        self._shown = b""
        self._runs = False
        self.run("")
        os.close(theirs)  # the shell has it: reading ends with the shell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Everything that runs in it ends. A hang-up would not do: to a service that means to reload."""
        if self._runs:
            self._write("\x03")
        self._write("kill $(jobs -p) 2> /dev/null; wait; exit\n")
        until = time.monotonic() + self._patience
        while self._more(until):
            pass
        os.close(self._fd)
        self._shell.kill()
        self._shell.wait()

    def save(self, name: str, content: str) -> None:
        """Writes a file, in the directory in which the shell is now."""
        Path(f"/proc/{self._shell.pid}/cwd", name).write_text(content, encoding="utf-8")

    def start(self, command: str) -> None:
        """Pastes a command that goes on."""
        self._shown = b""
        self._runs = True
        self._write(command)

    def run(self, command: str) -> None:
        """Pastes commands, and waits for their end. Raises AssertionError if the last one fails."""
        self.start(f"{command}\n" if command else "")
        self._over(command)

    def press_ctrl_c(self) -> None:
        """Returns when the shell can be typed into again."""
        self._write("\x03")
        self._over("Ctrl-C", None)

    def compare(self, expected: str) -> None:
        """Waits until this is shown, and nothing else."""
        pattern = _pattern(expected)
        until = time.monotonic() + min(self._patience, 60.0)
        while not (self._text()[-1:] in ("", "\n") and pattern.fullmatch(stable(self._text()))):
            if not self._more(until):
                shown, awaited = (stable(each).splitlines() for each in (self._text(), expected))
                lines = difflib.unified_diff(awaited, shown, "the page", "the terminal", lineterm="")
                raise AssertionError("\n".join(lines))
        self._shown = b""

    def _over(self, command: str, status: int | None = 0) -> None:
        self._write(f'echo "{_END[:3]}""{_END[3:]} $?."\n')
        until = time.monotonic() + self._patience
        end = re.compile(rf"{_END} (\d+)\.\n")
        while not (found := end.search(self._text())):
            assert self._more(until), f"{command} does not end: {self._text()}"
        self._shown = end.sub("", self._text()).encode()
        self._runs = False
        assert status is None or int(found[1]) == status, f"{command}: {found[1]}, {self._text()}"

    def _text(self) -> str:
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def _write(self, typed: str) -> None:
        os.write(self._fd, typed.encode())

    def _more(self, until: float) -> bool:
        """False if nothing more comes until then."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        try:
            octets = os.read(self._fd, 65_536)
        except OSError:  # the shell has ended
            return False
        self._shown += octets
        return bool(octets)


# A page


@attrs.frozen
class _Step:
    kind: str
    """`save`, `service`, `run`, `see` or `ctrl-c`."""
    terminal: str
    body: str = ""
    file: str = ""


def _steps(page: Path) -> Iterator[_Step]:
    terminal, at = "first", 0
    content = text(page)
    for block in FENCED.finditer(content):
        prose, at = content[at : block.start()], block.end()
        for pressed in _CTRL_C.finditer(prose):
            yield _Step("ctrl-c", pressed[1] or terminal)
        terminal = [terminal, *_TERMINAL.findall(prose)][-1]
        language, body = block[1], block[2]
        saved = _SAVED.search(prose)
        if file := shown_file(body) or (saved[1] if saved else ""):
            yield _Step("save", terminal, body, file)
        elif language == "sh":
            yield _Step("service" if _SERVICE.search(body.rstrip("\n")) else "run", terminal, body)
        elif language == "text":
            yield _Step("see", terminal, body)
    for pressed in _CTRL_C.finditer(content[at:]):
        yield _Step("ctrl-c", pressed[1] or terminal)


class Reader:
    """Follows pages, one after the other; what one page leaves open is there for the next one.

    Ports that are on the pages may be others here, since several readers share a machine.
    """

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        *,
        ports: Mapping[str, str] = {},
        without: str = "(?!)",
        patience: float = 60.0,
    ) -> None:
        """Blocks that `without` is found in are left out; `patience` is how many seconds each may take."""
        self._folder, self._variables, self._ports, self._patience = folder, variables, ports, patience
        self._without = re.compile(without, re.MULTILINE)
        self._open = ExitStack()
        self._terminals: dict[str, Terminal] = {}
        self.done: list[str] = []
        """What was done, for people."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def follow(self, page: Path) -> None:
        """Raises AssertionError at the first thing that is not as the page says."""
        service = False
        for step in _steps(page):
            assert not service or step.kind == "see", f"{page.name}: what shows that the service runs?"
            service = step.kind == "service"
            if not self._without.search(step.body):
                self._do(step)
                self.done.append(f"{page.name}: {step.kind} {step.file or step.body.strip()}")

    def _do(self, step: _Step) -> None:
        body = step.body
        for shown, used in self._ports.items():
            body = body.replace(shown, used)
        match step.kind:
            case "save":
                self._terminal(step.terminal).save(step.file, body)
            case "service":
                self._terminal(step.terminal).start(body)
            case "run":
                self._terminal(step.terminal).run(body)
            case "ctrl-c":
                self._terminal(step.terminal).press_ctrl_c()
            case _:
                self._terminal(step.terminal).compare(body)

    def _terminal(self, which: str) -> Terminal:
        if which not in self._terminals:
            terminal = self._open.enter_context(Terminal(self._folder, self._variables, self._patience))
            self._terminals[which] = terminal
        return self._terminals[which]


# A machine


def environment(home: Path, **more: str) -> dict[str, str]:
    """That of somebody who has just logged in; pip finds its index all the same."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PIP_")}
    return {"HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm", **_PLAIN, **kept, **more}


def prepared(folder: Path) -> dict[str, str]:
    """The variables of an environment where commands that install do nothing: it has what runs the tests."""
    programs, home = folder / ".venv" / "bin", folder / "home"
    programs.mkdir(parents=True)
    home.mkdir()
    python = shlex.quote(sys.executable)
    written = {
        "python": f'exec {python} "$@"',
        "python3": f'[ "$1 $2" = "-m venv" ] || exec {python} "$@"',
        "pip": "",
        "pytest": f'exec {python} -m pytest -p no:cacheprovider "$@"',
        "smtp-proxy": f'exec {python} -m trio_proxy "$@"',
    }
    for name, script in written.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (programs / "activate").write_text(f"PATH={shlex.quote(str(programs))}:$PATH\n")
    variables = environment(home)
    return variables | {"PATH": f"{programs}:{variables['PATH']}"}


def free_ports(*shown: str) -> dict[str, str]:
    """A free port for each that a page shows."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in shown]
        return {port: str(each.getsockname()[1]) for port, each in zip(shown, sockets, strict=True)}


def main(page: str, home: str, without: str) -> None:
    """Follows a page in the present directory, which may take its time, and prints what was done."""
    patient = Reader(Path.cwd(), environment(Path(home)), without=without, patience=600)
    with patient as reader:
        reader.follow(Path(page))
    print("\n".join(reader.done))


if __name__ == "__main__":
    main(*sys.argv[1:])
