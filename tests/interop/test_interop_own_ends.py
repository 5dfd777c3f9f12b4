"""The commands of docs/how-to/own-server-and-client.md, one after the other, as a reader gives them."""

from __future__ import annotations

import re
import shlex
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from interop_daemon import need
from pages import ROOT, blocks

pytestmark = [pytest.mark.interop, pytest.mark.any_io]

PAGE = ROOT / "docs" / "how-to" / "own-server-and-client.md"


def words(command: str, **instead: str) -> list[str]:
    found = shlex.split(command)
    return [sys.executable if word == "python" else instead.get(word, word) for word in found]


@pytest.mark.parametrize("host", ["mx.example", "localhost", "127.0.0.1"])
def test_commands_of_the_page(tmp_path: Path, host: str) -> None:
    need("openssl", "openssl")
    serve, send, certify = blocks(PAGE, "sh")
    subprocess.run(["/bin/sh", "-c", certify], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    shake_hands(tmp_path, host)
    if host == "mx.example":
        run_programs(serve, send)


def run_programs(serve: str, send: str) -> None:
    asked = "127.0.0.1:2525"
    server = subprocess.Popen(
        words(serve, **{asked: "127.0.0.1:0"}), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", server.stdout.readline())
        assert found
        done = subprocess.run(
            words(send, **{asked: found[1]}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("C: QUIT\nS: 221 bye\n")
        assert server.stdout.readline() == "MAIL FROM:<ann@me.example>\n"
    finally:
        server.terminate()
        server.communicate(timeout=20)


def shake_hands(folder: Path, host: str) -> None:
    """With the checks that newer versions of Python do by default."""
    here = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    here.verify_flags |= ssl.VERIFY_X509_STRICT
    there = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    there.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = here.wrap_bio(to_client, to_server, server_hostname=host)
    server = there.wrap_bio(to_server, to_client, server_side=True)
    left = [client, server]
    for _ in range(10):
        for each in tuple(left):
            try:
                each.do_handshake()
                left.remove(each)
            except ssl.SSLWantReadError:
                pass
    assert left == []
