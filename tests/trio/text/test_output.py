"""Writing for people in a program that has its own standard output; log lines that cannot be shown."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from trio_proxy.text import logs, output

# Standard output that is not ours


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "full")


def test_text_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.write("a")
    output.write_line("b")
    output.write_error_line("c")
    assert capsys.readouterr() == ("ab\n", "c\n")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_what_the_encoding_lacks_is_escaped(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline="\n"))
    output.write_line("π é \udc80 end")
    assert raw.getvalue() == "π é \udc80 end\n".encode(encoding, "backslashreplace")
    sys.stdout.detach()  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", [None, Full()])
def test_one_that_is_not_there_or_fails(file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setattr(sys, "stderr", file)
    output.write_line("x")
    output.write_error_line("x")
    output.hurry()
    output.finish()


def test_one_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    file.close()
    monkeypatch.setattr(sys, "stdout", file)
    output.write("x")
    output.finish()


# The log


@pytest.fixture
def verbose() -> Iterator[Any]:
    before = structlog.get_config()
    logs.configure(2)
    yield structlog.get_logger("smtp_proxy")
    structlog.configure(**before)


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError("no")

    __str__ = __repr__


class Worse(Unshowable):
    """It works at the second look only."""

    looks = 0

    def __repr__(self) -> str:
        Worse.looks += 1
        if Worse.looks % 3:
            return "fine"
        raise RuntimeError("no")

    __str__ = __repr__


def test_a_line(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    verbose.debug("hello", a=1, text="two words")
    said = capsys.readouterr().err
    assert said.endswith("[debug    ] hello a=1 text='two words'\n")
    assert said.count("\n") == 1


def test_a_value_that_cannot_be_shown_costs_itself_only(
    verbose: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    verbose.bind(conn="c1", bound=Unshowable()).error("hello", a=Unshowable(), b=2)
    said = capsys.readouterr().err
    assert "hello" in said
    assert "a='<a Unshowable that cannot be shown: ValueError>'" in said
    assert "b=2" in said


def test_a_line_that_fails_twice(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    verbose.error("hello", a=Worse())
    verbose.error(Unshowable())
    assert capsys.readouterr().err.count("\n") == 2


def test_an_error_of_the_rest_of_the_chain_is_said(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> Any:
        raise LookupError("in a processor")

    structlog.get_config()["processors"].insert(0, fail)
    verbose.error("hello", a=1)
    assert capsys.readouterr().err == "hello [the rest cannot be logged: LookupError]\n"


def test_a_traceback_whose_exception_cannot_be_shown(
    verbose: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    try:
        raise Odd
    except Odd as error:
        verbose.error("failed", exc_info=error)
    said = capsys.readouterr().err
    assert "failed" in said
    assert "Traceback" in said
    assert "Odd" in said


@pytest.mark.parametrize(("verbosity", "count"), [(-1, 1), (0, 2), (1, 3), (2, 4)])
def test_levels(verbosity: int, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    logs.configure(verbosity)
    log = structlog.get_logger()
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("x")
    structlog.configure(**before)
    assert capsys.readouterr().err.count("\n") == count


def test_the_log_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    before = structlog.get_config()
    monkeypatch.setattr(sys, "stderr", None)
    logs.configure(0)
    structlog.get_logger().error("x")
    structlog.configure(**before)
