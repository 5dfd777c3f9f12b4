"""``@on`` and ``@threaded``."""

from __future__ import annotations

import functools
from typing import Any

import attrs
import pytest
from each import each

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules.decorators import Mark, Options, is_threaded, marks_of, on, threaded
from sansio_smtp.rules.phases import PHASES


def test_a_mark_leaves_the_function_as_it_is() -> None:
    def check(tx: Any, to: Any) -> None: ...

    assert on("rcpt")(check) is check
    assert marks_of(check) == (Mark(phase="rcpt"),)
    assert not is_threaded(check)
    assert threaded(check) is check
    assert is_threaded(check)
    assert marks_of(check) == (Mark(phase="rcpt"),)


def test_marks_add_up_from_below() -> None:
    @on("rcpt", match="*@example.com", timeout=2.0, on_error="accept", when="active")
    @on("mail")
    def check(tx: Any, path: Any) -> None: ...

    assert marks_of(check) == (
        Mark(phase="mail"),
        Mark(phase="rcpt", match="*@example.com", timeout=2.0, on_error="accept", when="active"),
    )


@each("phase", PHASES)
def test_each_phase_can_be_marked(phase: Any) -> None:
    def rule(*arguments: Any) -> None: ...

    mark: Any = on(phase)
    assert marks_of(mark(rule)) == (Mark(phase=phase),)


def test_a_mark_is_seen_through_methods() -> None:
    class Rule:
        @on("data")
        @threaded
        def check(self, tx: Any) -> None: ...

    assert marks_of(Rule().check) == marks_of(Rule.check) == (Mark(phase="data"),)
    assert is_threaded(Rule().check)
    partial = on("mail")(functools.partial(Rule.check))
    assert marks_of(partial) == (Mark(phase="mail"),)


def test_what_was_never_marked() -> None:
    for thing in (print, None, 5, object()):
        assert marks_of(thing) == ()
        assert not is_threaded(thing)


def test_a_phase_is_needed() -> None:
    wrong: Any = on
    with pytest.raises(LocalProtocolError, match=r'^@on needs a phase: @on\("rcpt"\)$'):
        wrong(lambda tx, to: None)


def test_threaded_is_written_without_parentheses() -> None:
    wrong: Any = threaded
    with pytest.raises(LocalProtocolError, match="without parentheses"):
        wrong(5)


def test_options_of_other_names_are_refused() -> None:
    wrong: Any = on
    with pytest.raises(TypeError, match="mach"):
        wrong("rcpt", mach="*")(print)


def test_options_and_marks_are_the_same() -> None:
    assert {"phase", *Options.__annotations__} == set(attrs.fields_dict(Mark))
