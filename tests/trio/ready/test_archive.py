"""ready:archive"""

from __future__ import annotations

import pytest
from each import each
from harness import MESSAGE, configured, mistakes, sent

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.testing import FakeServer, session
from sansio_smtp.wire.commands import Command
from sansio_smtp.wire.replies import Reply
from trio_proxy.ready.archive import Archive

ARCHIVE = "archive@example.com"


@each(
    ("rule", "sender", "recipients", "archived"),
    [
        (Archive(ARCHIVE), "a@b.example", ["c@d.example"], True),
        (Archive(ARCHIVE), "", ["c@d.example"], True),
        (Archive(ARCHIVE, senders=("*@Example.com",)), "ann@example.COM", ["c@d.example"], True),
        (Archive(ARCHIVE, senders=("*@example.com",)), "ann@other.example", ["c@example.com"], False),
        (Archive(ARCHIVE, senders=("*@example.com",)), "", ["c@example.com"], False),
        (Archive(ARCHIVE, senders=("<>",)), "", ["c@example.com"], True),
        (
            Archive(ARCHIVE, recipients=("*@example.com",)),
            "a@b.example",
            ["c@d.example", "e@EXAMPLE.com"],
            True,
        ),
        (Archive(ARCHIVE, recipients=("*@example.com",)), "a@example.com", ["c@d.example"], False),
        (Archive(ARCHIVE, ("*@x.example",), ("*@y.example",)), "a@x.example", ["b@z.example"], True),
        (Archive(ARCHIVE, ("*@x.example",), ("*@y.example",)), "a@z.example", ["b@y.example"], True),
        (Archive(ARCHIVE, ("*@x.example",), ("*@y.example",)), "a@z.example", ["b@z.example"], False),
        (Archive(ARCHIVE), "a@b.example", ["c@d.example", "ARCHIVE@example.com"], False),
        (Archive("Archive@Example.com"), "a@b.example", [ARCHIVE], False),
    ],
)
def test_matching_messages_go_to_the_archive_once(
    rule: Archive, sender: str, recipients: list[str], archived: bool
) -> None:
    s = session(rule)
    assert sent(s, MESSAGE, *recipients, sender=sender) == MESSAGE
    assert list(s.delivered[0].recipients) == recipients + [ARCHIVE] * archived


def test_the_client_does_not_hear_of_it() -> None:
    s = configured(f'[rules.archive]\naddress = "{ARCHIVE}"\nparameters = "NOTIFY=NEVER"')
    sent(s)
    assert s.servers[0][1].commands[-2:] == [b"RCPT TO:<archive@example.com> NOTIFY=NEVER", b"DATA"]
    assert not any(b"archive" in line for reply in s.replies for line in reply.lines)


def test_a_message_never_goes_without_its_copy() -> None:
    def judge(command: Command) -> Reply | None:
        return Reply.of(552, "mailbox full") if b"archive" in command.raw else None

    s = session(Archive(ARCHIVE), server=lambda: FakeServer(judge=judge))
    assert sent(s) is None
    assert s.reply is not None
    assert s.reply.code == 451


def test_what_is_no_address_is_found_at_load() -> None:
    for address in ("", "a b@c", "a@b>\r\nDATA"):
        with pytest.raises(LocalProtocolError, match="not an address"):
            Archive(address)
    assert '"a b": not an address' in mistakes('[rules.archive]\naddress = "a b"')
