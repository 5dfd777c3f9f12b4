"""What to write in place of what raises an error of Python."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio

from sansio_smtp.rules import Message
from sansio_smtp.testing import session
from trio_proxy.rulebook.hints import hint_for


def rcpt_error(rule: Callable[[Any, Any], Any]) -> BaseException:
    """What the rule raises about a recipient of a dialogue."""
    caught: list[BaseException] = []

    def rcpt(tx: Any, to: Any) -> None:
        try:
            rule(tx, to)
        except Exception as error:
            caught.append(error)

    talk = session(rcpt)
    talk.mail("ann@example.com")
    talk.rcpt("bob@example.com")
    return caught[0]


def set_address(tx: Any, to: Any) -> None:
    to.address = "x@example.com"


def look_for(tx: Any, to: Any) -> None:
    assert "example.com" in to


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        (set_address, 'an address is changed by rewrite("new@example.com")'),
        (look_for, "the address as a text is to.address"),
    ],
)
def test_recipients(rule: Callable[[Any, Any], Any], hint: str) -> None:
    assert hint_for(rcpt_error(rule)) == hint


def test_messages() -> None:
    message: Any = Message(b"Subject: hi\r\n\r\nhello\r\n")
    for use, hint in {
        "message['Subject'] = 'x'": "a header field is changed by headers.set(",
        "message.headers['Subject'] = 'x'": "a header field is changed by headers.set(",
        "message['Subject']": "a header field is read by headers.get(",
        "message.headers['Subject']": "a header field is read by headers.get(",
        "'hello' in message.body": "the body and its lines are octets (bytes); ",
        "message.body + 'x'": "the body and its lines are octets (bytes); ",
        "message.body.startswith('x')": "the body and its lines are octets (bytes); ",
        "message.body.endswith('x')": "the body and its lines are octets (bytes); ",
        "message.body.find('x')": "the body and its lines are octets (bytes); ",
        "message.body.replace('x', 'y')": "the body and its lines are octets (bytes); ",
        "re.search('x', message.body)": "the body and its lines are octets (bytes); ",
        "message.headers.get('To').lower()": "something that may be missing is None here; ",
    }.items():
        with pytest.raises((TypeError, AttributeError)) as caught:
            exec(use, {"message": message, "re": re})
        assert hint_for(caught.value).startswith(hint), use


async def test_asyncio() -> None:
    with pytest.raises(RuntimeError) as caught:
        await asyncio.sleep(1)
    assert "use trio in place of asyncio" in hint_for(caught.value)
    assert trio.lowlevel.in_trio_run()


def test_other_errors() -> None:
    assert hint_for(ZeroDivisionError("division by zero")) == ""
