"""Coverage-guided fuzzing, with the promises of docs/explanation/design.md as oracles: see README.md.

The targets share the simulated peers, receivers and twins with the tests, so the directory of the tests is
put on the path here.
"""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = str(Path(__file__).resolve().parents[1] / "tests")
if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)
