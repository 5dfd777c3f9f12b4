"""Spellings of a From field: forms of real programs, mutated, with another author hidden in some of them."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["OTHER", "OWN", "values"]

OWN = "ann@example.com"
OTHER = "bob@x.example"
_FORMS = (
    "{a}",
    "<{a}>",
    "{n} <{a}>",
    '"{n}" <{a}>',
    "{b} <{a}>",
    "{a} <{a}>",
    '"{b}" <{a}>',
    "{n} <{a}> ({n})",
    "({n}) {a}",
    "{a} ({n})",
    "{a} ({b})",
    "[{n}] {n} <{a}>",
    "{n}, {n} <{a}>",
    '"{n}", {n} <{a}>',
    "EXAMPLE\\{n} <{a}>",
    "{n}: {a};",
    "{n}: {n} <{a}>, {a};",
    "{a}, {b}",
    "{n} <@x.example:{a}>",
    "<{b}> <{a}>",
    "{n} <{a}> {b}",
    "{n} {n}. {n} <{a}>",
    "=?utf-8?q?{n}?= <{a}>",
    "=?utf-8?q?bob=40x=2Eexample?= <{a}>",
    '"=?utf-8?b?Ym9iQHguZXhhbXBsZQ==?=" <{a}>',
    "'{a}' <{a}>",
    "{n}\r\n <{a}>",
)
_PIECES = (
    *' \t"\\<>(),;:@.[]=?',
    '\\"',
    "\r\n ",
    "x",
    "é",
    "\u00a0",
    "\u00ad",
    "\0",
    "(x)",
    "((x) y)",
    '""',
    "=?utf-8?q?",
    "?=",
    "=40",
    OTHER,
    OWN,
    f"<{OTHER}>",
    f'"{OTHER}"',
    f"({OTHER})",
    f"{OTHER},",
    "bob",
    "x.example",
)


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """The value of a From field."""
    form = draw(st.sampled_from(_FORMS))
    own = draw(st.sampled_from((OWN, OWN, OWN, "ANN@example.com", "ann@example.com.", "ann(x)@example.com")))
    name = draw(st.sampled_from(("Ann", "Ann Smith", "J=C3=BCrgen", "Jürgen", "Ann (A)", "Re", "")))
    text = form.replace("{a}", own).replace("{n}", name).replace("{b}", OTHER)
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2, 3)))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.sampled_from((0, 0, 1, 3)))
        text = text[:at] + draw(st.sampled_from(_PIECES)) + text[at + cut :]
    return text.encode()
