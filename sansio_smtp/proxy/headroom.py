"""Room for what rules add to a message (`Config.headroom`). A client learns the largest size from EHLO, and a
server learns the size of a message from MAIL, both before a rule has edited the message. So the client is
offered less than the server takes, and the size for the server is larger than the client's::

    server: SIZE 1000 ──> client: SIZE 900      client: MAIL … SIZE=500 ──> server: MAIL … SIZE=600

An edit that adds no more than the headroom makes neither value wrong.
"""

from __future__ import annotations

import re
from typing import Final

from sansio_smtp.wire.commands import Command

__all__ = ["with_headroom"]

_SIZE: Final = re.compile(rb"(?<=[ \t]SIZE=)[0-9]{1,20}(?=[ \t]|$)", re.IGNORECASE)


def with_headroom(command: Command, headroom: int) -> Command:
    """MAIL with a larger SIZE; the same object if it declares none. Only a parameter is changed, not similar
    text in a quoted path."""
    if not command.declared_size:
        return command
    path, bracket, parameters = command.raw.rpartition(b">")
    larger = _SIZE.sub(lambda found: b"%d" % (int(found[0]) + headroom), parameters, count=1)
    return Command.parse(path + bracket + larger)
