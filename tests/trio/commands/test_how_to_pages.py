"""What docs/how-to/login.md and routes.md set up on one machine works as they say."""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

from commands import Proxy, once, proxy
from pages import ROOT, blocks

PAGES = ROOT / "docs" / "how-to"
CHANGES = re.compile(r"[0-9-]{10} [0-9:]{8}|[0-9.]+P[0-9]+Q[0-9]+\.[\w.-]+|\+[0-9:]{5}")


def comparable(text: str) -> str:
    return CHANGES.sub("X", text)


def settings_of(page: str, file: str, ports: dict[str, int], folder: Path) -> None:
    """Writes the settings file of a page, with ports of our own."""
    (body,) = (each for each in blocks(PAGES / page, "toml") if each.startswith(f"# {file}\n"))
    for theirs, ours in ports.items():
        assert f"127.0.0.1:{theirs}" in body
        body = body.replace(f"127.0.0.1:{theirs}", f"127.0.0.1:{ours}")
    (folder / file).write_text(body)


def mail(running: Proxy, to: str) -> None:
    with smtplib.SMTP("127.0.0.1", running.port, timeout=20) as client:
        client.sendmail("ann@example.com", [to], "Subject: a test\n\nHello\n")


def test_routes(tmp_path: Path) -> None:
    folders = {name: tmp_path / f"{name}.d" for name in ("usual", "lists")}
    for folder in folders.values():
        folder.mkdir()
    usual, lists = (str(tmp_path / name) for name in folders)
    with (
        proxy(folders["usual"], "--listen", "127.0.0.1:0", "--capture", usual) as one,
        proxy(folders["lists"], "--listen", "127.0.0.1:0", "--capture", lists) as other,
    ):
        settings_of("routes.md", "routes.toml", {"2525": 0, "2526": one.port, "2527": other.port}, tmp_path)
        with proxy(tmp_path, "--config", "routes.toml") as running:
            mail(running, "bob@example.net")
            mail(running, "all@lists.example.com")
    shown = "".join(once("show", "--capture", name, directory=tmp_path).stdout for name in folders)
    (said,) = (each for each in blocks(PAGES / "routes.md", "text"))
    assert comparable(shown) == comparable(said)


def test_a_login_of_the_proxy(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    kept = str(tmp_path / "server-mail")
    with proxy(tmp_path / "server", "--listen", "127.0.0.1:0", "--capture", kept) as server:
        settings_of("login.md", "inject.toml", {"2525": 0, "2526": server.port}, tmp_path)
        checked = once("check", "--config", "inject.toml", directory=tmp_path)
        assert f"upstream 127.0.0.1:{server.port} accepts scanner@example.net" in checked.stdout
        with proxy(tmp_path, "--config", "inject.toml") as running:
            mail(running, "bob@example.net")
    shown = once("show", "--capture", "server-mail", "--last", directory=tmp_path).stdout
    (said,) = (each for each in blocks(PAGES / "login.md", "text"))
    assert comparable(shown) == comparable(said)
