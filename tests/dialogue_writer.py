"""Proxies that write their dialogue as a script, which a generated test prints when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twins import Twins

from sansio_smtp import Proxy
from sansio_smtp.testing.recorded import Recording

__all__ = ["WritingProxy", "WritingTwins"]


class _Writing(Recording):
    """Before the class of a proxy among the bases of a class."""

    shows = ("answered", "client", "complete", "unusable", "violation")

    @contextmanager
    def printed_on_failure(self) -> Iterator[None]:
        """If the body raises, prints the script: pytest shows what a failing test has printed."""
        try:
            yield
        except BaseException:
            print("# what happened, up to the failure", self.dialogue, sep="\n")
            raise


class WritingProxy(_Writing, Proxy):
    """A proxy that writes its dialogue."""


class WritingTwins(_Writing, Twins):
    """Twins that write their dialogue."""
