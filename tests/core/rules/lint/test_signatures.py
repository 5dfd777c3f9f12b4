"""One function that is to be a rule."""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from each import each

from sansio_smtp.rules import Discard, Reject
from sansio_smtp.rules.decorators import Mark
from sansio_smtp.rules.lint.signatures import Found, fits, phase_meant, rules_and_problems, underlying
from sansio_smtp.rules.lint.source import Source, is_definition
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.ruleset import Rule


def found(function: Callable[..., Any], *marks: Mark, name: str = "rcpt", **more: Any) -> Found:
    marks = marks or (Mark(phase=name),)
    return Found(
        function=function, name=name, owner="my_rules", file="my_rules.py", line=7, marks=marks, **more
    )


def wrong(function: Callable[..., Any], *marks: Mark, **more: Any) -> list[str]:
    rules, problems = rules_and_problems(found(function, *marks, **more))
    assert bool(rules) != bool(problems)
    assert all((problem.file, problem.line) == ("my_rules.py", 7) for problem in problems)
    return [problem.text for problem in problems]


def only_rule(function: Callable[..., Any], *marks: Mark, **more: Any) -> Rule:
    (rule,), problems = rules_and_problems(found(function, *marks, **more))
    assert problems == []
    return rule


def anything(*arguments: Any) -> Any: ...


class Callables:
    def method(self, tx: Any, to: Any) -> None: ...

    def without_self() -> None: ...  # type: ignore[misc]

    @classmethod
    def of_class(cls, tx: Any, to: Any) -> None: ...

    @staticmethod
    def static(tx: Any, to: Any) -> None: ...

    async def __call__(self, tx: Any, to: Any) -> None: ...


def circle(tx: Any, to: Any) -> None: ...


CIRCLE = functools.wraps(circle)(circle)


# What becomes of it


def test_a_rule_for_each_mark() -> None:
    first = Mark(phase="rcpt", match="*@EXAMPLE.com", timeout=2, on_error="accept")
    second = Mark(phase="mail")
    rules, problems = rules_and_problems(found(anything, first, second, name="check", threaded=True))
    assert problems == []
    same: dict[str, Any] = {
        "function": anything,
        "name": "my_rules.check",
        "file": "my_rules.py",
        "line": 7,
        "is_async": False,
        "threaded": True,
        "guards": False,
    }
    assert [attrs.asdict(rule) for rule in rules] == [
        {**same, "phase": "rcpt", "match": "*@example.com", "timeout": 2, "on_error": "accept"},
        {**same, "phase": "mail", "match": None, "timeout": None, "on_error": None},
    ]


class Guard:
    guards = True

    def rcpt(self, tx: Any, to: Any) -> None: ...


def test_a_rule_guards_if_its_class_says_so() -> None:
    guard = Guard()
    assert only_rule(guard.rcpt, Mark(phase="rcpt"), instance=guard).guards
    assert wrong(guard.rcpt, Mark(phase="rcpt", on_error="accept"), instance=guard) == [
        'on_error="accept" lets mail pass a rule that fails; guards = True forbids that'
    ]
    assert only_rule(guard.rcpt, Mark(phase="rcpt", on_error="reject"), instance=guard).on_error == "reject"


async def plain(tx: Any, to: Any) -> None: ...


def promised(tx: Any, to: Any) -> Awaitable[Reject | None]:
    return plain(tx, to)


@pytest.mark.parametrize(
    "function",
    [
        plain,
        promised,
        functools.partial(plain, to=None),
        functools.wraps(plain)(lambda tx, to: plain(tx, to=to)),
        Callables(),
        functools.partial(Callables()),
    ],
)
def test_what_has_to_be_awaited(function: Any) -> None:
    mark = Mark(phase="data") if getattr(function, "keywords", None) else Mark(phase="rcpt")
    assert only_rule(function, mark).is_async
    assert wrong(function, mark, threaded=True) == [
        "rcpt() is async, so it is awaited; @threaded is for functions that block"
    ]


@pytest.mark.parametrize(
    "function", [anything, functools.partial(anything, 1), Callables().static, lambda tx, to: None]
)
def test_what_has_not(function: Any) -> None:
    assert not only_rule(function).is_async


def test_what_generates_is_no_rule() -> None:
    def generates(tx: Any, to: Any) -> Any:
        yield

    async def generates_slowly(tx: Any, to: Any) -> Any:
        yield

    for function in (generates, generates_slowly, functools.wraps(generates)(lambda tx, to: None)):
        assert wrong(function) == ["rcpt() yields; a rule returns its verdict, once"]


@each(
    ("function", "written"),
    [
        (anything, anything),
        (functools.partial(functools.partial(anything)), anything),
        (functools.wraps(anything)(lambda *arguments: None), anything),
        (Callables().method, vars(Callables)["method"]),
        (Callables.of_class, vars(Callables)["of_class"].__func__),
        (vars(Callables)["of_class"], vars(Callables)["of_class"].__func__),
        (vars(Callables)["static"], vars(Callables)["static"].__func__),
        (Callables(), vars(Callables)["__call__"]),
        *((thing, thing) for thing in (len, Callables, 5)),
        (CIRCLE, CIRCLE),
    ],
)
def test_the_function_that_was_written(function: Any, written: Any) -> None:
    assert underlying(function) is written


# Parameters


@each("phase", PHASES.values())
def test_a_rule_takes_what_its_phase_gives(phase: Any) -> None:
    names = [f"any{number}" for number in range(len(phase.parameters))]
    right = [
        ", ".join(names),
        ", ".join([*names, "/"]),
        ", ".join([*names, "more=1"]),
        ", ".join([*names, "*more", "**others"]),
        ", ".join([*names, "*", "more=1"]),
        "*more",
    ]
    write = f"write {phase.name}({', '.join(phase.parameters)})"
    for parameters in right:
        assert wrong(eval(f"lambda {parameters}: None"), name=phase.name) == []
    for count in set(range(5)) - {len(names)}:
        few = ", ".join(f"any{number}" for number in range(count))
        counted = "1 argument" if count == 1 else f"{count} arguments"
        assert wrong(eval(f"lambda {few}: None"), name=phase.name) == [
            f"{phase.name}() takes {counted}; {write}"
        ]


@pytest.mark.parametrize(
    ("parameters", "taken"),
    [
        ("tx, to, x, y=1", "3 to 4 arguments"),
        ("tx, to, x, *y", "3 or more arguments"),
        ("tx=1", "0 to 1 arguments"),
        ("tx, to, *, x, y=1, z", "2 arguments and needs x= and needs z="),
        ("**x", "0 arguments"),
        ("*x, y", "0 or more arguments and needs y="),
    ],
)
def test_how_wrong_parameters_are_told(parameters: str, taken: str) -> None:
    assert wrong(eval(f"lambda {parameters}: None")) == [f"rcpt() takes {taken}; write rcpt(tx, to)"]


def test_self_is_not_counted() -> None:
    method, without_self = Callables().method, Callables().without_self  # type: ignore[misc]
    assert wrong(method, takes_self=True) == []
    assert wrong(method, name="data", takes_self=True) == [
        "data() takes 2 arguments besides self; write data(self, tx)"
    ]
    assert wrong(without_self, takes_self=True) == [
        "rcpt() takes no argument, not even self; write rcpt(self, tx, to)"
    ]


def test_of_what_is_written_in_c_nothing_is_known() -> None:
    assert wrong(print) == []
    assert wrong(max) == []
    assert not fits(max, PHASES["rcpt"])
    assert fits(anything, PHASES["rcpt"])


# What it returns


def test_its_annotation_is_looked_at_for_each_phase() -> None:
    def rule(tx: Any) -> Discard | None:
        return None

    def no_rule(tx: Any) -> bool:
        return True

    assert wrong(rule, name="data") == []
    assert wrong(rule, name="disconnect") == [
        'disconnect() is annotated to return Discard, no verdict of phase "disconnect"; write -> None'
    ]
    assert wrong(no_rule, Mark(phase="data"), Mark(phase="connect"), name="check") == [
        'check() is annotated to return bool, no verdict of phase "data"; write -> DataVerdict',
        'check() is annotated to return bool, no verdict of phase "connect"; write -> ConnectVerdict',
    ]


def test_its_statements_are_looked_at_for_each_phase() -> None:
    source = Source("def check(*arguments):\n\n    return Discard()", {"Discard": Discard})
    (definition,) = filter(is_definition, source.tree.body)
    marks = [Mark(phase=phase) for phase in ("reply", "data", "command", "reply")]
    rules, problems = rules_and_problems(found(anything, *marks, source=source, definition=definition))
    assert rules == []
    assert [str(problem) for problem in problems] == [
        'my_rules.py:3: Discard is no verdict of phase "reply"; legal here: Accept, Close',
        'my_rules.py:3: Discard is no verdict of phase "command"; legal here: Accept, Reject, Defer, Close',
    ]
    assert wrong(anything, marks[1], source=source, definition=definition) == []
    assert wrong(anything, marks[0], source=source) == []


# Marks


@each(
    ("options", "text"),
    [
        ({"phase": "recpt"}, '@on("recpt"): no such phase; did you mean "rcpt"?'),
        ({"phase": "xyz"}, f'@on("xyz"): no such phase; phases: {", ".join(PHASES)}'),
        ({"match": 5}, 'match is a pattern for addresses, as in "*@example.com", not 5'),
        (
            {"match": ""},
            'match="": an empty pattern fits no address; the null reverse-path is written <>',
        ),
        (
            {"match": "*@bü*.example"},
            'match: "*@bü*.example" fits no address: a label with * or ? has to be in ASCII, as in'
            " xn--bcher-*",
        ),
        (
            {"match": "example.com"},
            'match="example.com": every address except postmaster has a domain; '
            'did you mean "*@example.com"?',
        ),
        *(
            ({"timeout": timeout}, f"timeout is a number of seconds above 0, not {timeout!r}")
            for timeout in (0, -1.5, math.nan, True, "2")
        ),
        (
            {"on_error": "acept"},
            "on_error is one of defer, reject, accept, not 'acept'; did you mean \"accept\"?",
        ),
        ({"on_error": 5}, "on_error is one of defer, reject, accept, not 5"),
        ({"when": "whole"}, "when='whole' names an attribute of a rule class; this is a function by itself"),
    ],
)
def test_wrong_marks(options: Any, text: str) -> None:
    assert wrong(anything, Mark(**{"phase": "rcpt", **options})) == [text]


@each("phase", PHASES)
def test_match_is_for_phases_with_addresses(phase: str) -> None:
    text = f'@on("{phase}", match=...): this phase has no address that could match'
    without = ("connect", "helo", "auth", "login", "reply", "disconnect", "command")
    assert wrong(anything, Mark(phase=phase, match="*")) == ([text] if phase in without else [])


def test_all_mistakes_of_a_mark_are_told() -> None:
    mark: Any = Mark(phase="helo", match=5, timeout=0, on_error="no")  # type: ignore[arg-type]
    assert len(wrong(anything, mark)) == 4


def test_right_timeouts() -> None:
    for timeout in (1, 0.5, math.inf):
        assert only_rule(anything, Mark(phase="rcpt", timeout=timeout)).timeout == timeout


@attrs.define
class Switches:
    whole: bool = False
    empty: str = ""
    full: str = "x"

    @property
    def broken(self) -> bool:
        raise ZeroDivisionError("no")


def test_a_rule_that_is_there_when_an_attribute_is_true() -> None:
    marks = [Mark(phase="data", when=when) for when in ("whole", "empty", "full")]
    rules, problems = rules_and_problems(found(anything, *marks, instance=Switches()))
    assert (len(rules), problems) == (1, [])
    rules, _ = rules_and_problems(found(anything, *marks, instance=Switches(whole=True)))
    assert len(rules) == 2
    assert wrong(anything, Mark(phase="data", when="hole"), instance=Switches()) == [
        "when='hole': Switches has no such attribute; did you mean \"whole\"?"
    ]
    assert wrong(anything, Mark(phase="data", when=5), instance=Switches()) == [  # type: ignore[arg-type]
        "when=5: Switches has no such attribute"
    ]
    assert wrong(anything, Mark(phase="data", when="broken"), instance=Switches()) == [
        "when='broken': ZeroDivisionError: no"
    ]


# Names

MEANT = {
    "recpt": "rcpt",
    "rcpts": "rcpt",
    "RCPT": "rcpt",
    "rcpt_to": "rcpt",
    "on_rcpt": "rcpt",
    "rpct": "rcpt",
    "handle_RCPT": "rcpt",
    "hello": "helo",
    "ehlo": "helo",
    "on_ehlo": "helo",
    "mail_from": "mail",
    "header": "headers",
    "haeders": "headers",
    "messages": "message",
    "on_message": "message",
    "eom": "message",
    "bodyline": "body_line",
    "body_lines": "body_line",
    "conect": "connect",
    "disconect": "disconnect",
    "comand": "command",
    "replay": "reply",
    "auht": "auth",
    "dtaa": "data",
    "envrcpt": "rcpt",
    "recipient": "rcpt",
    "sender": "mail",
    "on_email": "message",
    "line": "body_line",
}


@each("name", MEANT)
def test_names_that_are_almost_phases(name: str) -> None:
    phase = MEANT[name]
    function = eval(f"lambda {', '.join(PHASES[phase].parameters)}: None")
    assert phase_meant(name, function) == phase
    assert phase_meant(f"_{name}", function) == ""


@each("name", ["main", "date", "help", "fail", "lookup", "check_sender", "is_local", "domain_of"])
def test_names_that_are_other_words(name: str) -> None:
    assert phase_meant(name, lambda: None) == ""


def test_a_word_that_is_not_quite_a_phase_is_judged_by_its_arguments() -> None:
    assert phase_meant("recipient", lambda tx, to: None) == "rcpt"
    assert phase_meant("recipient", lambda text: None) == ""


def test_arguments_in_another_order() -> None:
    assert wrong(lambda to, tx: None) == [
        "rcpt(to, tx) has its arguments in another order; write rcpt(tx, to)"
    ]
    assert only_rule(lambda transaction, recipient: None).phase == "rcpt"


def test_a_word_that_differs_in_one_of_four_letters_is_judged_by_its_arguments() -> None:
    assert phase_meant("date", lambda tx: None) == "data"
    assert phase_meant("date", lambda text, style: None) == ""
