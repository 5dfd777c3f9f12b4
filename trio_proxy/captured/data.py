"""Captured mail for programs: objects for JSON."""

from __future__ import annotations

from typing import Any

from .contents import Contents
from .mailbox import Summary

__all__ = ["message_data", "summary_data"]


def summary_data(summary: Summary) -> dict[str, Any]:
    """A message as it stands in the list."""
    return {
        "number": summary.stored.number,
        "file": str(summary.stored.path),
        "received": summary.received.isoformat(timespec="seconds"),
        "from": summary.sender,
        "to": list(summary.recipients),
        "subject": summary.subject,
        "size": summary.size,
    }


def message_data(summary: Summary, contents: Contents) -> dict[str, Any]:
    """One message, with all that is known of its envelope."""
    return {
        **summary_data(summary),
        "envelope": dict(summary.envelope),
        "fields": [{"name": name, "value": value} for name, value in contents.fields],
        "text": contents.text,
        "html": contents.html,
        "attachments": [
            {"name": each.name, "type": each.type, "size": each.size} for each in contents.attachments
        ],
    }
