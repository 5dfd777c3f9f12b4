"""Profiles, chosen with HYPOTHESIS_PROFILE; the option ``--io``; how to run a case alone that has failed.

``quick``, the default, draws few examples, the same each time; ``ci``, which .ci/run sets, draws twice as
many. ``deep`` draws many, other ones each time. Of a generated test it runs the full product of the
parameters, where the others run the cases that `pairs` chooses.
"""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings
from io_modes import MODES, io_mode, say_io_mode

# Where Python is told to keep no compiled modules, each process that the tests start would compile all
# sources anew. In a directory of its own (PYTHONPYCACHEPREFIX) all that is installed would be compiled again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests read the lines of logs as people do, also those of the programs that they start.
os.environ.setdefault("SMTP_PROXY_LOG_FORMAT", "text")

# Their assertions are written out when they fail, as those in the modules of tests are.
pytest.register_assert_rewrite("driver_dialogues", "drivers", "rule_dialogues", "properties", "reader")

# Drawing a whole dialogue is slow on a busy machine; that says nothing about the code under test.
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

for _name, _examples in (("quick", 16), ("ci", 32)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=_SLOW,
    )
settings.register_profile(
    "deep", max_examples=1_500, deadline=None, derandomize=False, print_blob=True, suppress_health_check=_SLOW
)
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(_PROFILE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--io", choices=MODES, default=MODES[0], help="how the drivers under test read sockets (%(default)s)"
    )


def pytest_configure(config: pytest.Config) -> None:
    say_io_mode(config.getoption("--io"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: some tests wait for a second to pass, and leave theirs idle."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are objects that stay: the garbage collector would look at all of them again and
    again, while they are made and in each test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A case of a parametrized test that fails says how to run it alone."""
    report = yield
    if report.failed and hasattr(item, "callspec"):
        profile = "" if _PROFILE == "quick" else f"HYPOTHESIS_PROFILE={_PROFILE} "
        mode = "" if io_mode() == MODES[0] else f"--io {io_mode()} "
        command = f"{profile}.venv/bin/python -m pytest -q {mode}{shlex.quote(item.nodeid)}"
        report.sections.append(("To run this case alone", command))
    return report
