"""What a type checker says of rules. In lines that are marked as wrong it finds an error, in no others.

`tests/test_rule_types.py` has it checked, together with each verdict in each phase.
"""

from __future__ import annotations

import attrs
import trio
import trio.lowlevel

from sansio_smtp.rules import (
    BodyVerdict,
    Connection,
    Defer,
    Discard,
    MessageVerdict,
    RcptVerdict,
    Recipient,
    Redirect,
    Reject,
    ReplyVerdict,
    Sender,
    ServerReply,
    Transaction,
    on,
    threaded,
)
from sansio_smtp.rules.headers import Headers
from sansio_smtp.rules.message import Message
from sansio_smtp.rules.views import ClientCommand

# Functions named after their phase, which their annotation binds to its verdicts


def rcpt(tx: Transaction, to: Recipient) -> RcptVerdict:
    if to.domain == "old.example":
        return Reject(550, "5.1.1 That domain has moved")
    if to.domain == "lists.example":
        return Redirect("lists.internal:25")
    return None


async def message(tx: Transaction, msg: Message) -> MessageVerdict:
    await trio.lowlevel.checkpoint()
    msg.headers.add("X-Scanned-By", "smtp-proxy")
    if tx.size > 1000:
        return Redirect("elsewhere:25")  # wrong
    return Defer(text="4.7.0 later")


def reply(tx: Transaction, command: ClientCommand, answer: ServerReply) -> ReplyVerdict:
    return Discard()  # wrong


def body_line(tx: Transaction, line: bytes) -> BodyVerdict:
    return line.decode()  # wrong


def headers(tx: Transaction, headers: Headers) -> None:
    headers.set("Subject", 5)  # wrong


# Marks


@on("rcpt", match="*@example.com", timeout=2.0, on_error="accept")
@on("mail")
def several(tx: Transaction, path: Recipient | Sender) -> Reject | None:
    return Reject() if not path.domain else None


@on("recpt")  # wrong
def misspelt(tx: Transaction, to: Recipient) -> None:
    pass


@on("rcpt", mach="*")  # wrong
def misspelt_option(tx: Transaction, to: Recipient) -> None:
    pass


@on("rcpt", on_error="acept")  # wrong
def misspelt_value(tx: Transaction, to: Recipient) -> None:
    pass


@on("rcpt", timeout="2s")  # wrong
def no_number(tx: Transaction, to: Recipient) -> None:
    pass


@on("reply")  # wrong
@on("mail")
def in_one_phase_but_not_the_other(*arguments: object) -> Reject:
    return Reject()


@on("data")
@threaded
def blocks(tx: Transaction) -> Discard | None:
    return Discard()


@on("data")  # wrong
@threaded
def blocks_and_is_wrong(tx: Transaction) -> bool:
    return True


# Classes


@attrs.define
class Counted:
    """What is remembered of a connection."""

    refused: int = 0


@attrs.define
class Greylist:
    delay: float = 300.0

    @on("rcpt", match="*@example.com")
    async def check(self, tx: Transaction, to: Recipient) -> Defer | None:
        tx.conn.data.get(Counted).refused += 1
        return Defer() if self.delay else None

    @on("reply")  # wrong
    async def wrong(self, tx: Transaction, command: ClientCommand, answer: ServerReply) -> Defer | None:
        return None

    def disconnect(self, conn: Connection) -> None:
        conn.data.get(Counted).refusd += 1  # wrong
        conn.data["key"] = conn.ip


rules = [Greylist]

# Verdicts


def made_wrongly() -> None:
    print(Reject("5.7.1 no"))  # wrong
    print(Reject(550, b"no"))  # wrong
    print(Defer(cod=450))  # wrong
    print(Redirect())  # wrong
    print(Reject(550, "5.7.1 no"))
