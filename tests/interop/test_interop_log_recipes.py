"""The searches of a log in the pages, run with jq and shell on what a service has written into a log file."""

from __future__ import annotations

import json
import re
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "trio"))
from commands import Proxy, proxy
from interop_daemon import need
from pages import ROOT, blocks

pytestmark = pytest.mark.interop

RULES = """
from sansio_smtp.rules import Discard, Reject

def rcpt(tx, to):
    return {"spam": Discard(), "no": Reject(550, "5.1.1 not here")}.get(to.address.partition("@")[0])
"""
MESSAGE = b"Message-ID: <b47c@me.example>\r\nSubject: x\r\n\r\nx\r\n"


def ran(recipe: str, folder: Path) -> list[str]:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", recipe], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def mailed(running: Proxy) -> None:
    with smtplib.SMTP("127.0.0.1", running.port, timeout=20) as client:
        to = ["bob@mx.example", "spam@mx.example", "no@mx.example"]
        client.sendmail("ann@me.example", to, MESSAGE)
    running.wait_for("message split")


def test_the_recipes(tmp_path: Path) -> None:
    need("jq", "jq")
    (tmp_path / "rules.py").write_text(RULES)
    options = ("-l", "127.0.0.1:0", "--log-format", "json", "--rules", str(tmp_path / "rules.py"))
    with proxy(tmp_path, *options) as running:
        mailed(running)
    others = b'{"event": "reload refused", "problem": "my.py:1: syntax error"}\n'  # these refuse no mail
    (tmp_path / "log").write_bytes(running.err.read_bytes() + others)
    (block,) = (
        body for body in blocks(ROOT / "docs" / "reference" / "operating.md", "shell") if "as $line" in body
    )
    recipes = re.findall(r"^jq (?:[^\n]|\n  )*", block, re.MULTILINE)
    assert len(recipes) == 4
    found = {}
    for name in ("bob", "spam", "no"):
        lines = [json.loads(line) for line in ran(recipes[0].replace("bob@", f"{name}@"), tmp_path)]
        found[name] = [(line["event"], line["fate"], line["by"]) for line in lines]
        assert [line["queue_id"] for line in lines if line["fate"] == "discarded"] in ([], [None])
    assert found["bob"] == [("message split", "kept", "server")]
    assert found["spam"] == [("message split", "discarded", "rule:rules.rcpt")]
    assert found["no"] == [("RCPT refused", "refused", "rule:rules.rcpt")]
    (why,) = ran(recipes[1], tmp_path)
    assert why.split("\t") == ["      1 RCPT refused", "rule:rules.rcpt", "550 5.1.1 not here"]
    (message,) = ran(recipes[2], tmp_path)
    assert json.loads(message)["event"] == "message split"
    assert ran(recipes[3], tmp_path) == []


def test_where_the_mail_of_an_address_is(tmp_path: Path) -> None:
    need("jq", "jq")
    (tmp_path / "rules.py").write_text(RULES)
    options = ("-l", "127.0.0.1:0", "--log-format", "json", "--rules", str(tmp_path / "rules.py"))
    with proxy(tmp_path, *options) as running:
        mailed(running)
    (tmp_path / "log").write_bytes(b"no JSON: smtp-proxy 0.1.0\n" + running.err.read_bytes())
    block, by_message_id = blocks(ROOT / "docs" / "how-to" / "service.md", "shell")
    recipe = block[block.index("jq ") :]

    def found(address: str) -> list[list[str]]:
        return [line.split("  ")[1:] for line in ran(recipe.replace("ann@example.com", address), tmp_path)]

    refused = ["RCPT refused", "from ann@me.example", "by rule:rules.rcpt", "550 5.1.1 not here"]
    assert found("no@mx.example") == [refused]
    to_bob = found("bob@mx.example")
    assert [line[:3] for line in to_bob] == [["message split", "from ann@me.example", "by server"]]
    assert sorted(found("ann@me.example")) == sorted([refused, *to_bob])
    assert found("eve@mx.example") == []
    line = json.loads("".join(ran(by_message_id.replace("example.com", "me.example"), tmp_path)))
    assert line["event"] == "message split"
    assert ran(by_message_id, tmp_path) == []
