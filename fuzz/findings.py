"""The findings of a search: each kind of failure once, with its octets and, for a dialogue, its script."""

from __future__ import annotations

import hashlib
import re
import traceback
from pathlib import Path

import attrs

from .target import Target

__all__ = ["Findings"]

_MOST = 20
"""The most kinds of failures: more examples are not needed."""


@attrs.define
class Findings:
    """Writes findings into a directory: ``KIND.octets`` and ``KIND.txt``. A smaller example replaces one."""

    directory: Path
    target: Target
    sizes: dict[str, int] = attrs.field(factory=dict[str, int])

    @property
    def enough(self) -> bool:
        return len(self.sizes) >= _MOST

    def add(self, error: Exception, data: bytes) -> None:
        kind = _kind(error)
        if len(data) >= self.sizes.get(kind, len(data) + 1):
            return
        self.sizes[kind] = len(data)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / f"{kind}.octets").write_bytes(data)
        (self.directory / f"{kind}.txt").write_text(told(error, data, self.target), encoding="utf-8")


def told(error: Exception, data: bytes, target: Target) -> str:
    """A description of the failure for people."""
    what = "".join(traceback.format_exception(error))
    again = "To see it again: python -m fuzz.search TARGET --try FILE.octets"
    script = (
        "" if target.tell is None else f"\n# The dialogue, up to where it goes wrong\n\n{target.tell(data)}"
    )
    return f"{what}\n{again}\n{data!r}\n{script}"


def _kind(error: Exception) -> str:
    """A key that is equal for probably equal failures: the class, the words of the text, and the place."""
    frames = traceback.extract_tb(error.__traceback__)
    place = [f"{Path(frame.filename).name}:{frame.name}" for frame in frames[-2:]]
    words = re.sub(r"(?s)[b]?['\"].*|[0-9]+|\[.*", "", str(error))[:80]
    digest = hashlib.sha256(repr((type(error).__name__, words, place)).encode()).hexdigest()[:8]
    return f"{type(error).__name__}-{frames[-1].name.strip('_<>')}-{digest}"
