"""Checks the documentation about rules: its files load, its commands print the shown output, its tables are
complete."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from pages import PAGES, ROOT, blocks, files_of, name, run, shown_file, table, tables, text, timeless

from sansio_smtp.rules import verdicts
from sansio_smtp.rules.phases import PHASES
from trio_proxy.rulebook.load import load
from trio_proxy.settings.config_file import load_config
from trio_proxy.testing.running import RunningProxy

README, DIALOGUE = ROOT / "README.md", ROOT / "docs" / "explanation" / "dialogue.md"
RULES, READY = (ROOT / "docs" / "reference" / f"{name}.md" for name in ("rules", "ready-rules"))
READY_NAMES = sorted(
    file.stem for file in (ROOT / "trio_proxy" / "ready").glob("*.py") if not file.stem.startswith("_")
)
# Made for this test: it protects nothing.
KEY = """\
-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQDB+BmuZvTti9/thSk25jLz7fJN5ph4ty5HAiNKBJamdR66SJVQ
/wVmKeXOyyHJhBz2Q+0Lwt2DiYWH1arvlPDi0HOfOjBnmAC+gNTIpZsnvAQ/h3/k
nXUpAXxkzFZ/PEvgIcI8flZL6Vj4insJyaZGUW/Yo5Qe19HT7dQfabRXHQIDAQAB
AoGBAK99JNb6BSyJuU3uhOxLdtvkcq1yLI5CxNavo3fLEPWGzwcgth7yq1LUIztl
4qqsIXvY1rUmVz0zhaDweleJ/CjS/G/glKmAzz6OX/QPd7ACt+2fXn2ZF+7OrGks
dR/sFqTQYBcx1ym92LF9XGQ0vLpGoj+XQUv0uzee6c14HBRhAkEA+tx+Co5BU/ba
sWPXIswDLrWPzFkRDvo4o9o9h0z9pC51EfN76F5edrJA60ZPZxOZ6OvAmyHVQn3i
hNo6aN+5xQJBAMXxRH2TXahli58x3Luvalj813bQKRfafanPqTPM2ygHclhpbP6D
CmAWl4rWGRpMLlAaM2z1lCJZ3F/bDX089XkCQBWhe5DHcWSfDX5sQHm0o7WcXDjf
mTP0aXvfbpzDC7/jbZ7NouqHcJfFiQmAd4pIy2WlJmd6BFyGZEjWVGEEoY0CQGBU
eDZ8vzmyoW5J/9g/GAxSkDE8QKNhK4K2kuuoqIckiJtKQ0bhUu1MUVe5teG8bVWC
SsCeCwdkoADuQ/RM9FECQQCu5thlfjeKVd/vI2PWoKK3+feW5dbG3m9FMlDWhQSo
YQx1NDaYoUGo29XhPouFhcKLym71nXy2tRgtEr9VxtJd
-----END RSA PRIVATE KEY-----
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder, with the examples and a key."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copy(ROOT / "examples" / "my_rules.py", tmp_path)
    (tmp_path / "dkim.pem").write_text(KEY)
    return tmp_path


# Files and commands


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if "```console" in text(page)], ids=name)
def test_commands_print_what_the_page_says(page: Path, folder: Path) -> None:
    for language, body in files_of(page, folder):
        if language == "console":
            for command, output in commands(body):
                assert timeless(run(command, folder)) == timeless(output), command


def commands(body: str) -> Iterator[tuple[str, str]]:
    _, *pieces = re.split(r"^\$ ", body.replace("\\\n", ""), flags=re.MULTILINE)
    for piece in pieces:
        command, _, output = piece.partition("\n")
        yield command, output


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```toml" in text(page) and page.parent.name != "tutorial"], ids=name
)
def test_settings_files_load(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))  # as systemd does
    for language, body in files_of(page, folder):
        if language == "toml":
            file = folder / "proxy.toml"
            file.write_text(body.replace("/etc/smtp-proxy/", ""), encoding="utf-8")
            config = load_config(file)
            ready = [f"ready:{each}" for each in config.rule_settings if each in READY_NAMES]
            load(config.values.get("rules", ready), config.rule_settings)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if re.search(r"^# \w+\.py$", text(page), re.M)], ids=name
)
def test_rule_files_load(page: Path, folder: Path) -> None:
    for _, body in files_of(page, folder):
        file = shown_file(body)
        if file.endswith(".py") and not file.startswith(("wrong", "test_", "mailer", "moved_domains")):
            loaded = load([str(folder / file)])
            assert loaded.ruleset.rules or loaded.token_rules


def test_the_rules_of_the_readme_are_the_example() -> None:
    example = (ROOT / "examples" / "my_rules.py").read_text()
    assert example in blocks(README, "python")
    assert sum(1 for line in example.splitlines() if line) == 10


def test_the_transcripts_are_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for shown in blocks(DIALOGUE, ""):
        if shown[:1].isdigit():
            asked = [line.partition(" C <-  ")[2] for line in shown.splitlines() if " C <-  " in line]
            held_back = "Private keys" in shown
            with RunningProxy("examples/my_rules.py") as proxy:
                speak(proxy, asked, b"Subject: key\n\n-----BEGIN PRIVATE KEY-----\n" if held_back else None)
            printed = without_what_changes("\n".join(proxy.transcript))
            assert printed.endswith(without_what_changes(shown.strip())), "\n".join(proxy.transcript)


def speak(proxy: RunningProxy, lines: list[str], content: bytes | None) -> None:
    """Sends these lines as the client of the transcript did, and the message at its place."""
    message = content or (ROOT / "examples" / "hello.eml").read_bytes()
    opening = ["EHLO laptop.example"]
    if lines[0] == "DATA":
        opening += ["MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.net>"]
    with socket.create_connection((proxy.host, proxy.port), timeout=30) as sock, sock.makefile("rwb") as file:
        hear(file.readline)
        for line in (*opening, *lines):
            if line.startswith("[message"):
                continue
            file.write(f"{line}\r\n".encode())
            file.flush()
            if hear(file.readline) == "354":
                file.write(message.replace(b"\n", b"\r\n") + b".\r\n")
                file.flush()
                hear(file.readline)


def hear(readline: Callable[[], bytes]) -> str:
    """The code of a reply."""
    while (line := readline())[3:4] == b"-":
        pass
    return line[:3].decode()


def without_what_changes(transcript: str) -> str:
    """Without times, numbers of connections, names of files, and the joint states that -vv adds."""
    lines = (re.sub(r"^[0-9:.]+ c\d+ ", "", line) for line in transcript.splitlines())
    shown = (line for line in lines if not line.startswith("=== state "))
    return "\n".join(re.sub(r"kept as .*|closed after .*", "", line) for line in shown)


# Tables


def test_every_phase_and_verdict_is_explained() -> None:
    rules = text(RULES)
    for phase in PHASES:
        assert f"**{phase}**" in rules or f"`{phase}`" in rules
    explained = {found for row in table(RULES, "## Verdicts") for found in re.findall(r"`(\w+)\(", row[0])}
    assert explained == {kind.__name__ for kind in get_args(verdicts.Verdict)}
    for alias in (each for each in verdicts.__all__ if each.endswith("Verdict") and each != "Verdict"):
        assert f"`{alias}`" in rules


def test_every_ready_rule_has_a_section() -> None:
    sections = re.findall(r"^## ready:(\w+)$", text(READY), re.MULTILINE)
    assert sections == READY_NAMES
    assert [row[0] for row in next(tables(READY, "# Ready rules"))] == [
        f"`ready:{each}`" for each in READY_NAMES
    ]
