"""What the host of the rules of a connection keeps of a transaction."""

from __future__ import annotations

import weakref
from typing import Any
from unittest.mock import Mock

import pytest

from sansio_smtp.rules import Discard
from sansio_smtp.rules.ruleset import Rule
from trio_proxy.rulebook.host import RuleHost, RuleSettings
from trio_proxy.rulebook.threads import RuleDown

RULE = Rule("rcpt", lambda *_: None, "it")


class Mail:
    """Stands for a `Transaction`."""

    mail_from = None
    rcpts = ()


@pytest.mark.parametrize("level", ["enabled", "disabled"])
@pytest.mark.parametrize(
    "report",
    [
        lambda host: host.decided(RULE, Discard()),
        lambda host: host.failed(RULE, ValueError()),
        lambda host: host.failed(RULE, RuleDown(2, "1f")),
    ],
)
def test_a_transaction_is_not_kept_after_its_line(report: Any, level: str) -> None:
    """Also if the line is not written: a connection may stay open for long after its last message."""
    log = Mock(is_enabled_for=lambda _: level == "enabled")
    host = RuleHost(RuleSettings(), log, None)
    mail: Any = Mail()
    kept = weakref.ref(mail)
    host.about(mail, None)
    report(host)
    del mail
    assert kept() is None
