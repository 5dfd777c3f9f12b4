"""The commands of docs/how-to/capture.md, run one after the other, as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from capture_page import block_after, blocks_on, write_files
from commands import Proxy, proxy
from drivers import closed_port
from interop_daemon import need

pytestmark = pytest.mark.interop


def bash(commands: str, folder: Path) -> str:
    """What commands print. Each has to succeed."""
    program = Path(sys.executable).parent
    variables = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "TZ": "UTC"}
    command = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """Two that nobody else has."""
    with closed_port() as one, closed_port() as other:
        yield one, other


def test_the_page(ports: tuple[int, int], tmp_path: Path) -> None:
    for program in ("curl", "swaks", "jq"):
        need(program, program)
    port, other = ports
    write_files(tmp_path, port)
    commands = [body for language, body in blocks_on(port) if language == "sh"]
    starts = [
        body
        for body in commands
        if body in ("smtp-proxy\n", "smtp-proxy --self-signed\n", "smtp-proxy --rules errors.py\n")
    ]
    assert [commands.index(body) for body in starts] == [0, 9, 11]
    assert commands[-1].startswith("smtp-proxy --listen 127.0.0.1:1025 ")
    listen = ("-l", f"127.0.0.1:{port}")
    with proxy(tmp_path, *listen) as running:
        said = [bash(body, tmp_path) for body in commands[1:9]]
        assert kept(running) == ["from curl", "from swaks", "Grüße"]
    assert said[2].splitlines()[1].endswith("  from curl")
    assert said[2].splitlines()[-1] == "attachment  figures.csv  text/csv  4 B"
    assert said[3] == (
        "ann@example.com from curl\nann@example.com from swaks\nann@example.com Grüße\nfigures.csv\n"
    )
    assert said[4] == block_after("1 from curl")
    with proxy(tmp_path, *listen, "--self-signed") as running:
        said_last = bash(commands[10], tmp_path)
        assert kept(running) == ["under TLS", "from curl"]
    assert "\n  login ann, with PLAIN\n" in said_last
    with proxy(tmp_path, *listen, "--rules", "errors.py"):
        assert bash(commands[12], tmp_path) == "(550, b'5.1.1 no such mailbox')\n"
        assert bash(commands[13], tmp_path) == "{'gone@example.net': (550, b'5.1.1 no such mailbox')}\n"
    assert bash(commands[-1].replace("1025", str(other)), tmp_path) == "true\n"


def kept(running: Proxy) -> list[str]:
    """The subjects in the lines about messages."""
    return [line.split('"')[1] for line in running.said().splitlines() if line.startswith("kept new/")]
