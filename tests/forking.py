"""Starts Python programs without their start-up time: they are forked from a process that has imported
everything. Each is still a separate process, with its own arguments, directory, environment, output, signals
and exit status. Only the start-up of Python is shared. So a test that checks imports, sets variables such as
PYTHONIOENCODING, or redirects output in a shell, must start a new Python.

Run as a program, this module is the process that forks: it takes one request after the other, and ends with
the process that started it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final, NoReturn

__all__ = ["Forked", "run"]

_IMPORTED: Final = (
    "trio_proxy.commands.check",
    "trio_proxy.commands.demo",
    "trio_proxy.commands.run",
    "trio_proxy.commands.show",
    "trio_proxy.ready",
    "trio_proxy.rulebook.load",
    "trio_proxy.settings.choose",
    "trio_proxy.settings.config_file",
    "trio_proxy.tls.self_signed",
    "trio_proxy.tls.server_side",
    "trio_proxy.trial.run",
    "hypothesis",
    "pytest",
)
_PREFIX: Final = 8
"""Each request and each answer is JSON after its length, written with this many digits."""


class Forked:
    """A program, ``python ARGUMENTS``; its methods are those of `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], stdout: int, stderr: int
    ) -> None:
        start = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "env": dict(env)}
        self.pid: int = _asked({"start": start}, (stdout, stderr))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _asked({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a forked program", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            _asked({"signal": self.pid, "number": int(number)})

    def terminate(self) -> None:
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        self.send_signal(SIGKILL)


def run(
    arguments: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    timeout: float,
    all_to_stdout: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, without input, like `subprocess.run` with its output as text."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        stderr = out if all_to_stdout else err
        program = Forked(arguments, cwd=cwd, env=env, stdout=out.fileno(), stderr=stderr.fileno())
        try:
            status = program.wait(timeout)
        finally:
            program.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


# The forking process, seen from outside


class _Parent:
    """The forking process, started with the first request."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self._end)

    def _end(self) -> None:
        self._control.close()
        self._process.wait(5)

    def asked(self, request: object, files: Sequence[int]) -> Any:
        _write(self._control, request, files)
        answer, _ = _read(self._control)
        return answer


_the_parent: Final = cache(_Parent)
_one_at_a_time: Final = threading.Lock()


def _asked(request: object, files: Sequence[int] = ()) -> Any:
    with _one_at_a_time:
        return _the_parent().asked(request, files)


def _write(control: socket.socket, content: object, files: Sequence[int] = ()) -> None:
    data = json.dumps(content).encode()
    length = f"{len(data):{_PREFIX}}".encode()
    if files:
        socket.send_fds(control, [length], files)
    else:
        control.sendall(length)
    control.sendall(data)


def _read(control: socket.socket) -> tuple[Any, list[int]]:
    """The written object and its files; the object is None at the end."""
    length, files, _, _ = socket.recv_fds(control, _PREFIX, 2)
    if not length:
        return None, []
    data = b""
    while len(data) < int(length):
        data += control.recv(65_536)
    return json.loads(data), files


# The process that forks


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Forks. Returns in each child with its program, and None at the end."""
    while True:
        request, files = _read(control)
        if request is None:
            return None
        if "start" in request:
            pid = os.fork()
            if not pid:
                control.close()
                for target, file in enumerate(files, 1):
                    os.dup2(file, target)
                    os.close(file)
                start: dict[str, Any] = request["start"]
                return start
            for file in files:
                os.close(file)
            _write(control, pid)
        elif "poll" in request:
            ended, status = os.waitpid(request["poll"], os.WNOHANG)
            _write(control, os.waitstatus_to_exitcode(status) if ended else None)
        else:
            os.kill(request["signal"], request["number"])  # not waited for yet: still this process
            _write(control, None)


def _become(start: dict[str, Any]) -> None:
    """Runs the program, as ``python`` does with its arguments."""
    os.chdir(start["cwd"])
    os.environ.clear()
    os.environ.update(start["env"])
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    kind, what, *arguments = start["arguments"]
    if kind == "-m":
        sys.path[0] = os.getcwd()
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *arguments]
        exec(what, {"__name__": "__main__"})
    else:
        sys.path[0] = str(Path(kind).parent)
        sys.argv = [kind, what, *arguments]
        runpy.run_path(kind, run_name="__main__")


def _main() -> None:
    for name in _IMPORTED:
        __import__(name)
    gc.collect()
    gc.freeze()  # keeps the collector from touching pages, which would copy them
    start = _serve(socket.socket(fileno=int(sys.argv[1])))
    if start is not None:
        _end(_status(start))


def _status(start: dict[str, Any]) -> int:
    """Runs the program. Returns its exit status."""
    try:
        _become(start)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """Ends the process as Python does, but without destroying its objects, which would cost more than
    everything else."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        file.flush()
    os._exit(status)


if __name__ == "__main__":
    _main()
