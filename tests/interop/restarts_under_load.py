"""Rolling restarts, reloads, a new certificate and an upgrade under load, for so many messages.

    PYTHONPATH=tests/interop python tests/interop/restarts_under_load.py 50000

Prints the account, and exits with 1 if a message was lost or doubled, or a client was refused. The program
runs from a copy of its packages; the upgrade puts another copy, of another version, in its place.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

import trio
from interop_account import Account, load, upstream
from interop_certificates import Certificates

from trio_proxy.workers.asking import ask

ROOT = Path(__file__).parents[2]
TIMES = 600.0


def copied(directory: Path, version: str) -> Path:
    for package in ("sansio_smtp", "trio_proxy"):
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    init = directory / "sansio_smtp" / "__init__.py"
    init.write_text(init.read_text() + f'\n__version__ = "{version}"\n')
    return directory


def put_in_place(link: Path, directory: Path) -> None:
    new = link.with_suffix(".new")
    new.symlink_to(directory)
    new.rename(link)


async def until(happens: Callable[[], bool]) -> None:
    with trio.fail_after(TIMES):
        while not happens():  # noqa: ASYNC110 - other processes do it
            await trio.sleep(0.05)


def has_sent(account: Account, count: int) -> bool:
    return account.sent >= count


async def asked(control: Path, topic: str) -> str:
    answer = await trio.to_thread.run_sync(ask, control, topic, TIMES)
    return str(answer["why_not"] or answer.get("status", ""))


def plan(options: argparse.Namespace) -> Iterator[str]:
    """What is done, in an order that mixes all of it."""
    steps = [(number / options.restarts, "restart") for number in range(options.restarts)]
    steps += [((number + 0.5) / options.reloads, "reload") for number in range(options.reloads)]
    steps += [(0.45, "certificate"), (0.55, "upgrade")]
    every = options.reloads // options.broken if options.broken else 0
    reloads = 0
    for _, step in sorted(steps):
        reloads += step == "reload"
        yield "broken" if step == "reload" and every and reloads % every == 0 else step


async def main(options: argparse.Namespace) -> int:
    account = Account()
    directory = Path(tempfile.mkdtemp(prefix="restarts-"))
    try:
        return await run(options, account, directory)
    finally:
        shutil.rmtree(directory)


async def run(options: argparse.Namespace, account: Account, directory: Path) -> int:
    file, rules, program = (directory / name for name in ("proxy.toml", "rules.py", "program"))
    put_in_place(program, copied(directory / "old", "1.0-old"))
    (directory / "certificates").mkdir()
    tls = Certificates.made(directory / "certificates")
    rules.write_text("def rcpt(tx, to): ...\n")
    done: dict[str, int] = {}
    async with upstream(account) as server, trio.open_nursery() as nursery:
        file.write_text(
            f'[server]\nlisten = "127.0.0.1:0"\nupstream = "127.0.0.1:{server}"\n'
            f'workers = {options.workers}\ncontrol = "control"\n'
            f'tls_cert = "{tls.certificate}"\ntls_key = "{tls.key}"\n'
            '[rules]\nfiles = "rules.py"\n'
        )
        with (directory / "out").open("wb") as out:
            started = partial(
                trio.run_process,
                [sys.executable, "-m", "trio_proxy", "--config", str(file)],
                env={**os.environ, "PYTHONPATH": str(program)},
                cwd=directory,
                stdin=DEVNULL,
                stdout=out,
                stderr=out,
            )
            process = await nursery.start(started)
        said = directory / "out"
        await until(lambda: "Press Ctrl-C" in said.read_text())
        port = int(said.read_text().split("127.0.0.1:")[1].split()[0])
        steps = [*plan(options)]
        began = trio.current_time()
        async with load(account, port, options.clients, options.pause, options.messages):
            for number, step in enumerate(steps):
                await until(partial(has_sent, account, options.count * (number + 1) // (len(steps) + 1)))
                why = await STEPS[step](directory)
                done[step] = done.get(step, 0) + 1
                print(f"{account.sent:7} {step}: {why or 'done'}", flush=True)
            await until(partial(has_sent, account, options.count))
        seconds = trio.current_time() - began
        print(await asked(directory / "control", "status"))
        process.terminate()
    print(f"{done}, in {seconds:.0f} s, {account.sent / seconds:.0f} messages a second")
    print(account)
    tail = said.read_text().splitlines()
    print(*(line for line in tail if "error" in line or "crash" in line), sep="\n")
    return int(
        bool(account.lost or account.doubled or account.cut or account.deferred or account.not_connected)
    )


async def restart(directory: Path) -> str:
    return await asked(directory / "control", "restart")


async def reload(directory: Path) -> str:
    rules = directory / "rules.py"
    rules.write_text(rules.read_text() + "# again\n")
    return await asked(directory / "control", "reload")


async def broken(directory: Path) -> str:
    rules = directory / "rules.py"
    right = rules.read_text()
    rules.write_text("def rcpt(tx, to:\n")
    why = await asked(directory / "control", "reload")
    rules.write_text(right)
    assert "never closed" in why
    return why


async def certificate(directory: Path) -> str:
    Certificates.made(directory / "certificates")
    return await asked(directory / "control", "reload")


async def upgrade(directory: Path) -> str:
    put_in_place(directory / "program", copied(directory / "new", "2.0-new"))
    why = await restart(directory)
    control = directory / "control"
    await until(lambda: "1.0-old" not in ask(control, "status", TIMES)["status"])  # the old ones have ended
    return f"{why} {await asked(control, 'status')}"


STEPS = {each.__name__: each for each in (restart, reload, broken, certificate, upgrade)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--restarts", type=int, default=12)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--broken", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--messages", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.0)
    sys.exit(trio.run(main, parser.parse_args()))
