"""The executable under test, run as a user runs it: a process of its own, known by what it prints."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LISTENING = re.compile(r"listening\s+(?:(?:smtp|lmtp)s?://)?([\d.]+):(\d+)")
ANY_PORT = ("127.0.0.1:0",)


@dataclass
class Proxy:
    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path
    host: str = ""
    ports: tuple[int, ...] = ()
    """Of the listeners on TCP, in their order."""

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def addresses(self) -> list[str]:
        """Where it listens, in the order of the options."""
        said = self.stdout.read_text("utf-8", "replace")
        return re.findall(r"^  listening   (.+)$", said, re.MULTILINE)

    @classmethod
    def start(
        cls, upstream: int | str, directory: Path, *options: str, listen: Sequence[str] = ANY_PORT
    ) -> "Proxy":
        """`upstream` is an address, or a port of 127.0.0.1."""
        upstream = f"127.0.0.1:{upstream}" if isinstance(upstream, int) else upstream
        listeners = [word for address in listen for word in ("--listen", address)]
        return cls.run(directory, *listeners, "--upstream", upstream, *options)

    @classmethod
    def run(cls, directory: Path, *options: str) -> "Proxy":
        """With these options, and no others. `directory` is for what it prints."""
        command = [sys.executable, "-m", "trio_proxy", *options]
        stdout, stderr = directory / "proxy.stdout", directory / "proxy.stderr"
        # Files, not pipes: a proxy that logs much must not stall because nobody reads.
        with stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        proxy = cls(process, stdout, stderr)
        try:
            proxy._wait_until_listening(options.count("--listen"), 60)
        except BaseException:
            proxy._kill()
            raise
        return proxy

    def _wait_until_listening(self, count: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while len(self.addresses) < count:
            assert self.process.poll() is None, f"the proxy ended at start-up:\n{self.log()}"
            assert time.monotonic() < deadline, f"the proxy never said where it listens:\n{self.log()}"
            time.sleep(0.02)
        found = LISTENING.findall(self.stdout.read_text("utf-8", "replace"))
        self.host = found[0][0] if found else ""
        self.ports = tuple(int(port) for _, port in found)

    def wait_for(self, said: str, seconds: float = 30) -> None:
        """Until its output holds this text."""
        deadline = time.monotonic() + seconds
        while said not in self.log():
            assert time.monotonic() < deadline, f"{said!r} was never said:\n{self.log()}"
            time.sleep(0.02)

    def log(self) -> str:
        time.sleep(0.05)  # lines that come fast are written together, after 20 ms
        return "\n".join(path.read_text("utf-8", "replace") for path in (self.stdout, self.stderr))

    def stop(self, *, rules_fail: bool = False) -> None:
        """Ask it to end, and hold it to its promises. Rules that fail are logged with a traceback."""
        try:
            assert self.process.poll() is None, f"the proxy ended by itself:\n{self.log()}"
            self.process.send_signal(signal.SIGTERM)
            try:
                status = self.process.wait(15)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"the proxy outlived SIGTERM by 15 s:\n{self.log()}") from None
            assert status == 0, f"exit status {status} after SIGTERM:\n{self.log()}"
            assert rules_fail or "Traceback" not in self.log(), self.log()
        finally:
            self._kill()

    def _kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(15)


@contextmanager
def running(
    upstream: int | str,
    directory: Path,
    *options: str,
    listen: Sequence[str] = ANY_PORT,
    rules_fail: bool = False,
) -> Iterator[Proxy]:
    """At its end the proxy must still live, and end well."""
    directory.mkdir(exist_ok=True)
    proxy = Proxy.start(upstream, directory, *options, listen=listen)
    try:
        yield proxy
    except BaseException:
        proxy._kill()
        raise
    proxy.stop(rules_fail=rules_fail)


StartProxy = Callable[[int], Proxy]
