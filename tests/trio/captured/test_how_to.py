"""The programs of docs/how-to/capture.md do what the page says. Its commands are run by an interop test."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

import pytest
from capture_page import block_after, comparable, write_files
from commands import Proxy, once, proxy


def ran(file: str) -> str:
    """What a program prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(Path(file).read_text(encoding="utf-8"), file, "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def begins(running: Proxy, text: str) -> bool:
    return comparable(running.out.read_text()).startswith(comparable(text))


def test_the_programs_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with proxy(tmp_path, "-l", "127.0.0.1:0") as running:
        assert begins(running, block_after("smtp-proxy 0"))
        assert write_files(tmp_path, running.port) == [
            "send.py",
            "look.py",
            "login.py",
            "errors.py",
            "gone.py",
            "two.py",
        ]
        assert ran("send.py") == ""
        running.wait_for("^kept ")
        assert comparable(running.err.read_text()) == comparable(block_after("kept "))
    shown = once("show", "--last")
    assert (comparable(shown.stdout), shown.stderr) == (comparable(block_after("message ")), "")
    as_json = once("show", "--last", "--json")
    assert (comparable(as_json.stdout), as_json.stderr) == (comparable(block_after("{\n")), "")
    assert ran("look.py") == "bob@example.net, carol@example.net\nHello, both of you.\n\n"
    assert Path("attachments/figures.csv").read_bytes() == b"1;2\n"
    saved = once("show", "--last", "--save", "saved")
    assert (saved.stdout, saved.stderr) == (block_after("saved "), "")
    assert Path("saved/figures.csv").read_bytes() == b"1;2\n"
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--rules", "errors.py") as running:
        write_files(tmp_path, running.port)
        assert ran("gone.py") == block_after("(550")
        assert ran("two.py") == block_after("{'gone")
        running.wait_for("RCPT refused .* to=\\[gone@example.net\\] by=rule:errors.rcpt ")
        running.wait_for('^kept .* → bob@example.net  "for two"')
    with proxy(tmp_path, "-l", "127.0.0.1:0", "--self-signed") as running:
        write_files(tmp_path, running.port)
        shutil.rmtree("captured-mail")
        assert ran("send.py") == ""
        running.wait_for("^kept ")
        assert ran("login.py") == ""
        running.wait_for('"under TLS"')
        lines = block_after("certificate made").splitlines()
        patterns = (re.sub(r"[0-9A-F:]{95}|for .*", ".*", re.sub(r"[-+.]", ".", line)) for line in lines)
        running.wait_for("\n".join(patterns))
    assert "\n  login ann, with PLAIN\n" in once("show", "--last").stdout
    assert "email.parser" in sys.modules


def test_a_list_without_messages(tmp_path: Path) -> None:
    (tmp_path / "captured-mail" / "new").mkdir(parents=True)
    for options in ([], ["--to", "bob@example.net"]):
        listed = once("show", *options, "--json", directory=tmp_path)
        assert (listed.returncode, listed.stdout) == (0, "[]\n")
        assert once("show", *options, directory=tmp_path).returncode == 0
    for options in (["--last"], ["7"], ["--capture", "elsewhere"]):
        missing = once("show", *options, directory=tmp_path)
        assert (missing.returncode, missing.stdout) == (1, "")
        assert missing.stderr.startswith("smtp-proxy: ")
