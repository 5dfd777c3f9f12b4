"""The forms of log lines, their times, and addresses that are hidden in them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from enum import IntEnum
from typing import Any

import pytest
import structlog

from trio_proxy.account.lines import Recipients
from trio_proxy.text import logs
from trio_proxy.text.hiding import Hide, hashing, leaving_out

Said = pytest.CaptureFixture[str]
NASTY = "\x1b[2J\r\nfaked\u202e\x00"


pytestmark = pytest.mark.usefixtures("configured_anew")


def written(said: Said, form: Any, *, hide: Hide | None = None, verbosity: int = 0, **values: Any) -> str:
    logs.configure(verbosity, form=form, hide=hide)
    log: Any = structlog.get_logger().bind(conn="c1", peer="192.0.2.1:25")
    log.tell("message relayed", **values)
    text = said.readouterr().err
    assert text.count("\n") == bool(text)
    return text


def of_json(said: Said, **values: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(said, "json", **values))
    return found


def test_text(capsys: Said) -> None:
    line = written(capsys, "text", to=Recipients([{"address": "b@x"}]), by="server", reply="250 ok")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d \[info     \] message relayed "
        r"conn=c1 peer=192\.0\.2\.1:25 to=\[b@x\] by=server reply='250 ok'\n",
        line,
    )


def test_json(capsys: Said) -> None:
    line = of_json(capsys, to=Recipients([{"address": "b@x"}]), size=7, odd=NASTY)
    time = line.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time)
    assert line == {
        "level": "info",
        "event": "message relayed",
        "conn": "c1",
        "peer": "192.0.2.1:25",
        "to": [{"address": "b@x"}],
        "size": 7,
        "odd": NASTY,
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_control_character_of_a_peer_is_written(capsys: Said, form: str) -> None:
    line = written(capsys, form, reply=NASTY, to=Recipients([{"address": NASTY, "reply": NASTY}]))
    assert line[:-1].isprintable()


def test_auto_is_json_where_there_is_no_terminal(capsys: Said) -> None:
    assert written(capsys, "auto").startswith("{")


def test_quiet(capsys: Said) -> None:
    assert written(capsys, "text", verbosity=-1) == ""


@pytest.mark.parametrize(
    "value", [True, False, None, 0, -1, 10**30, 1.5, 1e300, "", NASTY, [1, ["x"]], {"a": {"b": None}}, []]
)
def test_values_are_json(capsys: Said, value: object) -> None:
    assert of_json(capsys, value=value)["value"] == value


class Odd(IntEnum):
    ONE = 1


def test_a_number_of_a_class_of_its_own(capsys: Said) -> None:
    assert of_json(capsys, value=Odd.ONE, values=[Odd.ONE, True])["value"] == 1


def test_there_is_an_end_to_the_keys_that_are_remembered(capsys: Said) -> None:
    logs.configure(0, form="json")
    lines = logs.JsonLines()
    named = lines.named({"conn": "c1"})
    for number in range(3_000):
        line = lines.line("x", named, {f"key {number}": number})
    assert json.loads(line)["key 2999"] == 2_999
    assert json.loads(line)["conn"] == "c1"
    assert len(lines._keys) == 1_000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1}, ValueError("x")])
def test_what_is_no_json_is_a_text(capsys: Said, value: object) -> None:
    assert of_json(capsys, value=value)["value"] == repr(value)


def test_an_exception_is_one_line_of_json(capsys: Said) -> None:
    logs.configure(0, form="json")
    try:
        raise ValueError("odd")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: odd")


def test_what_cannot_be_shown_is_logged_nevertheless(capsys: Said) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    assert "cannot be shown" in of_json(capsys, odd=Odd())["odd"]


KEY, HIDDEN = b"key", "(address)"
ANN, BOB = (
    "#" + hmac.new(KEY, address, hashlib.sha256).hexdigest()[:16] for address in (b"ann@x.example", b"bob@y")
)


@pytest.mark.parametrize(("hide", "ann", "bob"), [(hashing(KEY), ANN, BOB), (leaving_out, HIDDEN, HIDDEN)])
def test_hidden_addresses(capsys: Said, hide: Hide, ann: str, bob: str) -> None:
    values = {
        "from": "Ann@X.example",
        "to": Recipients([{"address": "bob@y", "reply": "550 <BOB@y>: no"}, {"address": "postmaster"}]),
        "reply": 'no mail from ann@x.example, "o dd"@x, x@y.',
        "message_id": "<1@ann.example>",
        "size": 7,
        "error": ValueError("bob@y?"),
    }
    line = of_json(capsys, hide=hide, **values)
    assert (line["from"], line["message_id"], line["size"]) == (ann, "<1@ann.example>", 7)
    assert line["to"][0] == {"address": bob, "reply": f"550 <{bob}>: no"}
    assert "postmaster" not in str(line)
    assert line["reply"].startswith(f"no mail from {ann}, ")
    assert "@" not in line["reply"]
    assert line["error"] == f"ValueError('{bob}?')"
    text = written(capsys, "text", hide=hide, **values)
    assert f"to=[{bob}" in text
    assert "@" not in text.replace("<1@ann.example>", "")


def test_nobody_is_no_address(capsys: Said) -> None:
    assert of_json(capsys, hide=leaving_out, **{"from": "<>"})["from"] == "<>"


def test_an_event_may_have_a_line_of_its_own(capsys: Said) -> None:
    lines: dict[str, Any] = {
        "mine": lambda values: f"my {values['text']}",
        "none": lambda _: "",
        "usual": lambda _: None,
    }
    logs.configure(0, lines=lines)
    log: Any = structlog.get_logger()
    for event in ("mine", "none", "usual", "other"):
        log.tell(event, text="a\x1bb")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "my a\\x1bb"
    assert [line.split("] ")[1] for line in said[1:]] == ["usual text=a\\x1bb", "other text=a\\x1bb"]
    logs.configure(0, form="json", lines=lines)
    log.tell("mine", text="x")
    assert json.loads(capsys.readouterr().err)["event"] == "mine"
