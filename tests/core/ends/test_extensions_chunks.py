"""CHUNKING and BINARYMIME (RFC 3030) in the EHLO reply for a client."""

from __future__ import annotations

from each import each

from sansio_smtp.config import Chunking
from sansio_smtp.ends.extensions import Offer
from sansio_smtp.wire.replies import Reply

BOTH = ("CHUNKING", "BINARYMIME")


@each(
    ("chunking", "given", "offered"),
    [
        (Chunking.SERVER, (), ()),
        (Chunking.SERVER, ("CHUNKING",), ("CHUNKING",)),
        (Chunking.SERVER, ("chunking",), ("chunking",)),
        (Chunking.SERVER, BOTH, BOTH),
        (Chunking.SERVER, ("BINARYMIME",), ()),
        (Chunking.ALWAYS, (), ("CHUNKING",)),
        (Chunking.ALWAYS, ("CHUNKING",), ("CHUNKING",)),
        (Chunking.ALWAYS, BOTH, BOTH),
        (Chunking.ALWAYS, ("BINARYMIME",), ("CHUNKING",)),
        (Chunking.NEVER, BOTH, ()),
    ],
)
def test_what_is_offered(chunking: Chunking, given: tuple[str, ...], offered: tuple[str, ...]) -> None:
    """BINARYMIME is of no use without CHUNKING, and is a promise that only the server can keep."""
    lines = Offer(chunking=chunking).reply(Reply.of(250, "mx", *given)).lines[1:]
    assert sorted(lines) == sorted([b"PIPELINING", *(keyword.encode() for keyword in offered)])
