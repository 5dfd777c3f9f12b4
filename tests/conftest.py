"""Profiles, chosen with HYPOTHESIS_PROFILE; the option ``--io``; the command to run a failed case alone; a
log that each test leaves as it was. Tests that are async run in trio.

The tests run on all cores; those of a file stay together. With ``-n 0`` they run in one process, for a
debugger or ``-s``.

``quick``, the default, draws few examples, the same each time; ``ci``, which .ci/run sets, draws twice as
many. ``deep`` draws many, different ones each time. For a generated test it runs the full product of the
parameters; the other profiles run the cases that `pairs` chooses.
"""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Generator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings
from io_modes import MODES, io_mode, say_io_mode
from pytest_trio.enable_trio_mode import pytest_collection_modifyitems, pytest_fixture_setup

__all__ = ["pytest_collection_modifyitems", "pytest_fixture_setup"]  # pytest finds them here

# If Python must not keep compiled modules, each process that the tests start compiles all sources again. With
# a separate directory (PYTHONPYCACHEPREFIX) all installed packages would be compiled again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests read the lines of logs as people do, also those of the programs that they start.
os.environ.setdefault("SMTP_PROXY_LOG_FORMAT", "text")

# Failed assertions in these modules are shown in detail, as in test modules.
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


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """As ``-n auto --dist loadfile``, where nothing else is said. It runs before pytest-xdist's own."""
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    if config.option.numprocesses is None:
        config.option.numprocesses = "auto"
    if config.option.dist == "no":
        config.option.dist = "loadfile"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than the number of cores, because some tests wait for a second and leave their core idle."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps the garbage collector from checking the thousands of test objects again and again, while they are
    made and in each test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """For a failed case of a parametrized test, reports the command to run it alone."""
    report = yield
    if report.failed and hasattr(item, "callspec"):
        profile = "" if _PROFILE == "quick" else f"HYPOTHESIS_PROFILE={_PROFILE} "
        mode = "" if io_mode() == MODES[0] else f"--io {io_mode()} "
        command = f"{profile}.venv/bin/python -m pytest -q {mode}{shlex.quote(item.nodeid)}"
        report.sections.append(("To run this case alone", command))
    return report


@pytest.fixture
def configured_anew() -> Iterator[None]:
    """For a test that configures the log: other tests find it as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def log_is_left_as_it_was() -> Iterator[None]:
    """Else another test, which looks at log lines, would fail or wait for ever."""
    before = structlog.get_config()["processors"]
    yield
    if structlog.get_config()["processors"] is not before:
        structlog.reset_defaults()
        pytest.fail("this test configures the log: it needs the fixture configured_anew")
