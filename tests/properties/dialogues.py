"""Strategies for whole dialogues, drawn as operations of the two peers."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st

from sansio_smtp import BareNewline, Chunking, Config, Nul
from sansio_smtp.testing.dialogue import stuffed
from sansio_smtp.testing.strategies import contents
from sansio_smtp.testing.strategies.commands import ODD_COMMANDS

from .peers import Style, Unit

SECRET = b"c2VjcmV0LXRva2Vu"
"""What every drawn credential holds; it must not be seen anywhere but on the wire."""


@attrs.frozen
class Later:
    """What becomes of a connection to a server after the first."""

    choices: list[int] = attrs.field(factory=list[int])
    greeting: bytes | None = b""
    reachable: bool = True


@attrs.frozen
class Dialogue:
    """What both peers are going to do; everything else follows."""

    units: list[Unit]
    style: Style
    choices: list[int]
    pipelining: bool = True
    greeting: bytes = b""
    config: Config = attrs.field(factory=Config)
    later: list[Later] = attrs.field(factory=list[Later])
    """The servers after the first, in the order in which they are connected; those that follow say yes to
    everything."""
    chunking: bool = False
    """True if the servers offer CHUNKING and BINARYMIME."""

    @property
    def in_chunks(self) -> bool:
        """True if the client is offered CHUNKING."""
        chunking = self.config.chunking
        return chunking is Chunking.ALWAYS or (self.chunking and chunking is Chunking.SERVER)


_CHOICES = [*(0,) * 12, 1, 2, 3, 4, 5, 6, 7, 8]
_LATER = st.one_of(
    st.just(Later()),
    st.builds(Later, st.lists(st.sampled_from(_CHOICES), max_size=6)),
    st.builds(Later, st.lists(st.sampled_from(_CHOICES), max_size=6)),
    st.sampled_from(
        [
            Later(greeting=b"554 no\r\n"),
            Later(greeting=b"421 later\r\n"),
            Later(greeting=None),
            Later(reachable=False),
        ]
    ),
    st.sampled_from([Later([9]), Later([0, 9]), Later([0, 0, 10]), Later([11]), Later([0, 0, 12])]),
)
_ADDRESSES = st.sampled_from([b"<a@me.example>", b"<b@mx.example>", b"<>", b"c@mx.example", b"<\xc3\xa4@x>"])
_PARAMETERS = st.sampled_from([b"", b"", b" SIZE=10", b" BODY=8BITMIME", b" SMTPUTF8", b" NOTIFY=NEVER"])
_ODD_LINES = st.sampled_from(ODD_COMMANDS)
_ANYWHERE = st.sampled_from(
    [
        Unit(b"RSET\r\n", group=True),
        Unit(b"RSET\r\n"),
        Unit(b"EHLO mid\r\n"),
        Unit(b"HELO m\r\n"),
        Unit(b"NOOP\r\n"),
    ]
)
"""What may stand between any two lines: inside a transaction, a command group, or after a message."""


@st.composite
def _mails(draw: st.DrawFn, clean: bool, honest: bool) -> list[Unit]:
    units = [Unit(b"MAIL FROM:" + draw(_ADDRESSES) + draw(_PARAMETERS) + b"\r\n", group=True)]
    units += [
        Unit(b"RCPT TO:" + address + b"\r\n", group=True)
        for address in draw(st.lists(_ADDRESSES, min_size=1, max_size=3))
    ]
    decoded = draw(contents(hostile=not clean))
    wire = stuffed(decoded) if honest or draw(st.booleans()) else decoded + b"\r\n.\r\n"
    data = draw(st.sampled_from([b"DATA\r\n", b"DATA\r\n", b"DATA\r\n", b"data \r\n"]))
    return [*units, Unit(data, content=wire)]


@st.composite
def auths(draw: st.DrawFn) -> list[Unit]:
    line = draw(st.sampled_from([b"AUTH PLAIN " + SECRET, b"AUTH LOGIN", b"auth  plain  " + SECRET, b"AUTH"]))
    responses = draw(
        st.lists(
            st.sampled_from([SECRET, b"*", b"DATA", b"", b"=", b"QUIT " + SECRET]), min_size=1, max_size=2
        )
    )
    return [Unit(line + b"\r\n", responses=tuple(response + b"\r\n" for response in responses))]


@st.composite
def _odd(draw: st.DrawFn) -> list[Unit]:
    if draw(st.integers(0, 5)) == 5:
        # Refused BDAT: its octets come with it, and are commands to a server that does not count.
        octets = draw(st.sampled_from([b"abc", b"MAIL FROM:<evil@x>\r\n", b"QUIT\r\n.\r\n"]))
        return [Unit(b"BDAT %d LAST\r\n" % len(octets) + octets, group=draw(st.booleans()))]
    end = b"\n" if draw(st.integers(0, 9)) == 9 else b"\r\n"
    line = draw(_ODD_LINES)
    verb = line[:4].upper()
    blocks = verb in (b"DATA", b"EHLO", b"HELO")
    return [Unit(line + end, not blocks and draw(st.booleans()), b".\r\n" if verb == b"DATA" else None)]


@st.composite
def dialogues(
    draw: st.DrawFn,
    *,
    clean: bool = False,
    styles: tuple[Style, ...] = tuple(Style),
    plain_server: bool = False,
) -> Dialogue:
    """``clean``: nothing that the proxy may refuse or normalise. ``plain_server``: no 421, no odd
    greeting, one server."""
    style = draw(st.sampled_from(styles))
    parts = [_mails(clean, style is not Style.EAGER)] * 4 + [auths()] + ([] if clean else [_odd()])
    units = [Unit(draw(st.sampled_from([b"EHLO c.example\r\n", b"EHLO c.example\r\n", b"HELO c\r\n"])))]
    units += [unit for part in draw(st.lists(st.one_of(*parts), min_size=1, max_size=4)) for unit in part]
    for place in draw(st.lists(st.integers(1, len(units)), max_size=2)):
        units.insert(place, draw(_ANYWHERE))
    if draw(st.booleans()):
        units.append(Unit(b"QUIT\r\n"))
    choices = draw(st.one_of(st.just(()), st.lists(st.sampled_from(_CHOICES), max_size=16)))
    choices = list(choices)  # an obliging server half of the time, or most dialogues never get to DATA
    greeting = b""
    if not plain_server and draw(st.integers(0, 9)) == 9:
        greeting = draw(st.sampled_from([b"554 no\r\n", b"220-a\r\n220 b\r\n", b"421 later\r\n"]))
    if not plain_server and choices and draw(st.integers(0, 5)) == 5:
        choices[-1] = draw(st.sampled_from([9, 10, 11, 12]))
    config = draw(st.just(Config()) if clean or draw(st.booleans()) else configs())
    later = [] if plain_server else draw(st.lists(_LATER, max_size=3))
    return Dialogue(units, style, choices, draw(st.booleans()), greeting, config, later)


def configs() -> st.SearchStrategy[Config]:
    return st.builds(
        Config,
        bare_newline=st.sampled_from([BareNewline.NORMALIZE, BareNewline.NORMALIZE, BareNewline.REJECT]),
        nul=st.sampled_from([Nul.PASS, Nul.PASS, Nul.REFUSE]),
        trace=st.booleans(),
        reconnect=st.booleans(),
        max_message_size=st.sampled_from([None, None, None, None, None, 3, 1000]),
        max_errors=st.sampled_from([20, 20, 1]),
    )
