"""All limits of the service: name, setting, what the peer hears, log line and test of each.

The documentation's table is made of this one. What enforces a limit takes its `Limit` from here: the reply,
the text of the log line, and the label under which it is counted (`Hits`).
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_smtp import Reply

__all__ = [
    "COMMAND_RATE",
    "CONNECTIONS",
    "CONNECTION_RATE",
    "LIMITS",
    "MESSAGE_RATE",
    "NETWORK_CONNECTIONS",
    "Limit",
]


@attrs.frozen(eq=False)
class Limit:
    """One limit. Each exists once, and is told from others by what it is, not by its values."""

    label: str
    """The value of the label ``limit`` of the metric, and of the log line."""
    about: str
    """What is limited, for the documentation."""
    setting: str
    """The name of the setting, or of the field of `sansio_smtp.Config` where there is no setting."""
    log: str
    """The text of the log line."""
    test: str
    """A test, or a script of a dialogue, that hits it: its path below ``tests``."""
    reply: Reply
    """What the peer hears."""


CONNECTIONS: Final = Limit(
    "connections",
    "connections at the same time",
    "max_connections",
    "too many connections",
    "trio/driver/test_server.py",
    Reply.of(421, "too many connections, try again later", enhanced="4.3.2"),
)
NETWORK_CONNECTIONS: Final = Limit(
    "network-connections",
    "connections of one network at the same time",
    "max_network_connections",
    "too many connections of one network",
    "trio/limits/test_limits_hit.py",
    Reply.of(421, "too many connections from your network, try again later", enhanced="4.7.0"),
)
CONNECTION_RATE: Final = Limit(
    "connection-rate",
    "new connections of one network",
    "connection_rate",
    "too many new connections of one network",
    "trio/limits/test_limits_hit.py",
    Reply.of(421, "too many new connections from your network, try again later", enhanced="4.7.0"),
)
MESSAGE_RATE: Final = Limit(
    "message-rate",
    "messages of one network, answered in whatever way",
    "message_rate",
    "too many messages of one network",
    "trio/limits/test_limits_hit.py",
    Reply.of(421, "too many messages from your network, try again later", enhanced="4.7.0"),
)
COMMAND_RATE: Final = Limit(
    "command-rate",
    "commands of one network",
    "command_rate",
    "too many commands of one network",
    "trio/limits/test_limits_hit.py",
    Reply.of(421, "too many commands from your network, try again later", enhanced="4.7.0"),
)

LIMITS: Final = (CONNECTIONS, NETWORK_CONNECTIONS, CONNECTION_RATE, MESSAGE_RATE, COMMAND_RATE)
"""In the order of the documentation."""
