"""A real server as a process of ours: started, awaited until it takes connections, and always ended."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs


def need(program: str, package: str) -> None:
    """A missing peer fails the test: a suite that skips in silence proves nothing."""
    if shutil.which(program) is None:
        import pytest  # the benchmarks start servers too, without it

        pytest.fail(f"{program} is missing: install Debian's {package}", pytrace=False)


@contextmanager
def open_directory(name: str) -> Iterator[Path]:
    """A directory that the users see as whom servers run; pytest's own are closed to them."""
    root = Path(tempfile.mkdtemp(prefix=f"interop-{name}-"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def children_of(pid: int) -> list[int]:
    """The processes that this one has started, by any of its threads, and that live."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for file in files for child in file.read_text().split())


@attrs.define
class Daemon:
    command: list[str]
    """Stays in the foreground."""
    log: Path
    """Its output. A file, not a pipe: it must not stall because nobody reads."""
    address: tuple[str, int] | Path
    """Where it listens."""
    seconds: float = 60.0
    """Until it has to be up."""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.kill()
            raise

    def _wait_until_up(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.seconds
        while not self._is_up():
            assert self._process.poll() is None, f"{self.command[0]} ended at start-up:\n{self.output()}"
            assert time.monotonic() < deadline, f"{self.command[0]} does not come up:\n{self.output()}"
            time.sleep(0.05)

    def _is_up(self) -> bool:
        with suppress(OSError):
            if isinstance(self.address, Path):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.address))
            else:
                socket.create_connection(self.address, 5).close()
            return True
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, seconds: float = 30) -> None:
        """Asks it to end."""
        if self._process is not None and self.lives:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def pause(self) -> None:
        """It keeps its connections, takes more, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(15)
            self._process = None
