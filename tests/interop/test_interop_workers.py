"""Workers under load: restarts, reloads and kills, with an account of all messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
from interop_account import Account, load, send, upstream
from interop_daemon import children_of
from interop_postfix import free_port
from interop_proxy import Proxy

from trio_proxy.workers.asking import ask

pytestmark = pytest.mark.interop

SECONDS = 60.0


def config(directory: Path, upstream: int, port: int, more: str = "") -> Path:
    file = directory / "proxy.toml"
    file.write_text(
        f'[server]\nlisten = "127.0.0.1:{port}"\nupstream = "127.0.0.1:{upstream}"\nworkers = 2\n'
        f'control = "control"\ngrace = 5\n{more}'
    )
    return file


@contextmanager
def started(file: Path) -> Iterator[Proxy]:
    proxy = Proxy.run(file.parent, "--config", str(file), "--listen", "127.0.0.1:0")
    try:
        yield proxy
    except BaseException:
        proxy._kill()
        raise
    proxy.stop()


async def reload(file: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """``smtp-proxy reload``"""
    command = [sys.executable, "-m", "trio_proxy", "reload", "--config", str(file), *options]
    with trio.fail_after(SECONDS):
        return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)


async def until(happens: Callable[[], bool]) -> None:
    with trio.fail_after(SECONDS):
        while not happens():  # noqa: ASYNC110 - another process does it
            await trio.sleep(0.05)


async def until_all_serve(file: Path) -> None:
    def serve() -> bool:
        with suppress(OSError):  # it does not listen yet
            return str(ask(file.with_name("control"), "status", 1)["status"]).startswith("2 of 2 workers")
        return False

    await until(serve)


async def test_rolling_restarts_and_reloads_lose_nothing_and_refuse_nobody(tmp_path: Path) -> None:
    account = Account()
    async with upstream(account) as server:
        file = config(tmp_path, server, 0)
        with started(file) as proxy:
            await until_all_serve(file)
            before = set(children_of(proxy.process.pid))
            async with load(account, proxy.port):
                assert (await reload(file)).returncode == 0
                text = file.read_text()
                (tmp_path / "broken.py").write_text("def rcpt(tx, to:\n")
                file.write_text(text + '[rules]\nfiles = "broken.py"\n')
                refused = await reload(file)
                assert (refused.returncode, refused.stdout) == (1, b"")
                assert b"(exit status 78): " in refused.stderr
                assert b"broken.py:1: syntax error: '(' was never closed" in refused.stderr
                assert "the old workers go on" in proxy.log()
                assert "a worker cannot start" in proxy.log()
                broken = await reload(file, "--only")
                assert (broken.returncode, broken.stdout) == (1, b"")
                assert b"broken.py:1: syntax error: '(' was never closed" in broken.stderr
                file.write_text(text.replace("grace = 5", "grace = 6"))
                only = await reload(file, "--only")
                assert b"\nnot applied: [server] grace; " in only.stdout
                await until(
                    lambda: proxy.log().count(" applies them' settings='[server] grace' worker=") == 2
                )
                await until(lambda: len(children_of(proxy.process.pid)) == 2)
                assert not before & set(children_of(proxy.process.pid))
            print(account)
    assert (account.lost, account.doubled, account.cut) == (set(), set(), set())
    assert (account.not_connected, account.deferred) == (0, {})
    assert len(account.taken) == account.sent > 100


@pytest.mark.any_io  # how sockets are read makes no difference to the parent
async def test_a_killed_worker_is_replaced_and_its_fellow_goes_on(tmp_path: Path) -> None:
    account = Account()
    async with upstream(account) as server:
        file = config(tmp_path, server, 0)
        with started(file) as proxy:
            await until_all_serve(file)
            async with load(account, proxy.port):
                for _ in range(2):
                    sent = account.sent
                    os.kill(children_of(proxy.process.pid)[0], signal.SIGKILL)
                    await trio.sleep(0.1)
                    await until_all_serve(file)
                    assert account.sent > sent
            print(account)
            assert proxy.log().count("a worker has crashed") == 2
    assert (account.lost, account.doubled) == (set(), set())
    assert (account.not_connected, account.deferred) == (0, {})
    assert len(account.cut) <= 2 * 8  # what the two had at that moment


async def is_refused(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return True
    await stream.aclose()
    return False


async def test_a_stop_refuses_new_clients_while_a_message_finishes(tmp_path: Path) -> None:
    path = tmp_path / "in.sock"
    async with upstream(Account()) as server:
        file = config(tmp_path, server, 0)
        listen = ("--listen", "127.0.0.1:0", "--listen", f"unix:{path}")
        proxy = Proxy.run(tmp_path, "--config", str(file), *listen)
        try:
            await until_all_serve(file)
            client = await trio.open_tcp_stream("127.0.0.1", proxy.port)
            for line in (b"EHLO me.example", b"MAIL FROM:<a@me.example>"):
                await client.receive_some()
                await client.send_all(line + b"\r\n")
            await client.receive_some()
            assert path.exists()
            proxy.process.send_signal(signal.SIGTERM)
            with trio.fail_after(4):  # the grace period is 5 seconds
                while path.exists() or not await is_refused(proxy.port):  # noqa: ASYNC110 - others do it
                    await trio.sleep(0.02)
            assert proxy.process.poll() is None
            await client.aclose()
            await until(lambda: proxy.process.poll() is not None)
            assert proxy.process.returncode == 0
        finally:
            proxy._kill()


async def test_a_reload_needs_only_the_control_socket(tmp_path: Path) -> None:
    async with upstream(Account()) as server:
        file = config(tmp_path, server, 0)
        with started(file):
            await until_all_serve(file)
            file.write_text(file.read_text() + 'tls_cert = "$CREDENTIALS_DIRECTORY/tls-cert"\n')
            asked = await reload(file, "--status")
    assert (asked.returncode, asked.stderr) == (0, b"")
    assert asked.stdout.startswith(b"2 of 2 workers accept clients")


@pytest.mark.any_io  # how sockets are read makes no difference to the parent
async def test_workers_end_with_a_killed_parent_and_a_new_start_binds(tmp_path: Path) -> None:
    port = free_port()
    account = Account()
    async with upstream(account) as server:
        file = config(tmp_path, server, port)
        first = Proxy.run(tmp_path, "--config", str(file))
        await until_all_serve(file)
        workers = children_of(first.process.pid)
        async with load(account, port):
            await trio.sleep(0.5)
            first.process.kill()
            killed = trio.current_time()
            first.process.wait()
            second = await trio.to_thread.run_sync(Proxy.run, tmp_path, "--config", str(file))
            await until(lambda: "listening" in second.log())
            print(f"served again after {trio.current_time() - killed:.1f} s")
            await until_all_serve(file)
        await until(lambda: not any(Path(f"/proc/{worker}/stat").exists() for worker in workers))
        await send(account, port)
        print(account)
        second.stop()
    assert (account.lost, account.doubled, account.cut) == (set(), set(), set())
    assert {*account.deferred} <= {"421 4.3"}
