"""Hypothesis strategies for tests of mail software: what clients and servers say, ordinary and hostile.

Most take ``hostile``: False draws what ordinary programs send, True what they do not, and None, the default,
draws both. Install Hypothesis to use them: ``pip install hypothesis``.
"""

from importlib.util import find_spec

if find_spec("hypothesis") is None:
    raise ModuleNotFoundError(
        "sansio_smtp.testing.strategies needs Hypothesis, which is not installed: pip install hypothesis",
        name="hypothesis",
    )

from .commands import commands
from .cuts import cuts
from .dialogues import dialogues
from .envelopes import envelopes, recipients, senders
from .headers import header_sections
from .hidden import FILE, SECRET
from .messages import hidden_files, hidden_secrets, messages, mime_messages
from .octets import contents
from .replies import broken_replies, replies
from .spellings import LookAlike, look_alikes, spellings

__all__ = [
    "FILE",
    "SECRET",
    "LookAlike",
    "broken_replies",
    "commands",
    "contents",
    "cuts",
    "dialogues",
    "envelopes",
    "header_sections",
    "hidden_files",
    "hidden_secrets",
    "look_alikes",
    "messages",
    "mime_messages",
    "recipients",
    "replies",
    "senders",
    "spellings",
]
