"""What a rule returns, as its annotation and its ``return`` statements say."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Optional, Union, get_args

import pytest
from each import each

from sansio_smtp import rules as api
from sansio_smtp.rules.lint.source import Source, is_definition
from sansio_smtp.rules.lint.verdict_types import (
    annotation_of,
    is_awaitable,
    wrong_annotation,
    wrong_calls,
    wrong_returns,
)
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.verdicts import Accept, Close, Defer, Discard, Redirect, Reject, ReplyVerdict, Verdict

NAMES = {name: getattr(api, name) for name in api.__all__}
VERDICTS = get_args(Verdict)
PAIRS = list(itertools.product(PHASES.values(), VERDICTS))
NONE = "or None to let things go on"


def returns(phase: str, body: str, **more: Any) -> list[str]:
    """What is wrong with a rule of two lines or more, as ``line: text``."""
    source = Source(f"def rule(*arguments):\n    {body}\n", {**NAMES, "rules": api, **more})
    (function,) = filter(is_definition, source.tree.body)
    return [f"{line}: {text}" for line, text in wrong_returns(source, function, PHASES[phase])]


def calls(text: str) -> list[str]:
    return [f"{line}: {text}" for line, text in wrong_calls(Source(text, {**NAMES, "rules": api}))]


# Statements


def test_each_verdict_in_each_phase() -> None:
    """Called or an instance of the file: it is a mistake where the phase does not take it, and only there."""
    for phase, verdict in PAIRS:
        check_verdict_in_phase(phase, verdict)


def check_verdict_in_phase(phase: Any, verdict: Any) -> None:
    legal = ", ".join(["bytes"] * phase.octets + [each.__name__ for each in phase.verdicts]) or "None only"
    text = f'2: {verdict.__name__} is no verdict of phase "{phase.name}"; legal here: {legal}'
    wrong = [] if verdict in phase.verdicts else [text]
    assert returns(phase.name, f"return {verdict.__name__}()") == wrong
    assert returns(phase.name, f"return rules.{verdict.__name__}(text)") == wrong
    made = Redirect("host:25") if verdict is Redirect else verdict()
    assert returns(phase.name, "return FIXED", FIXED=made) == wrong
    class_itself = f"2: {verdict.__name__} is the class itself; did you mean {verdict.__name__}(...)?"
    assert returns(phase.name, f"return {verdict.__name__}") == (wrong or [class_itself])


@each(
    ("value", "what"),
    [
        *(("True", "True"), ("False", "False"), ("...", "Ellipsis"), ("0", "0"), ("1.5", "1.5")),
        *(("'no'", "'no'"), ("f'no {x}'", "a str"), ("b'no'", "b'no'"), ("x == 1", "a comparison")),
        *(("not x", "a bool"), ("(550, 'no')", "a tuple"), ("[x]", "a list"), ("[y for y in x]", "a list")),
        *(("{x}", "a set"), ("{}", "a dict"), ("lambda: Reject()", "a function")),
    ],
)
def test_what_can_be_no_verdict(value: str, what: str) -> None:
    assert returns("reply", f"return {value}") == [
        f'2: {what} is no verdict of phase "reply"; legal here: Accept, Close, {NONE}'
    ]
    assert returns("disconnect", f"return {value}") == [
        f'2: {what} is no verdict of phase "disconnect"; legal here: None only'
    ]


@each(
    "body",
    [
        "return",
        "return None",
        "pass",
        "return Reject(550, 'no')",
        "return x",
        "return x.y",
        "return x.y()",
        "return -x",
        "return x + 1",
        "return rules.nothing",
        "return rules.Reject.reply",
        "return None if x else Reject()",
        "return x == 1 and Reject()",
        "return (yield)",
        "def inner():\n        return True",
        "class Inner:\n        def inner(self): return True",
        "inner = lambda: True",
        "for Reject in x: return Reject",
        "import Reject; return Reject",
        "import Reject.inner; return Reject.inner",
        "from x import Bad as Reject; return Reject",
        "def Reject(): ...\n    return Reject()",
        "class Reject: ...\n    return Reject",
    ],
)
def test_what_may_be_right(body: str) -> None:
    assert returns("rcpt", body) == []


def test_a_parameter_is_not_the_class_of_its_name() -> None:
    text = "def rule(Reject): return Reject\nother = lambda Defer: Defer\n"
    source = Source(text, NAMES)
    (function,) = filter(is_definition, source.tree.body)
    assert list(wrong_returns(source, function, PHASES["rcpt"])) == []
    assert source.meaning(ast.Name("Defer")) is not Defer
    assert source.meaning(ast.Name("Accept")) is Accept


@pytest.mark.parametrize(
    ("phase", "value", "hint"),
    [
        ("rcpt", "'no'", "; to refuse it, write return Reject(550, 'no')"),
        ("rcpt", "550", "; to refuse it, write return Reject(550)"),
        ("rcpt", "451", "; to refuse it, write return Defer(451)"),
        ("rcpt", "250", ""),
        ("rcpt", "True", ""),
        ("rcpt", "1.5", ""),
        ("rcpt", "not x", ""),
        ("reply", "'no'", ""),
    ],
)
def test_how_to_refuse(phase: str, value: str, hint: str) -> None:
    (text,) = returns(phase, f"return {value}")
    assert text.endswith(f"or None to let things go on{hint}")


@pytest.mark.parametrize("phase", ["body", "body_line"])
def test_octets_are_for_the_body(phase: str) -> None:
    assert returns(phase, "return b''") == []
    (text,) = returns(phase, "return ''")
    assert text.startswith(f"2: '' is no verdict of phase \"{phase}\"; legal here: bytes, Accept, ")


def test_every_statement_is_seen_with_its_line() -> None:
    body = """
    if arguments:
        return Discard() if x else True if y else None
    try:
        with x: return x or Hold
    except ValueError:
        return None
    else:
        return Close()
    finally:
        while x: return not (
            x
        )
    async def inner(): return 1
    """
    found = returns("reply", body.strip())
    assert sorted(each.partition(" is no")[0] for each in found) == [
        *("11: a bool", "3: Discard", "3: True", "5: Hold")
    ]


# Verdicts that cannot be made


@each(
    ("call", "text"),
    [
        ("Reject(450, 'x')", "Reject: the reply code is an int, 5xx, not 450; Defer is for 4xx"),
        ("Reject('no')", "Reject: the reply code is an int, 5xx, not 'no'; write Reject(550, 'no')"),
        ("Reject(f'no {x}')", "Reject: the reply code is an int, 5xx, not 'no ?'; write Reject(550, 'no ?')"),
        ("Reject(550, 5)", "Reject: the text is a str, not 5"),
        ("Reject(code=450)", "Reject: the reply code is an int, 5xx, not 450; Defer is for 4xx"),
        ("rules.Defer(550)", "Defer: the reply code is an int, 4xx, not 550; Reject is for 5xx"),
        ("Defer(550, x)", "Defer: the reply code is an int, 4xx, not 550; Reject is for 5xx"),
        ("Close(code=x, text='a\\r\\nb')", "Close: a reply line must not hold CR, LF or NUL: b'a\\r\\nb'"),
        ("Reject(550, f'a {x}\\n')", "Reject: a reply line must not hold CR, LF or NUL: b'a ?\\n'"),
        ("Reject(550, 'no', 5)", "Reject: too many positional arguments; write Reject(code, text)"),
        ("Reject(cod=550)", "Reject: got an unexpected keyword argument 'cod'; write Reject(code, text)"),
        ("Redirect()", "Redirect: missing a required argument: 'upstream'; write Redirect(upstream)"),
        ("Redirect('')", "Redirect: an address such as 'host:25', not ''"),
    ],
)
def test_a_verdict_that_cannot_be_made(call: str, text: str) -> None:
    """Wherever it stands, also where it is no return."""
    assert calls(f"def helper(x):\n    verdict = [{call}]") == [f"2: {text}"]


@each(
    "call",
    [
        *(
            "Reject()",
            "Reject(550, 'no')",
            "Reject(x, 'no')",
            "Reject(550, x)",
            "Reject(text='no')",
            "Accept()",
        ),
        *("Reject(*x)", "Reject(450, **x)", "Redirect(x)", "Redirect('host:25')", "Reject(550, 'a' + x)"),
        *("unknown(450, 'x')", "int(450, 'x')", "x.Reject(450)", "x[0](450)", "Reject(550, {[]: 1})"),
    ],
)
def test_a_verdict_that_can_perhaps_be_made(call: str) -> None:
    assert calls(f"def helper(x):\n    return {call}") == []


# Annotations


def test_each_verdict_annotated_in_each_phase() -> None:
    for phase, verdict in PAIRS:
        check_annotation_in_phase(phase, verdict)


def check_annotation_in_phase(phase: Any, verdict: Any) -> None:
    alias = {"body_line": "Body", "disconnect": "", "delivered": ""}.get(phase.name, phase.name.title())
    write = f"{alias}Verdict" if alias else "None"
    wrong = f'is annotated to return {verdict.__name__}, no verdict of phase "{phase.name}"; write -> {write}'
    expected = "" if verdict in phase.verdicts else wrong
    annotations = (
        verdict,
        verdict | None,
        Optional[verdict],  # noqa: UP045
        Awaitable[verdict],
        Coroutine[Any, Any, verdict | None],
    )
    for annotation in annotations:
        assert wrong_annotation(annotation, phase) == expected
    if alias:
        assert wrong_annotation(getattr(api, f"{alias}Verdict"), phase) == ""


def test_all_that_is_wrong_in_an_annotation_is_named_once() -> None:
    annotation = Union[bool, None, Discard, Accept, Awaitable[Discard]]  # noqa: UP007
    assert wrong_annotation(annotation, PHASES["reply"]) == (
        'is annotated to return bool, Discard, no verdict of phase "reply"; write -> ReplyVerdict'
    )


@each("annotation", [bool, str, int, float, bytes, list[str], dict[str, int], tuple[int, str]])
def test_what_is_annotated_can_be_no_verdict(annotation: Any) -> None:
    assert wrong_annotation(annotation, PHASES["rcpt"])
    assert bool(wrong_annotation(annotation, PHASES["body"])) == (annotation is not bytes)


@pytest.mark.parametrize("annotation", [None, type(None), Any, object, 5, Callable[[], bool], ReplyVerdict])
def test_what_is_annotated_may_be_right(annotation: Any) -> None:
    assert wrong_annotation(annotation, PHASES["reply"]) == ""


def test_awaitables() -> None:
    assert is_awaitable(Awaitable[None])
    assert is_awaitable(Coroutine[Any, Any, Reject])
    assert not is_awaitable(Reject | None)
    assert not is_awaitable(Any)


def test_an_annotation_is_read_in_the_names_of_its_file() -> None:
    """Those of the parameters may be of names that exist for type checkers only."""
    namespace: dict[str, Any] = dict(NAMES)
    exec("def rule(tx: 'Only', to: 'Typed') -> 'Close | None': ...", namespace)
    assert annotation_of(namespace["rule"]) == Close | None


@pytest.mark.parametrize("annotation", ["Only", "(", "1 / 0"])
def test_an_annotation_that_cannot_be_read_says_nothing(annotation: Any) -> None:
    def rule() -> None: ...

    rule.__annotations__["return"] = annotation
    assert annotation_of(rule) is Any
    del rule.__annotations__["return"]
    assert annotation_of(rule) is Any
    assert annotation_of(len) is Any
