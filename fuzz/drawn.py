"""Target: the generated tests of tests/properties, with their examples made of a fuzzer's octets.

Their peers are simulated and correct, so each dialogue can be checked for all promises. The first octet
chooses the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from random import Random
from typing import Final

from .target import Target

__all__ = ["DRAWN"]

_MODULES: Final = (
    "test_p01_rechunking",
    "test_p02_p03_replies",
    "test_p04_transparency",
    "test_p05_no_smuggling",
    "test_p06_patience",
    "test_p07_p08_messages",
    "test_p10_bound",
    "test_p11_liveness",
    "test_p12_silence",
    "test_chunks",
    "test_kept",
    "test_logins",
    "test_rules_promises",
    "test_transactions",
)


def _tests() -> Iterator[tuple[str, Callable[[bytes], object]]]:
    for module in map(import_module, (f"properties.{name}" for name in _MODULES)):
        for name in sorted(vars(module)):
            test = getattr(module, name)
            made = getattr(getattr(test, "hypothesis", None), "inner_test", None)
            if name.startswith("test_") and made is not None and not getattr(test, "pytestmark", None):
                yield name, test.hypothesis.fuzz_one_input


_TESTS: Final = tuple(_tests())


def _try(data: bytes) -> bool:
    if len(data) < 2:
        return False
    _, test = _TESTS[data[0] % len(_TESTS)]
    return test(data[1:]) is not None


def _seeds() -> Iterator[bytes]:
    """Random octets: a strategy accepts any."""
    for number in range(len(_TESTS)):
        for seed in range(4):
            yield bytes((number,)) + Random(seed).randbytes(1_000)


DRAWN: Final = Target(
    "drawn",
    "the generated tests of the promises, between honest peers",
    _try,
    _seeds,
    longest=4_096,
)
