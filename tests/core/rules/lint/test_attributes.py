"""Attributes that the parameters of a rule do not have are found when the rule is loaded."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest
from each import each

from sansio_smtp.rules.lint.attributes import PARAMETERS, unknown_attributes
from sansio_smtp.rules.lint.source import Source
from sansio_smtp.rules.phases import PHASES


def found(source: str, phase: str = "rcpt", *, takes_self: bool = False) -> list[str]:
    text = dedent(source)
    namespace: dict[str, Any] = {}
    exec(compile(text, "rules", "exec", dont_inherit=True), namespace)
    parsed = Source(text, namespace)
    function = next(iter(parsed._definitions.values()))  # pyright: ignore[reportPrivateUsage]
    return [text for _, text in unknown_attributes(parsed, function, PHASES[phase], takes_self=takes_self)]


def body(text: str, parameters: str = "tx, to") -> str:
    return f"def rcpt({parameters}):\n{indent(dedent(text), '    ')}"


def test_every_parameter_of_a_phase_has_a_class() -> None:
    assert {name for phase in PHASES.values() for name in phase.parameters} == set(PARAMETERS)


@each(
    ("text", "said"),
    [
        ("tx.mailfrom", 'tx.mailfrom: a Transaction has no mailfrom; did you mean "mail_from"?'),
        ("to.domian.lower()", 'to.domian: a Recipient has no domian; did you mean "domain"?'),
        ("tx.conn.hello", 'tx.conn.hello: a Connection has no hello; did you mean "helo"?'),
        ("tx.conn.tls.cypher", 'tx.conn.tls.cypher: a TlsInfo has no cypher; did you mean "cipher"?'),
        ("tx.mail_from.adress", 'tx.mail_from.adress: a Sender has no adress; did you mean "address"?'),
        ("to.local.lowr()", 'to.local.lowr: a str has no lowr; did you mean "lower"?'),
        ("to.endswith('x')", "to.endswith: a Recipient has no endswith; the address as a text is to.address"),
        (
            "tx.mail_from.lower()",
            "tx.mail_from.lower: a Sender has no lower; the address as a text is sender.address",
        ),
        ("to.qqqq", "to.qqqq: a Recipient has no qqqq"),
        ("[to.qqqq for _ in ()]", "to.qqqq: a Recipient has no qqqq"),
        ("def inner():\n    return to.qqqq", "to.qqqq: a Recipient has no qqqq"),
        ("try:\n    to.qqqq\nexcept ValueError:\n    pass", "to.qqqq: a Recipient has no qqqq"),
        ("try:\n    pass\nexcept AttributeError:\n    to.qqqq", "to.qqqq: a Recipient has no qqqq"),
    ],
)
def test_attributes_that_do_not_exist(text: str, said: str) -> None:
    assert found(body(text)) == [said]


@each(
    "text",
    [
        "tx.mail_from.address, tx.conn.ip, tx.data, to.rewrite('a@b'), to.domain.lower(), tx.rcpts[0].qqqq",
        "to = None\nto.qqqq",
        "for to in ():\n    to.qqqq",
        "[to.qqqq for to in ()]",
        "lambda to: to.qqqq",
        "def inner(to):\n    return to.qqqq",
        "def to(): ...\nto.qqqq",
        "class to: ...\nto.qqqq",
        "import os as to\nto.qqqq",
        "try:\n    pass\nexcept ValueError as to:\n    to.qqqq",
        "match tx:\n    case [*to]:\n        to.qqqq\n    case {**to}:\n        to.qqqq",
        "match tx:\n    case _ as to:\n        to.qqqq",
        "to.qqqq = 1\nto.qqqq",
        "if hasattr(to, 'qqqq'):\n    to.qqqq",
        "try:\n    to.qqqq\nexcept AttributeError:\n    pass",
        "try:\n    to.qqqq\nexcept:\n    pass",
        "tx.data.get(str).qqqq",
    ],
)
def test_what_is_not_certain_is_not_said(text: str) -> None:
    assert found(body(text)) == []


def test_parameters_go_by_their_place() -> None:
    assert found(body("a.qqqq, b.qqqq, self.qqqq", "self, a, b"), takes_self=True) == [
        "a.qqqq: a Transaction has no qqqq",
        "b.qqqq: a Recipient has no qqqq",
    ]
    assert found("def headers(tx, h, more=1):\n    h.ad, more.qqqq", "headers") == [
        'h.ad: a Headers has no ad; did you mean "add"?'
    ]
    assert found("def message(tx, msg):\n    msg.subject", "message") == [
        'msg.subject: a Message has no subject; write msg.headers.get("Subject", "")'
    ]
    assert found("def disconnect(*all):\n    all.qqqq", "disconnect") == []
    nonlocal_ = "def rcpt(tx, to):\n    def inner():\n        nonlocal to\n    to.qqqq"
    assert found(nonlocal_) == []


@pytest.mark.parametrize(
    ("decorator", "number"), [('@on("rcpt")', 1), ("@threaded", 1), ("@other", 0), ("@other()", 0)]
)
def test_other_decorators_may_give_other_arguments(decorator: str, number: int) -> None:
    before = "from sansio_smtp.rules import on, threaded\ndef other(f=None): return lambda f: f\n"
    source = f"{before}{decorator}\n{body('to.qqqq')}"
    parsed = Source(source, _executed(source))
    function = parsed.definition("rcpt", 3)
    assert function is not None
    assert len(list(unknown_attributes(parsed, function, PHASES["rcpt"], takes_self=False))) == number


def _executed(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace
