"""One search: a target under atheris, in a separate process, because libFuzzer ends its process.

``python -m fuzz.search TARGET FINDINGS SECONDS [libFuzzer's options] [directories with inputs]``. To examine
a finding without a search: ``python -m fuzz.search TARGET --try FILE``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import atheris

_WATCHED = ["sansio_smtp", "trio_proxy"]
_NOT_WATCHED = ["sansio_smtp.testing", "sansio_smtp.rules.lint"]

with atheris.instrument_imports(include=_WATCHED, exclude=_NOT_WATCHED):
    from .targets import target

from .findings import Findings, told  # noqa: E402

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    name, where, *options = arguments
    with atheris.instrument_imports(include=_WATCHED, exclude=_NOT_WATCHED):
        chosen = target(name)
    if where == "--try":
        data = Path(options[0]).read_bytes()
        try:
            chosen.try_octets(data)
        except Exception as error:
            print(told(error, data, chosen))
            return 1
        print("nothing is wrong with it")
        return 0
    findings = Findings(Path(where), chosen)
    seconds, *options = options
    end = time.monotonic() + float(seconds)
    tried = 0

    def try_octets(data: bytes) -> int:
        nonlocal tried
        if time.monotonic() > end:
            # libFuzzer checks the time only after it has tried all given inputs once.
            if tried:
                print(f"tried: {tried}", flush=True)
                tried = 0
            return -1
        tried += 1
        try:
            return -1 if chosen.try_octets(data) is False else 0  # -1: not worth keeping
        except Exception as error:  # the search continues: the next finding may be worse
            findings.add(error, data)
            if findings.enough:
                raise
            return -1

    atheris.Setup([name, *options], try_octets)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
