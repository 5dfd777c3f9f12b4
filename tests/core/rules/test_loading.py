"""From the names of a rule file to rules."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import pytest
from each import each

from sansio_smtp.rules import Reject, on
from sansio_smtp.rules.decorators import Mark
from sansio_smtp.rules.lint.problems import Problem, RuleError
from sansio_smtp.rules.loading import collect, rules_of
from sansio_smtp.rules.phases import PHASES
from sansio_smtp.rules.ruleset import RuleSet

from .written import FILE, IMPORTS, collected, executed, names, problems

# What is a rule, and in which order


def test_ten_lines() -> None:
    text = """
def rcpt(tx, to):
    if to.domain == "old.example":
        return Reject(550, "5.1.1 That domain has moved")

async def message(tx, msg):
    msg.headers.add("X-Scanned-By", "smtp-proxy")
"""
    found = collected(text)
    assert (found.problems, found.objects) == ((), ())
    rcpt, message = found.rules
    assert (rcpt.phase, rcpt.name, rcpt.where, rcpt.waits) == ("rcpt", "my_rules.rcpt", f"{FILE}:3", False)
    assert (message.phase, message.name, message.where) == ("message", "my_rules.message", f"{FILE}:7")
    assert message.is_async
    assert not message.threaded


def test_functions_are_asked_in_the_order_of_the_file() -> None:
    text = """
def message(tx, msg): ...
@on("mail")
@on("rcpt", match="*@Example.com", timeout=2.0, on_error="accept")
def check(tx, path): ...
_private = on("data")(lambda tx: None)
connect = functools.partial(print, end="")
class Called:
    async def __call__(self, tx, headers): ...
headers = Called()
@threaded
def body(tx, chunk): return chunk
"""
    assert names(text) == [
        *("message my_rules.message", "rcpt my_rules.check", "mail my_rules.check", "data my_rules._private"),
        *("connect my_rules.connect", "headers my_rules.headers", "body my_rules.body"),
    ]
    _, rcpt, mail, data, connect, headers, body = collected(text).rules
    assert (rcpt.match, rcpt.timeout, rcpt.on_error) == ("*@example.com", 2.0, "accept")
    assert (mail.match, mail.timeout, mail.on_error) == (None, None, None)
    assert [rule.line for rule in (rcpt, data, connect, headers, body)] == [6, 7, 8, 10, 13]
    assert headers.is_async
    assert body.threaded


def test_a_mark_says_more_than_a_name() -> None:
    assert names("@on('rcpt')\ndef mail(tx, to): ...") == ["rcpt my_rules.mail"]


def test_what_is_no_rule() -> None:
    text = """
from email import message
from sansio_smtp import rules
import collections.abc as headers
def helper(anything): ...
def _rcpt(tx, to): ...
def __rcpt(tx, to): ...
class Helper:
    def connect(self): ...
class _Base:
    @on("rcpt")
    def check(self, tx, to): ...
table = {"rcpt": 1}
recpt = 5
class header: ...
"""
    assert names(text) == []
    assert names("") == []


def test_imported_functions_are_rules_by_name_and_by_mark_only() -> None:
    """Nobody imports a rule for another reason; that a name is almost one means nothing there."""
    namespace = executed(
        IMPORTS + "def recpt(tx): ...\ndef rcpt(tx, to): ...\n@on('mail')\ndef check(tx, sender): ..."
    )
    found = collect({**namespace, "__name__": "other"}, file="other.py")
    assert [(rule.name, rule.where) for rule in found.rules] == [
        ("my_rules.rcpt", f"{FILE}:3"),
        ("my_rules.check", f"{FILE}:4"),
    ]
    assert found.problems == ()


def test_a_list_comes_after_the_functions_and_is_asked_in_its_order() -> None:
    text = """
@attrs.define
class Second:
    number: int = 0
    def rcpt(self, tx, to): return self.number
    @on("mail")
    async def check(self, tx, sender): ...
    def helper(self, anything): ...
class First:
    @staticmethod
    @on("helo")
    @threaded
    def static(conn, name): ...
    @on("auth")
    @classmethod
    def of_class(cls, conn, attempt): ...
    @threaded
    @on("connect")
    @staticmethod
    def outside(conn): ...
    data = functools.partialmethod(print, 1)
    message: str = ""
    reply = 5
class Third(Second):
    def check(self, tx, sender): ...
    @threaded
    def rcpt(self, tx, to): ...
def rcpt(tx, to): ...
def disconnect(conn): ...
second = Second(7)
rules = [First, second, rcpt, Third(), second.check, on("mail")(functools.partial(rcpt))]
"""
    assert names(text) == [
        "disconnect my_rules.disconnect",
        *("helo First.static", "auth First.of_class", "connect First.outside", "data First.data"),
        *("rcpt Second.rcpt", "mail Second.check", "rcpt my_rules.rcpt", "rcpt Third.rcpt"),
        *("mail my_rules.check", "mail my_rules.rcpt"),
    ]
    found = collected(text)
    assert [type(each).__name__ for each in found.objects] == ["First", "Second", "Third"]
    assert found.rules[5].function(None, None) == 7
    assert found.objects[1] is getattr(found.rules[5].function, "__self__", None)
    assert [rule.line for rule in found.rules] == [30, 14, 17, 21, 0, 6, 8, 29, 28, 8, 29]
    assert [rule.name for rule in found.rules if rule.threaded] == [
        *("First.static", "First.outside", "Third.rcpt")
    ]


def test_a_method_that_is_overridden_asks_what_overrides_it() -> None:
    """With ``@on`` or without; a function named after a phase always is a rule."""
    text = """
class Base:
    @on("rcpt")
    def check(self, tx, to): ...
    def mail(self, tx, sender): ...
class Rule(Base):
    def check(self, tx, to): ...
    def data(self, tx): ...
rules = (Rule,)
"""
    assert names(text) == ["mail Rule.mail", "data Rule.data"]


def test_rules_that_are_wanted_when_an_attribute_is_true() -> None:
    text = """
@attrs.define
class Scan:
    whole: bool = False
    @property
    def streams(self): return not self.whole
    @on("body", when="streams")
    def pieces(self, tx, chunk): ...
    @on("message", when="whole")
    def all(self, tx, msg): ...
rules = [Scan, Scan(whole=True)]
"""
    assert names(text) == ["body Scan.pieces", "message Scan.all"]


# Who makes instances


def test_a_text_in_place_of_a_list_of_texts() -> None:
    text = """
@attrs.define
class Moved:
    domains: "tuple[str, ...]" = ()
    def rcpt(self, tx, to): ...

moved = Moved("old.example")
rules = [Moved, moved, moved, Moved(("old.example",))]
"""
    said = "rules: Moved(domains='old.example'): a text in place of a tuple; write ('old.example',)"
    assert problems(text) == [f"9: {said}"]
    with pytest.raises(RuleError) as caught:
        rules_of(executed(IMPORTS + text)["moved"])
    assert str(caught.value) == said


def test_classes_are_made_by_whoever_knows_their_settings() -> None:
    text = """
@attrs.define
class Rule:
    number: int
    def rcpt(self, tx, to): return self.number
ready = Rule(1)
rules = [
    Rule,
    ready,
]
"""
    asked: list[Any] = []

    def make(entry: Any, file: str, line: int) -> tuple[Any, list[Problem]]:
        asked.append((entry if isinstance(entry, type) else entry.number, file, line))
        return entry(number=5) if isinstance(entry, type) else entry, []

    found = collected(text, make=make)
    cls = type(found.objects[0])
    assert asked == [(cls, FILE, 9), (1, FILE, 10)]
    assert [rule.function(None, None) for rule in found.rules] == [5, 1]
    assert [each.number for each in found.objects] == [5, 1]
    one = cls(9)
    assert collected(text, make=lambda *_: (one, [])).objects == (one,)


def test_what_cannot_be_made_is_looked_at_all_the_same() -> None:
    text = """
@attrs.define
class Rule:
    number: int
    @on("mail", when="number")
    def check(self, tx): ...
    @staticmethod
    def rcpt(tx, to): return True
rules = [Rule]
"""
    without = (
        "rules: Rule cannot be made: Rule.__init__() missing 1 required positional argument: 'number'; "
        "give an instance: Rule(number=...)"
    )
    expected = [
        "7: check() takes 1 argument besides self; write check(self, tx, sender)",
        '9: True is no verdict of phase "rcpt"; legal here: '
        "Accept, Reject, Defer, Discard, Close, Hold, Redirect, or None to let things go on",
    ]
    assert problems(text) == [*expected, f"10: {without}"]
    found = [Problem("proxy.toml", 3, "no number")]
    assert problems(text, make=lambda *_: (None, found)) == [*expected, "3: no number"]


# Mistakes in a file


@each(
    ("text", "found"),
    [
        (
            "def recpt(tx, to): ...",
            ['2: recpt() is no phase; did you mean "rcpt"? (if it is a helper, let its name begin with _)'],
        ),
        (
            "class Rule:\n    def data(self, tx): ...\n    def rcpts(self, tx, to): ...\nrules = [Rule]",
            ['4: rcpts() is no phase; did you mean "rcpt"? (if it is a helper, let its name begin with _)'],
        ),
        (
            "class Rule:\n    def rcpts(self, tx, to): ...\n    def date(self): ...\nrules = [Rule()]",
            ['3: rcpts() is no phase; did you mean "rcpt"? (if it is a helper, let its name begin with _)'],
        ),
        (
            "class Rule:\n    @staticmethod\n    def date(tx): ...\nrules = [Rule()]",
            ['4: date() is no phase; did you mean "data"? (if it is a helper, let its name begin with _)'],
        ),
        ("def rcpt(tx): ...", ["2: rcpt() takes 1 argument; write rcpt(tx, to)"]),
        (
            "class Rule:\n    @staticmethod\n    def rcpt(self, tx, to): ...\nrules = [Rule]",
            ["4: rcpt() takes 3 arguments; write rcpt(tx, to)"],
        ),
        ("rcpt = 5", ["2: rcpt is a phase, but here of type int; rename it, or write def rcpt(tx, to)"]),
        ("if 1: data = ''", ["0: data is a phase, but here of type str; rename it, or write def data(tx)"]),
        ("class data: ...", ["2: data is a class; a phase is a function: def data(tx)"]),
        (
            "def rcpt(tx, to):\n    Reject(550)",
            ["3: Reject(550) by itself does nothing; write return Reject(550)"],
        ),
        (
            "def rcpt(tx, to):\n    verdict = Reject(450)\n    return verdict",
            ["3: Reject: the reply code is an int, 5xx, not 450; Defer is for 4xx"],
        ),
        (
            "def mail(): ...\nasync def mail(tx, sender): ...",
            [
                "3: mail() is defined twice; the one in line 2 would never be asked. "
                'Give each its own name, and write @on("mail") before it'
            ],
        ),
        (
            "@on('rcpt')\nclass Rule:\n    def rcpt(self, tx, to): ...\nrules = [Rule]",
            ["3: Rule: write @on before a function, not before a class"],
        ),
        ("@on('hepl')\nclass _Rule: ...", ["3: _Rule: write @on before a function, not before a class"]),
        (
            "class Rule:\n    def data(self, tx): ...\n    async def running(self): ...\nrules = [Rule]",
            ["4: running() must return a context manager: write @asynccontextmanager above"],
        ),
        (
            "class Rule:\n    def data(self, tx): ...\n    async def running(self): yield\nrules = [Rule]",
            ["4: running() must return a context manager: write @asynccontextmanager above"],
        ),
        (
            "class Rule:\n    domains = ()\n    def data(self, tx): self.domians\nrules = [Rule, Rule()]",
            ['4: self.domians: a Rule has no domians; did you mean "domains"?'],
        ),
        (
            "class Rule:\n    def data(self, tx): ...\nrules = Rule",
            ["4: rules must be a list; write rules = [Rule]"],
        ),
        (
            "class Rule:\n    def data(self, tx): ...\nrules = Rule()",
            ["4: rules must be a list; write rules = [Rule(...)]"],
        ),
        ("rules = 5", ["2: rules must be a list, as in: rules = [Greylist]"]),
        ("def rules(): ...", ["2: rules must be a list, as in: rules = [Greylist]"]),
        (
            "def look(): ...\ndef mails(tx): ...\nrules = [\n  look,\n  mails,\n]",
            [
                '5: rules: look() is no phase; mark it, as in @on("rcpt") def look(tx, to)',
                '6: rules: mails() is no phase; did you mean "mail"?',
            ],
        ),
        (
            "rules = ['r.py', attrs, 5, None, 'rcpt', [], functools.partial(5 .__class__)]",
            [
                "2: rules: 'r.py' is no rule (str); import the file, and give the module",
                "2: rules: 'rcpt' is no rule (str)",
                "2: rules: 5 is no rule (int)",
                "2: rules: None is no rule (NoneType)",
                "2: rules: [] is no rule (list)",
                "2: rules: attrs is no rule (module)",
                '2: rules: int() is no phase; mark it, as in @on("rcpt") def int(tx, to)',
            ],
        ),
        (
            "class Rule:\n    rcpt = 5\nrules = [Rule, Rule(), object()]",
            [
                "4: rules: Rule has no phase; name a method after one: def rcpt(self, tx, to)",
                "4: rules: object has no phase; name a method after one: def rcpt(self, tx, to)",
            ],
        ),
    ],
)  # fmt: skip
def test_mistakes(text: str, found: list[str]) -> None:
    assert problems(text) == found


def test_running_gives_a_context_manager() -> None:
    text = """
class Rule:
    @asynccontextmanager
    async def running(self): yield
    def mail(self, tx, sender): ...
rules = [Rule]
"""
    assert names(text) == ["mail Rule.mail"]


@each(
    ("text", "forgotten"),
    [
        ("class Rule:\n    def rcpt(self, tx, to): ...", True),
        ("class Rule:\n    @on('rcpt')\n    def check(self, tx, to): ...\ndef rcpt(tx, to): ...", True),
        ("class Rule:\n    def rcpt(self, tx, to): ...\ndef rcpt(tx, to): ...", False),
        ("class Rule:\n    def rcpt(self): ...", False),
        ("class Rule:\n    def helper(self, tx, to): ...", False),
        ("class Rule:\n    @on('rcpt')\n    def check(self, tx, to): ...\nrules = [Rule]", False),
        ("class Rule:\n    @on('rcpt')\n    def check(self, tx, to): ...\nrules = [Rule()]", False),
        (
            "class Rule:\n    @on('rcpt')\n    def check(self, tx, to): ...\nclass B(Rule): ...\nrules = [B]",
            False,
        ),
    ],
)
def test_a_class_that_is_in_no_list(text: str, forgotten: bool) -> None:
    expected = "2: Rule has rules, but is in no list; write rules = [Rule]"
    assert problems(text) == [expected] * forgotten


def test_methods_from_elsewhere_may_have_any_name() -> None:
    other: dict[str, Any] = {"__name__": "other"}
    exec("class Base:\n    def rcpts(self, tx, to): ...", other)
    namespace = executed("class Rule:\n    def rcpt(self, tx, to): ...")
    rule = type("Rule", (namespace["Rule"], other["Base"]), {"__module__": "my_rules"})
    assert collect({"rules": [rule], "__name__": "my_rules"}, file=FILE).problems == ()


def test_classes_that_refuse_to_be_asked_do_no_harm() -> None:
    text = """
import typing
class Table(typing.TypedDict): ...
class Shape(typing.Protocol):
    def other(self): ...
class Rule:
    def rcpt(self, tx, to): ...
rules = [Rule, Rule()]
"""
    assert names(text) == ["rcpt Rule.rcpt", "rcpt Rule.rcpt"]


def test_classes_of_others_are_not_forgotten() -> None:
    namespace = executed(IMPORTS + "class Rule:\n    @on('rcpt')\n    def check(self, tx, to): ...")
    assert collect({**namespace, "__name__": "other"}, file="other.py").problems == ()


def test_mistakes_are_told_once_and_by_line() -> None:
    text = """
def reply(tx): return 5
def rcpt(tx, to): return 5
@on("rcpt")
@on("mail")
def check(tx): ...
"""
    found = problems(text)
    assert [text.partition(":")[0] for text in found] == ["3", "3", "4", "7", "7"]
    assert len(set(found)) == len(found)


def test_without_the_text_there_are_fewer_mistakes_and_no_exact_lines() -> None:
    text = "@on('rcpt')\ndef check(tx): return 5\ndata = 5\nrules = [5]"
    found = [
        "0: data is a phase, but here of type int; rename it, or write def data(tx)",
        "0: rules: 5 is no rule (int)",
        "2: check() takes 1 argument; write check(tx, to)",
    ]
    assert problems(text, source=False) == found


def test_the_text_is_that_of_the_file_only() -> None:
    """A class from elsewhere begins in a line that is another function's here."""
    other: dict[str, Any] = {"__name__": "other", "on": on}
    exec(
        compile(
            "\nclass Rule:\n    def rcpt(self, tx, to): return 5\n    def mail(self): ...", "other.py", "exec"
        ),
        other,
    )
    text = IMPORTS + "\ndef rcpt(tx, to): return 5\n"
    found = collect({**executed(text), "rules": [other["Rule"]]}, file=FILE, source=text)
    assert [str(problem).partition(" ")[0] for problem in found.problems] == [f"{FILE}:3:", "other.py:4:"]


def test_a_file_may_be_called_by_another_name() -> None:
    """As ``ready:staging``, which is long for a path."""
    text = "def rcpt(tx, to): ..."
    namespace = {**executed(text), "__file__": FILE}
    (rule,) = collect(namespace, file="ready:staging", source=text).rules
    assert (rule.where, rule.name) == ("ready:staging:1", "ready:staging.rcpt")


# Without files


def rcpt(tx: Any, to: Any) -> Reject | None: ...


class Checks:
    @on("mail")
    def check(self, tx: Any, sender: Any) -> None: ...


def test_rules_of_anything() -> None:
    module = ModuleType("some.module")
    exec("def data(tx): ...", vars(module))
    checks = Checks()
    found = rules_of(module, rcpt, Checks, [checks, checks.check], (rcpt,))
    assert [f"{rule.phase} {rule.name}" for rule in found.rules] == [
        *("data module.data", "rcpt test_loading.rcpt", "mail Checks.check", "mail Checks.check"),
        *("mail test_loading.check", "rcpt test_loading.rcpt"),
    ]
    assert found.rules[1].where == f"{__file__}:{rcpt.__code__.co_firstlineno}"
    assert getattr(found.rules[3].function, "__self__", None) is checks
    assert rules_of().rules == ()
    assert isinstance(rules_of(), RuleSet)


def test_all_that_is_wrong_with_anything() -> None:
    module = ModuleType("module")
    module.__file__ = "/somewhere/module.py"
    exec(compile("def data(): ...\ndef rcpt(): ...", module.__file__, "exec"), vars(module))
    with pytest.raises(RuleError) as caught:
        rules_of(module, 5, rcpt)
    assert str(caught.value).splitlines() == [
        "/somewhere/module.py:1: data() takes 0 arguments; write data(tx)",
        "/somewhere/module.py:2: rcpt() takes 0 arguments; write rcpt(tx, to)",
        "rules: 5 is no rule (int)",
    ]


@each("phase", PHASES)
def test_each_phase_by_name_and_by_mark(phase: str) -> None:
    parameters = ", ".join(PHASES[phase].parameters)
    text = f"""
def {phase}({parameters}): ...
@on("{phase}")
def check({parameters}): ...
class Rule:
    async def {phase}(self, {parameters}): ...
rules = [Rule]
"""
    assert names(text) == [f"{phase} my_rules.{phase}", f"{phase} my_rules.check", f"{phase} Rule.{phase}"]


def test_a_callable_object_in_the_list_is_named_after_its_class() -> None:
    class Called:
        def __call__(self, tx: Any) -> None: ...

    called = on("data")(Called())
    (rule,) = rules_of(called).rules
    assert (rule.phase, rule.function, rule.name) == ("data", called, "test_loading.__call__")
    assert Mark(phase="data") == Mark(phase="data", match=None)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("guards = True", []),
        ("guards = False", []),
        ("guards = ['wall']", []),
        ("guards = 'yes'", ["rules: Wall.guards is True or False, not 'yes'"]),
        ("guards = 1", ["rules: Wall.guards is True or False, not 1"]),
        ("guard = True", ['rules: Wall.guard = True means nothing; did you mean "guards"?']),
        ("guard = 'a person'", []),
    ],
)
def test_a_class_may_say_that_it_guards(line: str, texts: list[str]) -> None:
    found = collected(f"class Wall:\n    {line}\n    def rcpt(self, tx, to): ...\nrules = [Wall]")
    assert [problem.text for problem in found.problems] == texts
    if not texts:
        assert [rule.guards for rule in found.rules] == [line == "guards = True"]


def test_a_class_that_cannot_be_made_and_has_no_signature() -> None:
    class Odd:
        __signature__ = "none"

        def __init__(self) -> None:
            raise OSError("no list")

        def rcpt(self, tx: object, to: object) -> None: ...

    class Empty(Odd):
        __signature__ = inspect.Signature()

    for cls in (Odd, Empty):
        with pytest.raises(RuleError, match=rf"^rules: {cls.__name__} cannot be made: no list$"):
            rules_of(cls)
