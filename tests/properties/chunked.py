"""Strategies for dialogues with messages in chunks (BDAT, RFC 3030), and what must hold of their replies."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from sansio_smtp import BareNewline, Chunking, Config, Nul
from sansio_smtp.testing.dialogue import stuffed
from sansio_smtp.testing.strategies import contents

from .dialogues import Dialogue
from .harness import World
from .peers import Style, Unit
from .promises import Account, number_of
from .receivers import canonical, fits
from .scripts import tells_dialogue

__all__ = ["assert_replies", "chunked", "chunks"]

_BETWEEN = st.sampled_from(
    [
        Unit(b"RSET\r\n", group=True),
        Unit(b"NOOP\r\n"),
        Unit(b"EHLO again\r\n"),
        Unit(b"HELO again\r\n"),
        Unit(b"MAIL FROM:<c@x>\r\n", group=True),
        Unit(b"RCPT TO:<d@x>\r\n", group=True),
        Unit(b"DATA\r\n", content=b"x\r\n.\r\n"),
        Unit(b"BDAT 0\r\n", group=True),
        Unit(b"BDAT 0 LAST\r\n", group=True),
        Unit(b"bdat  06  last\r\nRSET\r\n", group=True),
        Unit(b"STARTTLS\r\n"),
        Unit(b"VRFY x\r\n"),
    ]
)
_LONG = b"z" * 1500
_BODIES = st.sampled_from([b"", b"", b" BODY=8BITMIME", b" BODY=BINARYMIME"])


def chunks(message: bytes, cuts: list[int], *, unended: bool = False) -> list[Unit]:
    """A message cut at these places. ``unended``: its last chunk does not say so."""
    places = sorted({0, len(message), *(cut for cut in cuts if cut < len(message))})
    pieces = [message[start:end] for start, end in pairwise(places)] or [b""]
    sizes = [b"%d" % len(piece) for piece in pieces]
    if not unended:
        sizes[-1] += b" LAST"
    return [
        Unit(b"BDAT " + size + b"\r\n" + piece, group=True) for size, piece in zip(sizes, pieces, strict=True)
    ]


@st.composite
def _mails(draw: st.DrawFn, number: int, clean: bool) -> list[Unit]:
    mail = b"MAIL FROM:<a%d@x>" % number + draw(_BODIES) + b"\r\n"
    units = [Unit(mail, group=True)]
    recipients = draw(st.sampled_from([1, 1, 2] if clean else [1, 1, 2, 0]))
    units += [Unit(b"RCPT TO:<b%d@x>\r\n" % index, group=True) for index in range(recipients)]
    message = draw(contents(hostile=not clean)).replace(_LONG, b"z" * 30)  # which may be many chunks
    if draw(st.integers(0, 5)) == 5 and b"BINARY" not in mail:
        return [*units, Unit(b"DATA\r\n", content=stuffed(message))]
    cuts = draw(st.lists(st.integers(0, max(len(message), 1)), max_size=5))
    return [*units, *chunks(message, cuts, unended=not clean and draw(st.integers(0, 7)) == 7)]


@st.composite
def chunked(
    draw: st.DrawFn, *, clean: bool = False, styles: tuple[Style, ...] = tuple(Style), stays: bool = False
) -> Dialogue:
    """``clean``: no bare CR or LF and no NUL, and nothing but messages. ``stays``: no server is lost."""
    units = [Unit(b"EHLO c\r\n")]
    for number in range(draw(st.integers(1, 3))):
        units += draw(_mails(number, clean))
    if not clean:
        for place in draw(st.lists(st.integers(1, len(units)), max_size=3)):
            units.insert(place, draw(_BETWEEN))
    units.append(Unit(b"QUIT\r\n"))
    usual = [*(0,) * 20, 6, 7, 8]
    choices = draw(
        st.one_of(
            st.just([]), st.lists(st.sampled_from([*usual, *(() if stays else (9, 10, 11))]), max_size=12)
        )
    )
    config = Config(
        chunking=draw(st.sampled_from([Chunking.SERVER, Chunking.SERVER, Chunking.ALWAYS])),
        max_chunk=draw(st.sampled_from([1, 3, 7, 1000, 65_536])),
        bare_newline=draw(
            st.sampled_from([BareNewline.NORMALIZE, BareNewline.NORMALIZE, BareNewline.REJECT])
        ),
        nul=draw(st.sampled_from([Nul.PASS, Nul.PASS, Nul.REFUSE])),
        max_message_size=draw(st.sampled_from([None, None, None, 20])),
        reconnect=draw(st.booleans()),
    )
    return Dialogue(
        units,
        draw(st.sampled_from(styles)),
        list(choices),
        draw(st.booleans()),
        config=config,
        chunking=draw(st.sampled_from([True, True, True, False])),
    )


@tells_dialogue
def assert_replies(world: World) -> None:
    """P3, P4 and P8, without rules: a reply of the server answers what it was given for, the server has got
    that whole and as it was said, and 2xx to a message is never the proxy's own."""
    account = Account.of(world)
    numbers = [number for reply in account.replies if (number := number_of(reply)) is not None]
    assert numbers == sorted(set(numbers))
    for item, reply in zip(account.items, account.replies, strict=False):
        number = number_of(reply)
        if number is None:
            own = reply[:1] in (b"4", b"5") or item.kind == "chunk" or item.data[:4].upper() == b"QUIT"
            assert own or reply.startswith(b"354"), f"{reply!r} to {item}, and nobody has said it"
            continue
        arrived = world.arrived_as(number)
        if item.kind == "message" and reply.startswith(b"2"):
            assert arrived.kind == "message"
            assert fits(arrived, item)
        elif item.in_chunks:
            assert arrived.in_chunks or arrived.kind == "message" or arrived.data == b"DATA"
        elif item.kind != "message" and not reply.startswith(b"421"):  # which may answer an RSET of the proxy
            assert (arrived.kind, arrived.data) == (item.kind, canonical(item.data))
