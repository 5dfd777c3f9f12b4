"""No state leaks from one client to the next over a connection that is kept (`Config.keep`).

The server here tells all that it remembers in each of its replies: its client's name and login, the envelope,
errors, and what it has been told with a verb of its own. So a client whose server remembers another one gets
other octets than a client with a connection of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hypothesis import example, given
from hypothesis import strategies as st
from twins import Twins

from sansio_smtp import CLIENT, SERVER, Close, Connect, Event, Release, SendToClient, SendToServer
from sansio_smtp.config import Config, UpstreamTls

from .budget import FEW

CONFIG = Config(keep=True, auth_without_tls=True)
HELLO = (b"EHLO one", b"HELO one", b"EHLO two", b"HELO two")
LINES = (
    *HELLO,
    *(b"MAIL FROM:<a@x>", b"MAIL FROM:<a@x>", b"MAIL FROM:<refused@x>"),
    *(b"RCPT TO:<b@x>", b"RCPT TO:<b@x>", b"RCPT TO:<refused@x>"),
    *(b"DATA\r\ntext\r\n.", b"DATA\r\ntext\r\n.", b"DATA\r\nrefused\r\n."),
    *(b"RSET", b"NOOP", b"VRFY x", b"XSET 1", b"AUTH PLAIN AGFubgBz", b"AUTH PLAIN cmVmdXNlZA=="),
)


@attrs.define
class Server:
    """Remembers all, and tells it."""

    limits: bool
    """True if it announces, and counts, the transactions on a connection."""
    helo: bytes = b""
    login: bytes = b""
    told: bytes = b""
    errors: int = 0
    transactions: int = 0
    envelope: list[bytes] = attrs.field(factory=list[bytes])
    in_content: bool = False

    @property
    def is_spotless(self) -> bool:
        """True if nothing is left of a client but its name, which the next EHLO replaces."""
        return not (self.login or self.told or self.errors or self.envelope or self.in_content)

    def hears(self, data: bytes) -> bytes:
        return b"".join(map(self._line, data.split(b"\r\n")[:-1]))

    def _line(self, line: bytes) -> bytes:
        verb = line.split(b" ", 1)[0].upper()
        if self.in_content:
            if line == b".":
                self.in_content, self.envelope = False, []
                self.transactions += 1
                return self._says(250)
            return b""
        if b"refused" in line or b"cmVmdXNlZA" in line:
            return self._says(550)
        if verb in (b"EHLO", b"HELO"):
            self.helo, self.envelope = line, []
            offers = b"250-AUTH PLAIN\r\n" + b"250-LIMITS MAILMAX=9\r\n" * self.limits
            more = offers if verb == b"EHLO" else b""
            return b"250-mx\r\n" + more + self._says(250).replace(b"250 ", b"250 X-STATE ")
        if verb == b"AUTH":
            self.login = line
            return self._says(235)
        if verb in (b"MAIL", b"RCPT"):
            if (verb == b"RCPT") != bool(self.envelope):
                return self._says(503)
            self.envelope.append(line)
        elif verb == b"DATA":
            if len(self.envelope) < 2:
                return self._says(503)
            self.in_content = True
            return b"354 go\r\n"
        elif verb == b"RSET":
            self.envelope = []
        elif verb == b"XSET":
            self.told = line
        elif verb == b"QUIT":
            return b"221 bye\r\n"
        return self._says(250)

    def _says(self, code: int) -> bytes:
        self.errors += code >= 400
        counted = self.transactions if self.limits else 0
        words = (self.helo, self.login, self.told, *self.envelope, b"%d %d" % (self.errors, counted))
        return b"%d %s\r\n" % (code, b"|".join(words))


@attrs.define
class Client:
    """A client that waits for each reply, and its session."""

    server: Server
    replies: list[bytes] = attrs.field(factory=list[bytes])
    given_back: bool = False
    proxy: Twins = attrs.field(factory=lambda: Twins(CONFIG))

    def says(self, *lines: bytes, kept: bool) -> Client:
        if kept:
            self.proxy.server_connected(UpstreamTls.NONE, kept=True)
        self._take(self.proxy.receive_from(SERVER, b"220 mx\r\n"))
        for line in (*lines, b"QUIT"):
            self._take(self.proxy.receive_from(CLIENT, line + b"\r\n"))
        assert self.proxy.closed
        return self

    def _take(self, events: list[Event]) -> None:
        for event in events:
            assert not isinstance(event, Connect)
            if isinstance(event, SendToClient):
                self.replies.append(event.data)
            elif isinstance(event, SendToServer):
                if replies := self.server.hears(event.data):
                    self._take(self.proxy.receive_from(SERVER, replies))
            elif isinstance(event, Release):
                self.given_back = True
            elif isinstance(event, Close) and event.side is SERVER:
                assert not self.given_back


talks = st.lists(st.sampled_from(LINES), max_size=8)


@FEW
@given(talks, talks, st.booleans())
@example([b"EHLO one", b"MAIL FROM:<a@x>"], [b"RCPT TO:<b@x>"], False)
@example([b"EHLO one", b"AUTH PLAIN AGFubgBz"], [b"NOOP"], False)
@example([b"EHLO one", b"XSET 1"], [b"EHLO two"], False)
@example([b"EHLO one", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"DATA\r\ntext\r\n."], [b"EHLO two"], True)
def test_no_state_leaks(first: Sequence[bytes], second: Sequence[bytes], limits: bool) -> None:
    server = Server(limits)
    if not Client(server).says(*first, kept=False).given_back:
        return
    assert server.is_spotless
    found = Client(server).says(*second, kept=True).replies
    usual = Server(limits)
    assert Client(usual).says(kept=False).given_back  # a client that has said nothing at all
    assert found == Client(usual).says(*second, kept=True).replies
    if second and second[0] in HELLO:
        assert found == Client(Server(limits)).says(*second, kept=False).replies


def test_it_is_given_back_after_what_most_clients_say() -> None:
    message = (b"EHLO one", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"DATA\r\ntext\r\n.")
    server = Server(limits=False)
    for number in range(3):
        assert Client(server).says(*message, kept=number > 0).given_back
    assert server.transactions == 3
