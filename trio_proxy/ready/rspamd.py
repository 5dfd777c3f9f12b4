"""Asks Rspamd over HTTP about each message, and refuses, marks or defers it as Rspamd says."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

import attrs
import httpx2
import trio

from sansio_smtp.rules import Defer, Discard, Hold, MessageVerdict, Reject, Transaction
from sansio_smtp.rules.message import Message
from trio_proxy.services.outage import OnDown, Outage, folded
from trio_proxy.text.units import Duration, Size

from ._settings import positive, size_of_messages

__all__ = ["Rspamd", "rules"]
__extra__ = "http"

Table: TypeAlias = Mapping[str, Any]
"""An object of JSON."""

_LONGEST_TEXT: Final = 400
_UNFIT: Final = re.compile(rb"[^\x21-\x7e\x80-\xff]")
"""Octets that the value of an HTTP field cannot contain."""


@attrs.define(kw_only=True)
class Rspamd:
    """Handles mail as Rspamd says. ::

        [rules.rspamd]
        url = "http://127.0.0.1:11333"
        on_down = "defer"          # or "accept": mail while Rspamd is down
        max_size = "10M"           # larger messages are not looked at

    For "reject" the client gets 550 with Rspamd's text, for "soft reject" and "greylist" 451. "discard" and
    "quarantine" discard and hold the message. "add header" sets ``X-Spam: Yes``, "rewrite subject" sets the
    Subject. Header fields that Rspamd asks for (its milter_headers, its DKIM signature) are added or removed;
    a field for which it names a place goes to the top.
    """

    url: str = "http://127.0.0.1:11333"
    """The URL of the normal worker, or of the proxy worker if that does not speak milter."""
    password: str | None = attrs.field(default=None, repr=False)
    timeout: Duration = attrs.field(default=15.0, validator=positive)
    """The time for one message."""
    max_size: Size = attrs.field(default=10_000_000, validator=size_of_messages)
    on_down: OnDown = "defer"
    _client: httpx2.AsyncClient | None = attrs.field(default=None, init=False, repr=False)
    _outage: Outage = attrs.field(factory=lambda: Outage("rspamd"), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"url: http://HOST:PORT, not {self.url!r}")

    @property
    def guards(self) -> bool:
        return self.on_down == "defer"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keeps connections open for as long as the rule is in use."""
        # Without TLS the authorities of the system are not read, which takes tens of milliseconds.
        has_tls = urlsplit(self.url).scheme == "https"
        async with httpx2.AsyncClient(timeout=None, trust_env=False, verify=has_tls) as self._client:
            yield

    async def message(self, tx: Transaction, msg: Message) -> MessageVerdict:
        if msg.size > self.max_size:
            return None
        try:
            with trio.fail_after(self.timeout):
                result = await self._ask(tx, msg.raw)
        except (httpx2.HTTPError, ValueError, OSError, trio.TooSlowError) as error:
            return self._outage.began(error, self.on_down)
        self._outage.ended()
        _edit(msg, result)
        return _verdict(msg, result)

    async def _ask(self, tx: Transaction, content: bytes) -> Table:
        if self._client is None:
            raise ConnectionError("the client is not running")
        fields = [*_envelope(tx), *([(b"Password", self.password.encode())] if self.password else [])]
        answer = await self._client.post(f"{self.url.rstrip('/')}/checkv2", content=content, headers=fields)
        result = _table(answer.raise_for_status().json())
        if "action" not in result:
            raise ValueError(f"no verdict in {answer.content[:200]!r}")
        return result


def _envelope(tx: Transaction) -> Iterator[tuple[bytes, bytes]]:
    """The HTTP fields that tell Rspamd the client, the sender and the recipients."""
    texts = [
        ("From", tx.mail_from.address if tx.mail_from else ""),
        *(("Rcpt", to.address) for to in tx.rcpts),
        ("IP", tx.conn.ip),
        ("Hostname", tx.conn.name),
        ("Helo", tx.conn.helo),
        ("User", tx.conn.login or ""),
        ("Queue-Id", tx.conn.id),
    ]
    for name, text in texts:
        if value := _UNFIT.sub(b"?", text.encode("utf-8", "surrogateescape")):
            yield name.encode(), value


def _edit(msg: Message, result: Table) -> None:
    milter = _table(result.get("milter"))
    for name, number in _table(milter.get("remove_headers")).items():
        if number == 0:  # all of them; Rspamd rarely means one of several
            msg.headers.remove(name)
    for name, given in _table(milter.get("add_headers")).items():
        for each in _list(given):
            put = msg.headers.prepend_raw if "order" in _table(each) else msg.headers.add_raw
            put(_field(name, _table(each).get("value", each)))
    for signature in _list(result.get("dkim-signature")):
        msg.headers.prepend_raw(_field("DKIM-Signature", signature))


def _verdict(msg: Message, result: Table) -> MessageVerdict:
    said = _table(result.get("messages")).get("smtp_message")
    match result["action"]:
        case "reject":
            return Reject(550, _text("5.7.1", said, "message looks like spam"))
        case "soft reject" | "greylist":
            return Defer(451, _text("4.7.1", said, "try again later"))
        case "discard":
            return Discard()
        case "quarantine":
            return Hold(_text("rspamd:", said, "quarantine"))
        case "add header":
            msg.headers.set("X-Spam", "Yes")
        case "rewrite subject":
            msg.headers.set("Subject", str(result.get("subject") or msg.headers.get("Subject", "")))
        case _:  # "no action", and actions of later versions of Rspamd
            pass
    return None


def _text(code: str, said: object, default: str) -> str:
    """The words of Rspamd as the text of a reply, after an enhanced status code if they have none."""
    line = re.sub(r"[^ -~]+", " ", said).strip()[:_LONGEST_TEXT] if isinstance(said, str) else ""
    return line if re.match(rf"{code[0]}\.\d+\.\d+ ", line) else f"{code} {line or default}"


def _field(name: str, value: object) -> bytes:
    return b"%b: %b" % (name.encode(), folded(str(value).encode()))


def _table(value: object) -> Table:
    return cast(Table, value) if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    """The value if it is a list; else a list of this one value, or an empty list for None."""
    if isinstance(value, list):
        return cast(Sequence[Any], value)
    return [] if value is None else [value]


rules = [Rspamd]
