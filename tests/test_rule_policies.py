"""Rules that fail, or return verdicts that their phase does not accept. Mistakes that the source shows are
found at load. For others the client gets 451 with an incident, or the result of ``on_error``, and the
connection continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs
import pytest
from pairs import cases, slow_where
from rule_dialogues import KINDS, WAYS, Way, rule, run
from test_rule_matrix import OCTETS, VERDICTS, Case, Speaker, check

from sansio_smtp import Reply
from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.rules import Defer, Reject
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.loading import collect
from sansio_smtp.rules.phases import PHASES

PLACES: Final = {"rcpt": "bob", "reply": "MAIL", "command": "RCPT"}
"""The place in a phase at which the rule fails."""
POLICIES: Final[tuple[OnError, ...]] = ("defer", "reject", "accept")
SOME_WAYS: Final = (WAYS[0], WAYS[-1])

WRITTEN: Final = {
    "Accept": "Accept()",
    "Reject": 'Reject(550, "5.7.1 no")',
    "Defer": "Defer()",
    "Discard": "Discard()",
    "Hold": 'Hold("why")',
    "Close": "Close()",
    "Redirect": 'Redirect("other:25")',
    "bytes": 'b"octets"',
}
SHAPES: Final = {
    "function": "def {phase}({parameters}):\n    return {said}\n",
    "async": "async def {phase}({parameters}):\n    return {said}\n",
    "branch": "def {phase}({parameters}):\n    if {last}:\n        return None\n    return {said}\n",
    "method": (
        "class Rules:\n    def {phase}(self, {parameters}):\n        return {said}\n\nrules = [Rules]\n"
    ),
    "marked": '@on("{phase}")\ndef anything({parameters}):\n    return {said}\n',
}


def legal(phase: str) -> set[str]:
    info = PHASES[phase]
    return {kind.__name__ for kind in info.verdicts} | ({"bytes"} if info.octets else set())


def source(phase: str, said: str, shape: str) -> str:
    parameters = PHASES[phase].parameters
    body = SHAPES[shape].format(
        phase=phase, parameters=", ".join(parameters), last=parameters[-1], said=WRITTEN[said]
    )
    return f"from sansio_smtp.rules import *\n\n{body}"


@pytest.mark.parametrize(("phase", "said", "shape"), cases(list(PHASES), list(WRITTEN), list(SHAPES)))
def test_at_load(phase: str, said: str, shape: str) -> None:
    """Each verdict that is not allowed is a problem with its line; each allowed one is not."""
    text = source(phase, said, shape)
    namespace: dict[str, Any] = {"__name__": "my_rules"}
    exec(compile(text, "my_rules.py", "exec"), namespace)
    problems = collect(namespace, file="my_rules.py", source=text).problems
    if said in legal(phase):
        assert problems == ()
    else:
        (problem,) = problems
        assert problem.file == "my_rules.py"
        wrong = next(number for number, line in enumerate(text.splitlines(), 1) if WRITTEN[said] in line)
        assert problem.line == wrong
        assert phase in problem.text
        assert said.replace("bytes", "octets") in problem.text


# While mail comes


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


NONSENSE: Final[dict[str, Any]] = {
    "True": True,
    "text": "550 no",
    "reply": Reply.of(550, "no"),
    "class": Reject,
    "unspeakable": Unspeakable(),
}


@attrs.frozen
class Wrong:
    """A value that is not a verdict of the phase."""

    phase: str
    name: str
    value: Any

    def __str__(self) -> str:
        return f"{self.phase}-{self.name}"


def wrong_values() -> Iterator[Wrong]:
    for phase in PHASES:
        for kind, verdict in VERDICTS.items():
            if kind.__name__ not in legal(phase):
                yield Wrong(phase, kind.__name__, verdict)
        if "bytes" not in legal(phase):
            yield Wrong(phase, "bytes", OCTETS)
        for name, value in NONSENSE.items():
            yield Wrong(phase, name, value)


WRONG: Final = list(wrong_values())


def comes_in_octets(wrong: Wrong, kind: str, way: Way) -> bool:
    return way.octets


@pytest.mark.parametrize(
    ("wrong", "kind", "way"), slow_where(comes_in_octets, cases(WRONG, KINDS, SOME_WAYS)), ids=str
)
def test_when_it_is_computed(wrong: Wrong, kind: str, way: Way) -> None:
    """A wrong value that the source does not show is a failure, as if the rule had raised."""
    phase, value = wrong.phase, wrong.value
    (error,) = failed(phase, lambda *arguments: value, kind, way, "defer", of_rule=False)
    assert isinstance(error, ValueError if isinstance(value, Unspeakable) else LocalProtocolError)


async def _forgotten() -> None:
    raise AssertionError("this is never run")


def _raises(error: BaseException) -> Callable[..., Any]:
    def says(*arguments: Any) -> Any:
        raise error

    return says


FAILURES: Final[dict[str, tuple[Callable[..., Any], type[BaseException]]]] = {
    "exception": (_raises(ZeroDivisionError()), ZeroDivisionError),
    "no-more": (_raises(StopIteration()), Exception),
    "assertion": (_raises(AssertionError("a rule's own")), AssertionError),
    "timeout": (_raises(TimeoutError()), TimeoutError),
    "exit": (_raises(SystemExit(1)), SystemExit),
    "coroutine": (lambda *arguments: _forgotten(), LocalProtocolError),
    "injection": (lambda *arguments: Reject(550, "no\r\n250 yes"), LocalProtocolError),
    "code": (lambda *arguments: Reject(250, "yes"), LocalProtocolError),
}


@pytest.mark.parametrize(
    ("phase", "failure", "kind", "policy", "given_by"),
    cases(list(PHASES), list(FAILURES), KINDS, POLICIES, ("session", "rule")),
)
def test_failure(phase: str, failure: str, kind: str, policy: OnError, given_by: str) -> None:
    """``on_error`` decides; that of the rule overrides that of the session."""
    says, expected = FAILURES[failure]
    of_rule = given_by == "rule"
    (error,) = failed(phase, says, kind, SOME_WAYS[of_rule], policy, of_rule=of_rule)
    assert isinstance(error, expected)


def failed(
    phase: str, says: Callable[..., Any], kind: str, way: Way, policy: OnError, *, of_rule: bool
) -> list[BaseException]:
    """A rule that fails once at each place of the matrix; returns its exceptions."""
    case = Case(phase, stands_for(phase, policy), PLACES.get(phase, ""))
    speaker = Speaker(case, says)
    other: OnError = "reject" if policy == "defer" else "defer"
    rules = [
        rule(phase, speaker, kind, on_error=policy if of_rule else None),
        rule(phase, speaker.next_rule, "sync"),
    ]
    with run(rules, way, kind, on_error=other if of_rule else policy, auth=case.auth) as ran:
        check(case, way, ran, getattr(case.verdict, "reply", None))
        assert speaker.times == 1
        assert ran.host.decisions == []
        assert speaker.heard == (case.verdict is None)
        assert [failure.rule for failure in ran.host.failures] == rules[:1]
    return [failure.error for failure in ran.host.failures]


def stands_for(phase: str, policy: OnError) -> Defer | Reject | None:
    """The verdict that a failure means, in phases with such verdicts; not for replies, which have already
    happened, and not after a disconnect."""
    if policy == "accept" or phase in ("reply", "delivered", "disconnect"):
        return None
    if policy == "reject":
        return Reject(550, "5.3.0 a rule of this proxy failed (incident 1)")
    return Defer(451, "4.3.0 a rule of this proxy failed, try again later (incident 1)")


@pytest.mark.parametrize("phase", PHASES)
def test_a_rule_that_takes_too_long(phase: str) -> None:
    """The driver raises TimeoutError."""
    case = Case(phase, None, PLACES.get(phase, ""))
    speaker = Speaker(case, lambda *arguments: None)
    with run([rule(phase, speaker, "async")], Way(), "async", auth=case.auth, late=True) as ran:
        assert ran.host.failures
        assert {type(failure.error) for failure in ran.host.failures} == {TimeoutError}
        assert ran.proxy.closed or phase == "command"  # QUIT is one, too
        assert speaker.times == 0
