"""The attributes of spans: names and values. The names of OpenTelemetry are used where they exist."""

from __future__ import annotations

from typing import TypeAlias

from opentelemetry.util.types import AttributeValue

from sansio_smtp import ClientInfo, Dialect
from trio_proxy.account.records import MessageRecord, RefusalRecord, SessionRecord

__all__ = ["Attributes", "of_client", "of_message", "of_refusal", "of_session"]

Attributes: TypeAlias = dict[str, AttributeValue]


def of_client(number: int, client: ClientInfo, dialect: Dialect) -> Attributes:
    """The attributes of a session, at its beginning."""
    return _known(
        {
            "network.protocol.name": dialect.value.lower(),
            "client.address": client.ip or client.address,
            "client.port": client.port or 0,
            "network.peer.address": client.proxy_ip,
            "tls.protocol.version": "" if client.tls is None else client.tls.version,
            "smtp.session.id": f"c{number}",
        }
    )


def of_session(record: SessionRecord) -> Attributes:
    """The attributes of a session without mail, or of one that ended during a message."""
    return _known({"smtp.helo": record.helo, "smtp.by": record.by, "smtp.upstream": record.upstream})


def of_message(record: MessageRecord, *, shows_addresses: bool) -> Attributes:
    """The attributes of an answered message."""
    found = _known(
        {
            "smtp.message.fate": record.fate.value,
            "smtp.by": record.by,
            "smtp.reply.code": record.code,
            "smtp.command": record.command,
            "smtp.message.id": record.message_id,
            "smtp.message.size": record.received or 0,
            "smtp.message.sent_size": record.size or 0,
            "smtp.message.queue_id": record.queue_id,
            "smtp.message.held_as": record.held_as,
            "smtp.message.recipients": len(record.recipients),
            "smtp.upstream": record.upstream,
            "smtp.upstream.tls": record.upstream_tls,
        }
    )
    if shows_addresses:
        found["smtp.message.from"] = record.sender or "<>"
        found["smtp.message.to"] = [each.address for each in record.recipients]
    return found


def of_refusal(record: RefusalRecord, *, shows_addresses: bool) -> Attributes:
    """The attributes of a refused MAIL or RCPT."""
    found = _known({"smtp.by": record.by, "smtp.reply.code": record.code, "smtp.upstream": record.upstream})
    address = record.sender if record.recipient is None else record.recipient
    if shows_addresses:
        found["smtp.refused.address"] = address or "<>"
    return found


def _known(values: Attributes) -> Attributes:
    return {name: value for name, value in values.items() if value != "" and value != 0}
