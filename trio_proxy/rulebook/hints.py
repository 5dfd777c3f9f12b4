"""Says what to write in a rule in place of what has raised an error that Python explains in its own words."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["hint_for"]

_HINTS: Final[tuple[tuple[str, str], ...]] = (
    (
        r"no running event loop",
        "rules run under Trio: use trio in place of asyncio, or @threaded",
    ),
    (
        r"property 'address' of '(Recipient|Sender)' object has no setter",
        'an address is changed by rewrite("new@example.com")',
    ),
    (
        r"'(Message|Headers)' object does not support item assignment",
        'a header field is changed by headers.set("Subject", "new"); of a message by msg.headers.set(...)',
    ),
    (
        r"'(Message|Headers)' object is not subscriptable",
        'a header field is read by headers.get("Subject"); of a message by msg.headers.get(...)',
    ),
    (
        r"a bytes-like object is required, not 'str'|can't concat str to bytes|can't concat str to bytearray|"
        r"(starts|ends)with first arg must be bytes|"
        r"argument should be integer or bytes-like object, not 'str'|"
        r"cannot use a string pattern on a bytes-like object",
        'the body and its lines are octets (bytes); write b"text" in place of "text"',
    ),
    (r"argument of type 'Recipient' is not", "the address as a text is to.address"),
    (r"argument of type 'Sender' is not", "the address as a text is sender.address"),
    (
        r"'NoneType' object has no attribute",
        "something that may be missing is None here; ask first, as in: if x is not None",
    ),
)
"""What an error says → what to do."""


def hint_for(error: BaseException) -> str:
    """One sentence without its end; empty if nothing is known of such an error."""
    # Not str(error): a class of the rule's own may raise there.
    said = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    return next((hint for pattern, hint in _HINTS if re.search(pattern, said)), "")
