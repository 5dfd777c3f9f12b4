"""Gives pytest the fixture ``smtp_proxy``, which starts a proxy with rules and an upstream server.

    def test_old_domain(smtp_proxy):
        proxy = smtp_proxy("my_rules.py")
        with smtplib.SMTP(proxy.host, proxy.port) as client:
            ...
        assert proxy.messages[0].rcpt_to == ("bob@example.com",)

This module is loaded in every run of pytest, so it imports nothing else before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pluggy import Result

    from .testing import StartProxy
    from .testing.starting import Starter

__all__ = ["pytest_runtest_makereport", "smtp_proxy"]

_MISSING: Final = "the fixture smtp_proxy needs more than the library: pip install 'sansio-smtp[proxy]'"
_STARTER: Final[pytest.StashKey[Starter]] = pytest.StashKey()


@pytest.fixture
def smtp_proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[StartProxy]:
    """Starts proxies: ``smtp_proxy(rules, **options)`` gives a `trio_proxy.testing.RunningProxy`, made with
    these and started. A rule file is looked for in the folder of the test first, then where pytest was
    started, in pytest's root directory, and in the folders of its option ``pythonpath``. After the test the
    proxy is stopped; an error in it is an error of the test. The report of a test that fails shows what was
    said."""
    try:
        from .testing import starting
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("trio_proxy", "sansio_smtp"):
            raise
        raise pytest.fail.Exception(_MISSING, pytrace=False) from None
    with ExitStack() as stack:
        starter = starting.Starter(stack, tmp_path, [request.path.parent, *_folders(request.config)])
        request.node.stash[_STARTER] = starter
        yield starter


def _folders(config: pytest.Config) -> list[Path]:
    """Where rule files are that are not beside the test."""
    try:
        python_path = config.getini("pythonpath")
    except ValueError:  # the plugin that reads it is switched off
        python_path = []
    return [Path.cwd(), config.rootpath, *python_path]


@pytest.hookimpl(hookwrapper=True)  # wrapper=True would fail in every run of a pytest before 8
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Result[pytest.TestReport]]:
    """Adds what clients and servers have said to the report of a test that fails."""
    report = (yield).get_result()
    starter = item.stash.get(_STARTER, None)
    if starter is not None and report.failed:
        report.sections += starter.transcripts()
