"""The table of limits is true: what it names exists."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

from sansio_smtp import Config
from trio_proxy.limits.table import LIMIT_OF, LIMITS
from trio_proxy.settings.options import SETTINGS

TESTS = Path(__file__).parents[2]


def test_each_limit_has_a_setting_a_label_and_a_test() -> None:
    fields = attrs.fields_dict(Config)
    assert len({limit.label for limit in LIMITS}) == len(LIMITS) == len(LIMIT_OF)
    for limit in LIMITS:
        setting = SETTINGS[limit.setting]
        if limit.setting in fields:
            assert setting.in_core, limit
        test = TESTS / limit.test
        assert test.is_file(), limit
        heard = "" if limit.hears is None else str(limit.hears)
        assert all(part in test.read_text(encoding="utf-8") for part in heard.split(" N ")), limit


def test_limits_that_the_core_tells_of_are_in_the_table() -> None:
    package = Path(sys.modules["sansio_smtp"].__file__ or "").parent
    code = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    for name in attrs.fields_dict(Config):
        told = f'hit("{name}"' in code or f'limit="{name}"' in code or f', "{name}")' in code
        assert not told or name in LIMIT_OF, name
