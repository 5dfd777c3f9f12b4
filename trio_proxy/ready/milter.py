"""Asks a milter such as OpenDKIM, Rspamd or ClamAV about each message, as mail servers do."""

from __future__ import annotations

import socket
from typing import Final

import attrs
import structlog
import trio
from kilter.protocol import messages as m

from sansio_smtp.rules import Close, Defer, Discard, Hold, MessageVerdict, Reject, Transaction
from sansio_smtp.rules.headers import Headers
from sansio_smtp.rules.message import Message
from sansio_smtp.rules.views import Recipient, Sender
from trio_proxy.services.milter_client import Envelope, MilterError, Outcome, converse
from trio_proxy.services.outage import OnDown, Outage, ServiceAddress, open_stream, service_address
from trio_proxy.text.units import Duration

from ._settings import positive

__all__ = ["Milter", "rules"]
__extra__ = "milter"

log = structlog.stdlib.get_logger("smtp_proxy")

_VERDICTS: Final[dict[str, MessageVerdict]] = {
    "accept": None,
    "reject": Reject(550, "5.7.1 message refused by a filter"),
    "defer": Defer(451, "4.7.1 a filter asks to try again later"),
    "discard": Discard(),
}


@attrs.define(kw_only=True)
class Milter:
    """Refuses, changes or accepts mail as a milter says. ::

        [rules.milter]
        address = "unix:/run/opendkim/opendkim.sock"    # or "127.0.0.1:8891"
        name = "mail.example.com"  # the name of this server that the milter gets
        on_down = "defer"          # or "accept": mail while the milter is down

    The milter is asked when the whole message is there, before the server gets any of it. Each message has
    its own milter session, which also tells the connection, the sender and the recipients. So a refusal
    always means the whole message: if the milter refuses one recipient, nobody gets the message. The milter
    can change header fields and body, and add recipients. It is too late to change the sender or remove
    recipients: the proxy does not offer this, and logs a milter that asks for it.
    """

    address: ServiceAddress
    name: str = attrs.field(factory=socket.gethostname)
    timeout: Duration = attrs.field(default=20.0, validator=positive)
    """The time for one message."""
    on_down: OnDown = "defer"
    _outage: Outage = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        service_address(self.address)
        self._outage = Outage(f"milter {self.address}")

    @property
    def guards(self) -> bool:
        return self.on_down == "defer"

    async def message(self, tx: Transaction, msg: Message) -> MessageVerdict:
        fields = [(field.name.encode(), field.octets) for field in msg.headers if field.name]
        try:
            with trio.fail_after(self.timeout):
                async with await open_stream(self.address) as stream:
                    outcome = await converse(stream, _envelope(tx, self.name), fields, msg.body)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError, MilterError) as error:
            return self._outage.began(error, self.on_down)
        self._outage.ended()
        _edit(tx, msg, outcome)
        return _verdict(outcome)


def _envelope(tx: Transaction, name: str) -> Envelope:
    sender, conn = tx.mail_from, tx.conn
    macros = {"j": name, "{daemon_name}": "smtp-proxy", "i": conn.id, "{auth_authen}": conn.login}
    return Envelope(
        ip=conn.ip,
        port=conn.port or 0,
        name="localhost" if conn.peer == "unix" else conn.name,
        helo=conn.helo,
        sender=_path(sender) if sender else b"<>",
        sender_parameters=_parameters(sender) if sender else (),
        recipients=tuple((_path(to), _parameters(to)) for to in tx.rcpts),
        macros={key: value for key, value in macros.items() if value},
    )


def _path(path: Sender | Recipient) -> bytes:
    return b"<%b>" % path.address.encode("utf-8", "surrogateescape")


def _parameters(path: Sender | Recipient) -> tuple[bytes, ...]:
    pairs = ((each.keyword, each.value) for each in path.parameters)
    texts = (keyword if value is None else f"{keyword}={value}" for keyword, value in pairs)
    return tuple(text.encode("utf-8", "surrogateescape") for text in texts)


def _verdict(outcome: Outcome) -> MessageVerdict:
    held = [edit for edit in outcome.edits if isinstance(edit, m.Quarantine)]
    if held:
        return Hold(f"milter: {held[0].reason}")
    if outcome.action != "reply":
        return _VERDICTS[outcome.action]
    kind = Close if outcome.code == 421 else Defer if outcome.code < 500 else Reject
    return kind(outcome.code, outcome.text)


def _edit(tx: Transaction, msg: Message, outcome: Outcome) -> None:
    if body := [bytes(edit.content) for edit in outcome.edits if isinstance(edit, m.ReplaceBody)]:
        msg.body = b"".join(body)
    for edit in outcome.edits:
        match edit:
            case m.AddHeader() | m.InsertHeader() | m.ChangeHeader():
                _edit_field(msg.headers, edit)
            case m.AddRecipient():
                tx.add_rcpt(edit.address.strip("<>"))
            case m.AddRecipientPar():
                tx.add_rcpt(edit.address.strip("<>"), edit.args or "")
            case m.RemoveRecipient() | m.ChangeSender():
                log.warning("a milter asks for a change that is too late", conn=tx.conn.id, edit=repr(edit))
            case _:  # the body, and quarantine
                pass


def _edit_field(headers: Headers, edit: m.AddHeader | m.ChangeHeader) -> None:
    """To insert, all fields are counted, from 0. To change, the fields of this name are counted, from 1."""
    field = b"%b:%b" % (edit.name.encode(), bytes(edit.value))
    if isinstance(edit, m.AddHeader):
        headers.add_raw(field)
        return
    inserts = isinstance(edit, m.InsertHeader)
    place = edit.index if inserts else max(edit.index, 1) - 1
    names = (each.name.lower() for each in headers)
    places = [i for i, name in enumerate(names) if name == edit.name.lower() or (inserts and name)]
    fields = [each.raw for each in headers]
    if place >= len(places):
        if edit.value:
            headers.add_raw(field)
        return
    fields[places[place] : places[place] + (not inserts)] = [_checked(field)] if inserts or edit.value else []
    headers.replace_all(b"".join(fields) + (b"\r\n" if headers.has_end else b""))


def _checked(field: bytes) -> bytes:
    """The field with its last CRLF. Raises `LocalProtocolError` if it is not a field."""
    made = Headers()
    made.add_raw(field)
    return next(iter(made)).raw


rules = [Milter]
