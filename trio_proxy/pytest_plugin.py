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
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import StartProxy

__all__ = ["smtp_proxy"]


@pytest.fixture
def smtp_proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[StartProxy]:
    """Starts proxies: ``smtp_proxy(rules, **options)`` gives a `trio_proxy.testing.RunningProxy`, made with
    these and started. A rule file is looked for in the folder of the test first, then where pytest was
    started. After the test the proxy is stopped; an error in it is an error of the test."""
    from .testing.starting import Starter

    with ExitStack() as stack:
        yield Starter(stack, tmp_path, request.path.parent)
