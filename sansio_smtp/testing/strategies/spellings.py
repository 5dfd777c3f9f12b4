"""Draws paths of RCPT: spellings of one mailbox, as lenient servers read them, and of look-alikes of another.

What is drawn is the argument of the command, from ``TO:`` on, without CR, LF and NUL.
"""

from __future__ import annotations

from typing import Final

import attrs
from hypothesis import strategies as st

__all__ = ["LookAlike", "look_alikes", "spellings"]

COMMENTS: Final = ("(x)", "(x(y))", "(\\))", "()", "(@evil.example)", "(")
BLANKS: Final = (" ", "\t", "  ")
AROUND: Final = ("TO:<{}>", "TO: <{}>", "TO:\t<{}>", "to:<{}>", "TO:{}", "TO:<<{}>>", "TO:<{}", "TO:{}>")
AROUND_MORE: Final = ("TO:Boss <{}>", "TO:<{}>X", "TO:<{}>,", "TO :<{}>", "TO:(x)<{}>", "TO:<{}> (x)")
TAILS: Final = (
    *("",) * 12,
    " ",
    " NOTIFY=NEVER",
    "\tX-A",
    " NOTIFY=",
    " <eve@evil.example>",
    " (x)",
    " X=\x01",
)
ROUTES: Final = ("@relay.example:", "@a.example,@b.example:", "@a.example;", "@a.example")
ROUTING: Final = ("%", "!", "@", ".@", "(x)@", "(@", "\\@", '"@"')
"""What stands between a mailbox elsewhere and the domain that a rule knows: some server goes by it."""
BETWEEN: Final = (*":;,(>|/#=+<{ \t\x08\x7f\uff20\uff05\u200b\u3002", "@@", "> <", "::", "..")
"""What else may stand there."""


@attrs.frozen
class LookAlike:
    """A path that looks to some reader like an address in ``domain``, and is perhaps one in ``elsewhere``."""

    argument: str
    domain: str
    elsewhere: str


def _cases(text: str) -> st.SearchStrategy[str]:
    one = (st.sampled_from((each.lower(), each.upper())) for each in text)
    return st.tuples(*one).map("".join)


def _locals(local: str) -> st.SearchStrategy[str]:
    escaped = st.tuples(*(st.sampled_from((each, each, f"\\{each}")) for each in local)).map("".join)
    in_quotes = escaped.map(lambda text: f'"{text}"')
    halves = st.integers(1, len(local) - 1).map(lambda at: f'"{local[:at]}"{local[at:]}')
    return st.one_of(st.just(local), _cases(local), in_quotes, in_quotes, escaped, halves)


def _domains(domain: str, other: str) -> st.SearchStrategy[str]:
    first, _, rest = domain.partition(".")
    plain = st.sampled_from((domain, other))
    return st.one_of(
        plain,
        plain,
        _cases(domain),
        _cases(domain),
        st.sampled_from((f"{domain}.", f'"{domain}"', f'"{first}".{rest}', f"\\{domain}", f"[{domain}]")),
        st.sampled_from((other, other.upper(), f"{first}..{rest}", f"{first} .{rest}", f"{first}.(x){rest}")),
    )


def spellings(
    local: str = "boss", domain: str = "old.example", other: str = "OLD.example"
) -> st.SearchStrategy[str]:
    """Spellings of one mailbox: those of RFC 5321, and more that servers are known to take. ``other`` is
    another form of the domain, such as its U-label."""
    return _spellings(_locals(local), _domains(domain, other))


_BLANK_COUNTS: Final = st.sampled_from((0, 0, 0, 0, 0, 0, 1, 2))
_BLANKS: Final = st.sampled_from(COMMENTS + BLANKS)
_ROUTES: Final = st.sampled_from(("",) * 12 + ROUTES)
_AROUND: Final = st.sampled_from(AROUND[:4] * 8 + AROUND + AROUND_MORE)
_TAILS: Final = st.sampled_from(TAILS)


@st.composite
def _spellings(draw: st.DrawFn, locals_: st.SearchStrategy[str], domains: st.SearchStrategy[str]) -> str:
    parts = [draw(locals_), "@", draw(domains)]
    for _ in range(draw(_BLANK_COUNTS)):
        parts.insert(draw(st.integers(0, len(parts))), draw(_BLANKS))
    path = draw(_ROUTES) + "".join(parts)
    return f"{draw(_AROUND).format(path)}{draw(_TAILS)}"


@st.composite
def look_alikes(draw: st.DrawFn, domain: str = "example.com", elsewhere: str = "evil.example") -> LookAlike:
    """Paths that name a mailbox elsewhere, and the domain that a rule knows."""
    user = draw(st.sampled_from(("bob", "bob", "bob", "b\\ob", '"bob"', "bob x")))
    between = st.sampled_from(ROUTING * 6 + BETWEEN)
    first, second = draw(between), draw(st.one_of(st.just(""), st.just(""), st.just(""), between))
    orders = (f"{user}{first}{elsewhere}{second}", f"{elsewhere}{first}{user}{second}")
    inner = draw(st.sampled_from((*orders, *orders, f"@{elsewhere}{first}{user}")))
    if draw(st.sampled_from((True, False, False))):
        inner = f'"{inner}"'
    path = draw(st.sampled_from((f"{inner}@{domain}",) * 6 + (f"{inner}@{domain}.", f"{inner}{domain}")))
    around = draw(st.sampled_from(AROUND[:4] * 8 + AROUND))
    return LookAlike(around.format(path) + draw(st.sampled_from(TAILS)), domain, elsewhere)
