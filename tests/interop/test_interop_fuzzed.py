"""What clients say in fuzzing goes through a proxy to a real Postfix: what is delivered is what was said.

The inputs are the seeds of the target ``delivery``, or those that a search has kept, in the
directory ``FUZZ_CORPUS``. Postfix takes more than CRLF . CRLF for the end of a message here, as it did before
3.9.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs
import pytest
from interop_postfix import SENDER, Mailbox, Postfix

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from fuzz.checks import check, replies_of  # noqa: E402
from fuzz.delivery import DELIVERY, deliver, is_simple, messages_in  # noqa: E402
from fuzz.tape import Record, Tape  # noqa: E402
from sansio_smtp.testing import whole  # noqa: E402

pytestmark = pytest.mark.interop

MOST = int(os.environ.get("FUZZ_MOST", "60"))


class Connection:
    """One connection to Postfix."""

    def __init__(self, port: int) -> None:
        self.over = False
        self._socket = socket.create_connection(("127.0.0.1", port), 20)

    def receive(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.over = True

    def take(self, *, owed: bool) -> bytes:
        try:
            said = self._socket.recv(1 << 16) if owed and not self.over else b""
        except ConnectionError:
            said = b""
        self.over |= owed and not said
        return said

    def leave(self) -> None:
        self._socket.close()


def inputs() -> Iterator[bytes]:
    where = os.environ.get("FUZZ_CORPUS")
    if where is None:
        seeds = list(DELIVERY.seeds())
        yield from seeds[-13:]  # those with false ends of data
        yield from Random(1).sample(seeds, MOST)
    else:
        files = sorted(Path(where).iterdir())
        for file in Random(1).sample(files, min(MOST, len(files))):
            yield file.read_bytes()


def for_postfix(tape: Tape, to: str) -> Tape:
    """With addresses that Postfix takes, whatever they were."""

    def said(text: bytes) -> bytes:
        text = re.sub(rb"(?i)(MAIL FROM:)<[^>\r\n]*>", rb"\1<" + SENDER.encode() + b">", text)
        return re.sub(rb"(?i)(RCPT TO:)<[^>\r\n]*>", rb"\1<" + to.encode() + b">", text)

    records = tuple(Record(record.letter, said(record.text)) for record in tape.records)
    return attrs.evolve(tape, records=records, settings=attrs.evolve(tape.settings, client=None))


def test_postfix_delivers_what_was_said(postfix: Postfix, mailbox: Mailbox) -> None:
    played, told = 0, 0
    taken: list[bytes] = []
    for data in inputs():
        tape = Tape.read(data)
        if not is_simple(tape):
            continue
        world = deliver(for_postfix(tape, mailbox.address), whole, connect=lambda: Connection(postfix.port))
        check(world)
        played += 1
        for octets, said in zip(world.to_servers, world.from_servers, strict=True):
            replies = list(replies_of(bytes(said)))[1:]
            messages = messages_in(bytes(octets), [code for code, _ in replies])
            finals = [reply for code, reply in replies if b"queued as" in reply or code == 552]
            taken += [each for each, reply in zip(messages, finals, strict=False) if b"queued as" in reply]
        told += sum(b"queued as" in reply for _, reply in replies_of(bytes(world.to_client)))
    delivered = mailbox.messages()
    print(f"{played} dialogues, {len(taken)} messages taken, {told} told, {len(delivered)} delivered")
    assert played > 20
    assert told == len(taken) == len(delivered) > 10
    # Postfix adds an empty line before a text without header fields, and breaks long lines.
    assert sorted(map(without_blanks, taken)) == sorted(without_blanks(each.content) for each in delivered)


def without_blanks(text: bytes) -> bytes:
    return b"".join(text.replace(b"\0", b"").split())
