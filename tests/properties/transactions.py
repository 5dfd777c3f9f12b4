"""The mail transaction in checks of a dialogue: servers hear commands in a legal order, and a message goes
where the client was told that it goes.

`View` is how things stand by what the client was told, by a server or by a verdict. What a server was sent is
compared with that. The number in a server's reply (`promises.number_of`) tells which line of the client it
answers; what answers no line of the client, the proxy has said of its own accord.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from .harness import World
from .peers import SimServer
from .promises import Account, number_of
from .receivers import Item, canonical
from .scripts import tells_dialogue
from .verdicts import ADDED

__all__ = ["assert_envelopes_as_told", "assert_legal_order", "assert_said_again"]

_MESSAGE: Final = Item("message", b"", 0)
_HELLO: Final = (b"EHLO", b"HELO")
_OTHER_ROUTE: Final = b"send this recipient in a transaction of its own"
_ADDED: Final = [command.raw for command in ADDED]


@attrs.frozen
class Line:
    """An accepted line: as the client said it, and the number of the server's reply; None if a verdict
    accepted it."""

    data: bytes
    number: int | None

    def as_sent(self, world: World) -> bytes:
        """As the server has got it; a verdict may have replaced it."""
        return self.data if self.number is None else world.arrived_as(self.number).data


@attrs.frozen
class View:
    """How a session stands by what the client was told."""

    hello: Line | None = None
    mail: Line | None = None
    recipients: tuple[Line, ...] = ()
    nested: bool = False
    """True if MAIL was refused in the open transaction: where the transaction stands since is left open."""

    @property
    def at_servers(self) -> list[int]:
        """The recipients that servers accepted."""
        return [line.number for line in self.recipients if line.number is not None]

    def after(self, item: Item, reply: bytes) -> View:
        """How it stands after one more line and its reply."""
        verb, accepted = _verb(item), reply.startswith(b"2")
        line = Line(canonical(item.data), number_of(reply))
        # A verdict that refuses DATA ends the transaction; a server that does so may keep it.
        dropped = verb == b"DATA" and reply[:1] in b"45" and line.number is None
        if item.kind == "message" or dropped or (verb == b"RSET" and accepted):
            return View(self.hello)
        if verb in _HELLO and accepted:
            return View(line)
        if verb == b"MAIL" and accepted:
            return View(self.hello, line)
        if verb == b"MAIL":
            return attrs.evolve(self, nested=self.mail is not None)
        if verb == b"RCPT" and accepted:
            return attrs.evolve(self, recipients=(*self.recipients, line))
        return self


@attrs.frozen
class Told:
    """What the client said and was told, and how it stood before each line."""

    items: list[Item]
    replies: list[bytes]
    views: list[View]
    """One more than there are replies: the last is how it stands at the end."""
    index: dict[int, int]
    """The number of a server's reply → the place of the item that it answers."""

    @classmethod
    def of(cls, world: World) -> Told:
        account = Account.of(world)
        views = [View()]
        index: dict[int, int] = {}
        for at, (item, reply) in enumerate(zip(account.items, account.replies, strict=False)):
            views.append(views[-1].after(item, reply))
            if (number := number_of(reply)) is not None:
                index[number] = at
        return cls(account.items, account.replies, views, index)

    def at(self, world: World, number: int) -> View:
        """How it stood when that came to a server which it answered with this number."""
        return self.views[min(world.told_at[number] - 1, len(self.views) - 1)]

    def before(self, world: World, number: int, item: Item) -> View | None:
        """How it stood before the client's line that a server answered with this number. None if that is no
        line of the client."""
        if number in self.index:
            return self.views[self.index[number]]
        for place in range(world.told_at[number] - 1, len(self.items)):
            # It may have got no reply yet, or another one by a verdict on the reply.
            answered = place < len(self.replies) and number_of(self.replies[place]) is not None
            if not answered and _is_alike(item, self.items[place]):
                return self.views[min(place, len(self.replies))]
        return None


@tells_dialogue
def assert_legal_order(world: World) -> None:
    """A server says 503 for what comes out of order only if the client has said it out of order, by what it
    was told; or if the client went by a verdict that no server knows of. A recipient is refused for its route
    only if another one went before."""
    told = Told.of(world)
    for server, index, item in _items(world):
        number, verb = server.first + index, _verb(item)
        if number not in server.misplaced or item.data in _ADDED:
            continue
        view = told.before(world, number, item)
        if verb == b"MAIL":
            greeted = any(_verb(before) in _HELLO for before in server.receiver.items[:index])
            assert greeted or told.at(world, number).hello is None, "MAIL comes before EHLO"
            if greeted and _holds(server, index) and not _refused_to_reset(server, index):
                assert view is not None, "MAIL is said again in a transaction that the server holds"
                assert view.mail is not None, (
                    "the server holds a transaction that the client was told is over"
                )
        elif view is None or view.nested:
            continue
        elif verb == b"RCPT":
            elsewhere = view.mail is not None and view.mail.number is not None
            assert not elsewhere, "RCPT comes without the MAIL that was accepted"
        elif verb == b"DATA":
            assert not view.at_servers, "DATA comes without the RCPT that was accepted"
    for view, reply in zip(told.views, told.replies, strict=False):
        if _OTHER_ROUTE in reply:
            assert view.at_servers or view.nested, "a recipient is refused for its route, and is the first"


@tells_dialogue
def assert_said_again(world: World) -> None:
    """What the proxy tells a server of its own accord was accepted, as the client was told, and stands."""
    told = Told.of(world)
    for server, index, item in _items(world):
        number, verb = server.first + index, _verb(item)
        if number in told.index or verb not in (b"MAIL", *_HELLO):
            continue
        view = told.at(world, number)
        line = view.mail if verb == b"MAIL" else view.hello
        stands = line is not None and item.data == line.as_sent(world)
        said = told.before(world, number, item) is not None
        assert said or stands, f"{verb.decode()} is said again that does not stand any more"


@tells_dialogue
def assert_envelopes_as_told(world: World) -> None:
    """Each message that a server accepts has the reverse-path that the client was told was accepted, and
    exactly the recipients of this transaction that servers accepted, besides those that verdicts add."""
    told = Told.of(world)
    for server in world.servers:
        mail: Item | None = None
        recipients: list[int] = []
        for index, (item, code) in enumerate(zip(server.receiver.items, server.codes, strict=True)):
            verb, number = _verb(item), server.first + index
            if item.kind == "message" and code < 300:
                _assert_envelope(world, told, number, mail, recipients)
            if _ends_transaction(item, code):
                mail, recipients = None, []
            elif verb == b"MAIL" and code < 300:
                mail = item
            elif verb == b"RCPT" and code < 300 and item.data not in _ADDED:
                recipients.append(number)


def _assert_envelope(world: World, told: Told, number: int, mail: Item | None, recipients: list[int]) -> None:
    view = told.before(world, number, _MESSAGE)
    assert view is not None, "a message that the client has not sent"
    if mail is not None:
        assert view.mail is not None, "a message of a transaction that the client was told is over"
        assert mail.data == view.mail.as_sent(world), "a message with another reverse-path"
    assert set(recipients) <= set(view.at_servers), "a message to a recipient that the client was not told of"
    assert recipients == view.at_servers, "a message without a recipient that the client was told of"


def _items(world: World) -> Iterator[tuple[SimServer, int, Item]]:
    for server in world.servers:
        for index, item in enumerate(server.receiver.items):
            yield server, index, item


def _holds(server: SimServer, index: int) -> bool:
    """Returns True if the server held a transaction when the item came."""
    holds = False
    for item, code in zip(server.receiver.items[:index], server.codes, strict=False):
        if _ends_transaction(item, code):
            holds = False
        elif _verb(item) == b"MAIL" and code < 300:
            holds = True
    return holds


def _refused_to_reset(server: SimServer, index: int) -> bool:
    """Returns True if the server refused RSET before. That ends the session, but MAIL may be on its way."""
    earlier = zip(server.receiver.items[:index], server.codes, strict=False)
    return any(_verb(item) == b"RSET" and code >= 400 for item, code in earlier)


def _ends_transaction(item: Item, code: int) -> bool:
    return item.kind == "message" or (_verb(item) in (b"RSET", *_HELLO) and code < 300)


def _is_alike(one: Item, other: Item) -> bool:
    return one.kind == other.kind and _verb(one) == _verb(other)


def _verb(item: Item) -> bytes:
    return item.data[:4].upper() if item.kind == "command" else b""
