"""The line of a rule file in which an error was raised."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_smtp.rules.ruleset import Rule
from trio_proxy.rulebook.failing_line import failed_at

TEXT = """\
def rcpt(tx, to):
    if to:
        _helper(to)
    import json
    json.loads(to)

def _helper(to):
    return 1 / (to == "x")

async def mail(tx, sender):
    try:
        raise KeyError(1)
    except KeyError as error:
        raise ValueError(2) from error
"""


def rule(phase: str, **options: Any) -> Rule:
    names: dict[str, Any] = {}
    exec(compile(TEXT, "/somewhere/rules.py", "exec"), names)
    return Rule(phase=phase, function=names[phase], name=f"rules.{phase}", file="rules.py", line=1, **options)


@pytest.mark.parametrize(("to", "line"), [("", 5), ("y", 8), ("x", 5)])
def test_the_last_line_in_the_file_of_the_rule(to: str, line: int) -> None:
    failing = rule("rcpt")
    with pytest.raises((ZeroDivisionError, ValueError)) as caught:
        failing.function(None, to)
    assert failed_at(failing, caught.value) == f"rules.py:{line}"


async def test_an_async_rule() -> None:
    failing = rule("mail")
    with pytest.raises(ValueError, match="2") as caught:
        await failing.function(None, None)
    assert failed_at(failing, caught.value) == "rules.py:14"


def test_an_error_that_did_not_come_through_the_file() -> None:
    assert failed_at(rule("rcpt"), TimeoutError("no verdict")) == "rules.py:1"
    built_in = Rule(phase="rcpt", function=divmod, name="divmod")
    with pytest.raises(TypeError) as caught:
        built_in.function(None, None)
    assert failed_at(built_in, caught.value) == "divmod"
