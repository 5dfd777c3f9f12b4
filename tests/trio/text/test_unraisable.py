from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import structlog

from trio_proxy.text.unraisable import unraisable_in_log


def args(error: BaseException, object: Any) -> Any:
    return SimpleNamespace(
        exc_type=type(error), exc_value=error, exc_traceback=None, err_msg=None, object=object
    )


def test_an_error_that_goes_no_further_is_one_line_of_the_log() -> None:
    before = sys.unraisablehook
    with structlog.testing.capture_logs() as logs, unraisable_in_log():
        sys.unraisablehook(args(ValueError("odd"), "a callback"))
    assert [(line["log_level"], line["where"]) for line in logs] == [("error", "'a callback'")]
    assert str(logs[0]["exc_info"]) == "odd"
    assert sys.unraisablehook is before


def test_a_name_that_is_no_text_is_told_by_its_handshake() -> None:
    error = UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal not in range(128)")
    with structlog.testing.capture_logs() as logs, unraisable_in_log():
        sys.unraisablehook(args(error, b"\xff"))
    assert logs == []
