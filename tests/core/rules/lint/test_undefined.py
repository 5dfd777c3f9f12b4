"""Names that a rule file uses in its functions and never defines are found when it is loaded."""

from __future__ import annotations

from textwrap import dedent
from types import CodeType
from typing import Any

from each import each

from sansio_smtp.rules.lint import undefined
from sansio_smtp.rules.lint.undefined import undefined_names

KNOWN = ("Reject", "Accept")


def found(source: str, **more: Any) -> list[tuple[int, str]]:
    text = dedent(source)
    namespace: dict[str, Any] = {}
    exec(compile(text, "rules", "exec", dont_inherit=True), namespace)
    return sorted(undefined_names(text, namespace | more, KNOWN))


@each(
    ("source", "expected"),
    [
        ("def f():\n    return Rejekt()", [(2, 'Rejekt is not defined; did you mean "Reject"?')]),
        (
            "def f():\n    return Reject()",
            [(2, "Reject is not defined; write from sansio_smtp.rules import Reject")],
        ),
        ("def f():\n    return lenn(())", [(2, 'lenn is not defined; did you mean "len"?')]),
        ("def helper(): ...\ndef f():\n    helpr()", [(3, 'helpr is not defined; did you mean "helper"?')]),
        ("def f():\n    qqqq()", [(2, "qqqq is not defined")]),
        ("f = lambda: qqqq", [(1, "qqqq is not defined")]),
        ("async def f():\n    await qqqq", [(2, "qqqq is not defined")]),
        ("class A:\n    def f(self):\n        qqqq", [(3, "qqqq is not defined")]),
        ("def f():\n    return [qqqq for _ in ()]", [(2, "qqqq is not defined")]),
        ("def f():\n    def g():\n        qqqq", [(3, "qqqq is not defined")]),
        (
            "def f():\n    class A:\n        x = 1\n        y = x\n        z = qqqq",
            [(5, "qqqq is not defined")],
        ),
        ("class A:\n    x = 1\n    def f(self):\n        return x", [(4, "x is not defined")]),
        ("def f():\n    qqqq\ndef g():\n    zzzz", [(2, "qqqq is not defined"), (4, "zzzz is not defined")]),
        (
            "def f():\n    try:\n        qqqq\n    except Exception:\n        ...",
            [(3, "qqqq is not defined")],
        ),
    ],
)
def test_names_that_nothing_defines(source: str, expected: list[tuple[int, str]]) -> None:
    assert found(source) == expected


@each(
    "source",
    [
        "def f():\n    return len([x for x in range(3)]), __name__, __file__",
        "x = 1\ndef f():\n    return x",
        "def f(x):\n    def g():\n        return x\n    return g",
        "def f():\n    return x\nif 0 == 1:\n    x = 1",
        "def f():\n    return x\nif not f:\n    import x",
        "def f():\n    return x\ntry:\n    import no_such_module as x\nexcept ImportError:\n    pass",
        "def f():\n    return x\nx = 1\ndel x",
        "def f():\n    global x\n    x = 1\ndef g():\n    return x",
        "globals()['x'] = 1\ndef f():\n    return x, y",
        "exec('x = 1')\ndef f():\n    return x",
        "def f():\n    exec('x = 1', globals())\n    return x",
        "import sys\ndef f():\n    vars(sys.modules[__name__])['x'] = 1\n    return x",
        "from math import *\ndef f():\n    return sqrt(2)",
        "try:\n    from no_such_module import *\nexcept ImportError:\n    pass\ndef f():\n    return x",
        "def f():\n    try:\n        return unicode\n    except NameError:\n        return str",
        "def f():\n    try:\n        return unicode\n    except:\n        return str",
        "def f(conn):\n    reveal_type(conn)",
        "import typing\ndef f():\n    if typing.TYPE_CHECKING:\n        print(x)",
        "from __future__ import annotations\ndef f(x: Nothing) -> Nowhere:\n    y: Never = 1",
        "class A:\n    x = 1\n    y = x\n    def f(self):\n        return __class__",
    ],
)
def test_names_that_something_may_define(source: str) -> None:
    assert found(source, __file__="rules.py") == []


def test_annotations_that_are_functions_are_left_out() -> None:
    """As Python 3.14 makes them: they run only if something asks for them."""
    outer = compile("def f():\n    def __annotate__():\n        qqqq", "rules", "exec")
    functions: list[CodeType] = list(undefined._functions(outer))  # pyright: ignore[reportPrivateUsage]
    assert [each.co_name for each in functions] == ["f"]
