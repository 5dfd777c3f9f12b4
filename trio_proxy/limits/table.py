"""All limits of the service: name, setting, reply, log line and test of each. The table in the documentation
is generated from this one. Code that enforces a limit uses its `Limit`: the reply, the text of the log line,
and the label for counting (`Hits`).
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_smtp import Reply
from sansio_smtp.proxy import own_replies
from sansio_smtp.wire.violations import server_violation

__all__ = [
    "COMMAND_RATE",
    "CONNECTIONS",
    "CONNECTION_RATE",
    "HELD_TOTAL",
    "LIMITS",
    "LIMIT_OF",
    "MESSAGE_RATE",
    "NETWORK_CONNECTIONS",
    "SLOW_CONTENT",
    "Limit",
]


@attrs.frozen(eq=False)
class Limit:
    """One limit. Each exists once, and is compared by identity, not by its values."""

    label: str
    """The value of the label ``limit`` in the metric and in the log line."""
    about: str
    """The limited quantity, for the documentation."""
    setting: str
    """The name of the setting, and of the field of `sansio_smtp.Config` if the core counts."""
    log: str
    """The text of the log line."""
    test: str
    """A test or dialogue script that hits the limit: its path below ``tests``."""
    hears: Reply | None
    """The reply to the client, with N for a number; None if there is no reply."""

    @property
    def reply(self) -> Reply:
        """The reply of a limit that refuses a client or ends its session."""
        assert self.hears is not None  # only limits with a reply are used here
        return self.hears


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
    "messages of one network, accepted or refused",
    "message_rate",
    "too many messages of one network",
    "trio/driver/test_conduct.py",
    Reply.of(421, "too many messages from your network, try again later", enhanced="4.7.0"),
)
COMMAND_RATE: Final = Limit(
    "command-rate",
    "commands of one network",
    "command_rate",
    "too many commands of one network",
    "trio/driver/test_conduct.py",
    Reply.of(421, "too many commands from your network, try again later", enhanced="4.7.0"),
)

SLOW_CONTENT: Final = Limit(
    "slow-content",
    "the least speed of a message",
    "min_rate",
    "a client sends its message too slowly, closing",
    "trio/driver/test_conduct.py",
    Reply.of(421, "your message comes too slowly, closing", enhanced="4.4.2"),
)
HELD_TOTAL: Final = Limit(
    "held-total",
    "total memory of messages that are kept whole",
    "max_held_total",
    "no memory for another message that is kept whole",
    "core/proxy/test_message_flow_kept.py",
    own_replies.NO_ROOM,
)

_OF_DIALOGUES: Final = (
    Limit(
        "errors",
        "lines that the proxy itself refuses",
        "max_errors",
        "too many errors of a client, closing",
        "dialogues/w14_too_many_errors.txt",
        own_replies.TOO_MANY_ERRORS,
    ),
    Limit(
        "soft-errors",
        "replies 4xx and 5xx since the last message that was accepted",
        "soft_errors",
        "many errors of a client, which is read slower from now on",
        "trio/driver/test_conduct.py",
        None,
    ),
    Limit(
        "refusals",
        "replies 4xx and 5xx since the last message that was accepted",
        "max_refusals",
        "too many refusals for a client, closing",
        "dialogues/limit_refusals.txt",
        own_replies.TOO_MANY_ERRORS,
    ),
    Limit(
        "junk",
        "commands without mail: NOOP, RSET, VRFY, EXPN, HELP, unknown commands",
        "max_junk",
        "too many commands without a message, closing",
        "dialogues/limit_junk.txt",
        own_replies.TOO_MUCH_JUNK,
    ),
    Limit(
        "early-talkers",
        "clients that speak before the greeting",
        "early_talkers",
        "a client spoke before the greeting",
        "dialogues/limit_early_talker.txt",
        own_replies.EARLY,
    ),
    Limit(
        "recipients",
        "accepted recipients of a message",
        "max_recipients",
        "too many recipients",
        "dialogues/limits_rcptmax_of_the_proxy.txt",
        own_replies.TOO_MANY_RECIPIENTS,
    ),
    Limit(
        "message-size",
        "a message, decoded",
        "max_message_size",
        "message too large",
        "core/proxy/test_command_flow_limits.py",
        Reply.of(552, "message is larger than N octets", enhanced="5.3.4"),
    ),
    Limit(
        "line",
        "a command or AUTH line",
        "max_line",
        "line too long, closing",
        "core/proxy/test_command_flow_limits.py",
        Reply.of(500, "line too long; closing", enhanced="5.5.6"),
    ),
    Limit(
        "header-section",
        "a header section that rules see",
        "max_header_section",
        "header section too large",
        "core/proxy/test_message_flow_kept.py",
        Reply.of(552, "header section is larger than N octets", enhanced="5.3.4"),
    ),
    Limit(
        "held",
        "a message that is kept whole in memory, without a spool",
        "max_held",
        "message too large to be kept whole",
        "core/proxy/test_message_flow_kept.py",
        Reply.of(552, "message is larger than N octets, which is all that is held", enhanced="5.3.4"),
    ),
    Limit(
        "reply",
        "a reply of the server, all its lines together",
        "max_reply",
        "reply of the server too long, closing",
        "dialogues/w09_endless_reply.txt",
        server_violation("", b"").reply_hint,
    ),
)
"""The limits of one session, which the core counts."""

LIMITS: Final = (
    *(CONNECTIONS, NETWORK_CONNECTIONS, CONNECTION_RATE, MESSAGE_RATE, COMMAND_RATE),
    *(SLOW_CONTENT, HELD_TOTAL, *_OF_DIALOGUES),
)
"""All limits, in the order of the documentation."""
LIMIT_OF: Final = {limit.setting: limit for limit in LIMITS}
"""Name of the setting → its limit."""
