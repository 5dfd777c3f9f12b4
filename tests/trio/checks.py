"""What ``smtp-proxy check`` says, and rule files for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.commands import check
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

__all__ = ["Capture", "Said", "checked", "write_rules"]

Capture: TypeAlias = pytest.CaptureFixture[str]

GOOD = '''
"""Rules."""
from sansio_smtp.rules import Reject

def rcpt(tx, to):
    return Reject(550, "5.1.1 no")

def message(tx, msg):
    msg.headers.add("X-Seen", "yes")
'''
MISSPELT = "def recpt(tx, to):\n    return None\n\ndef mial(tx, sender):\n    return None\n"
GREYLIST = """
from __future__ import annotations
import attrs
from trio_proxy.settings.tables import Duration

@attrs.define
class Greylist:
    host: str
    delay: Duration = 300.0

    def rcpt(self, tx, to):
        return None

rules = [Greylist]
"""


def write_rules() -> None:
    """Files with and without mistakes, where we are."""
    Path("good.py").write_text(GOOD)
    Path("misspelt.py").write_text(MISSPELT)
    Path("greylist.py").write_text(GREYLIST)


@attrs.frozen
class Said:
    status: int
    out: list[str]
    err: list[str]


def checked(
    capsys: Capture, *problems: Problem, upstream: Address | Sequence[Destination] = (), **options: Any
) -> Said:
    servers = (Destination(upstream),) if isinstance(upstream, Address) else tuple(upstream)
    status = check.run_check(Options(**{"listen": (), "upstream": servers} | options), problems)
    captured = capsys.readouterr()
    return Said(status, captured.out.splitlines(), captured.err.splitlines())
