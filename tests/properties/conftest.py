"""What leaves of a spooled message leaves in pieces that are small here, so that there are many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sansio_smtp.proxy import message_store


@pytest.fixture(scope="package", autouse=True)
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(message_store, "_PIECE", 5)
        yield
