"""Writes what the documentation takes from the code: pictures, and tables in marked regions.

``python docs/make_diagrams.py`` writes them, ``--check`` fails where they are stale. A region is what
stands between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``. Pictures are in ``docs/pictures``;
those that have changed are made anew, for which Graphviz has to be installed.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import attrs
from api_tables import REGIONS as API_REGIONS
from drawings import DRAWINGS
from limit_tables import REGIONS as LIMIT_REGIONS
from metric_tables import REGIONS as METRIC_REGIONS
from page_tables import REGIONS as PAGE_REGIONS
from pictures import make, stale_pictures
from rule_tables import REGIONS as RULE_REGIONS
from rule_tables import attribute_docs, table
from scaling_tables import REGIONS as SCALING_REGIONS
from session_tables import REGIONS as SESSION_REGIONS
from setting_tables import REGIONS as SETTING_REGIONS
from state_pictures import ENDS, anywhere, causes
from state_pictures import PICTURES as STATE_PICTURES
from state_pictures import REGIONS as PICTURE_REGIONS

from sansio_smtp import Config, Reply, WaitingFor, config
from sansio_smtp.ends.keyword_table import KEYWORDS, Handling
from sansio_smtp.joint_states import TOGETHER
from sansio_smtp.proxy import own_replies
from sansio_smtp.states import (
    FRAMING,
    LINE_STEPS,
    REPLY_STEPS,
)
from sansio_smtp.verbs import VERBS, Effect, Kind, Support

DOCS = Path(__file__).parent
FILES = (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md")))

_REGION = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def framing_table() -> str:
    rows = [
        (f"**{phase.name}**" if i == 0 else "", step.value, following.name)
        for phase, steps in FRAMING.items()
        for i, (step, following) in enumerate(steps.items())
        if step not in anywhere() or phase in ENDS
    ]
    return table(("phase", "what passes", "next phase"), rows)


def lines_table() -> str:
    verbs: dict[Kind, list[str]] = defaultdict(list)
    for name, verb in VERBS.items():
        if verb.support is Support.FORWARDED:
            verbs[verb.kind].append(name.decode())
    verbs[Kind.PLAIN].append("any other verb")
    rows = [(kind.value, ", ".join(verbs[kind]) or "-", step.value) for kind, step in LINE_STEPS.items()]
    return table(("kind", "verbs", "step"), rows)


def replies_table() -> str:
    rows = []
    for kind in dict.fromkeys(kind for kind, _ in REPLY_STEPS):
        steps = [REPLY_STEPS.get((kind, digit)) for digit in (2, 3, 4, 5)]
        rows.append((kind.value if kind else "-", *(step.value if step else "violation" for step in steps)))
    return table(("reply to", "2xx", "3xx", "4xx", "5xx"), rows)


def transaction_table() -> str:
    rows = [(cause, effect.value) for effect in Effect for cause in causes(effect)]
    return table(("answered", "the transaction"), rows)


def replies_of_our_own() -> str:
    names = {id(value): name for name, value in vars(own_replies).items() if isinstance(value, Reply)}
    rows = [
        (names[id(reply)], f"`{reply}`") for reply in vars(own_replies).values() if isinstance(reply, Reply)
    ]
    rows += [(f"TIMEOUTS: {waiting.name}", f"`{reply}`") for waiting, reply in own_replies.TIMEOUTS.items()]
    rows.append(("too_big", f"`{own_replies.too_big(1000)}`"))
    return table(("name in `own_replies.py`", "reply"), rows)


def keywords_table() -> str:
    rows = [
        (
            f"`{name}`",
            row.rfc,
            row.handling.value,
            row.why,
            f"[{row.script}](../../tests/dialogues/{row.script}.txt)",
        )
        for name, row in KEYWORDS.items()
    ]
    rows.append(("every other", "", Handling.HIDDEN.value, "it may change how octets are cut", ""))
    return table(("keyword", "defined in", "what is done", "why", "shown by"), rows)


def _script(name: str) -> str:
    return f"[{name}](../../tests/dialogues/{name}.txt)"


def refused_verbs() -> str:
    return table(
        ("first word", "answer"),
        [
            (
                _sorted_code(name.decode() for name, verb in VERBS.items() if verb.support is support),
                support.value,
            )
            for support in (Support.REFUSED, Support.FOREIGN)
        ],
    )


def verbs_table() -> str:
    rows = [
        (
            name.decode(),
            verb.kind.value,
            verb.effect.value if verb.effect else "-",
            "yes" if verb.routed else "-",
            f"`{verb.phase}`" if verb.phase else "-",
        )
        for name, verb in VERBS.items()
        if verb.support is Support.FORWARDED
    ]
    head = ("verb", "framing", "2xx: the transaction", "takes `Route`", "phase of rules, besides `command`")
    return table(head, rows)


def together_table() -> str:
    rows = []
    for state, others in TOGETHER.items():
        for i, (field, allowed) in enumerate(others.items()):
            first = f"{type(state).__name__.removesuffix('State')} **{state.name}**" if i == 0 else ""
            rows.append((first, field.replace("_", " "), _few(allowed)))
    return table(("while", "this is", "one of"), rows)


def _few(allowed: Collection[Any]) -> str:
    """The states, or those that are left out where that is shorter."""
    kinds = type(next(iter(allowed)))
    left = [state.name for state in kinds if state not in allowed]
    names = [state.name for state in kinds if state in allowed]
    return ", ".join(names) if len(names) <= len(left) + 2 else f"any but {', '.join(left)}"


def config_table() -> str:
    descriptions = attribute_docs(config.Config)
    rows = []
    for field in attrs.fields(Config):
        default = field.default
        kinds: dict[str, Any] = vars(config)
        about = descriptions.get(field.name) or inspect.getdoc(kinds[type(default).__name__]) or ""
        shown = getattr(default, "value", default)
        shown = "none" if isinstance(shown, frozenset) else f"{shown:,}" if type(shown) is int else shown
        rows.append((f"`{field.name}`", f"{shown}", " ".join(about.split()).removesuffix(".")))
    return table(("setting", "default", "meaning"), rows)


def waiting_for_table() -> str:
    owed = {
        WaitingFor.GREETING: "the server's greeting",
        WaitingFor.COMMAND: "the client's next command",
        WaitingFor.REPLY: "the server's reply to a command",
        WaitingFor.CONTENT: "the client's mail data",
        WaitingFor.FINAL_REPLY: "the server's reply to a message",
        WaitingFor.HANDSHAKE: "a peer in a TLS handshake",
        WaitingFor.VERDICT: "your verdict",
        WaitingFor.HANDSHAKE: "the peer of a TLS handshake",
        WaitingFor.NOTHING: "nobody: the dialogue is over",
    }
    return table(("`waiting_for`", "who is late"), [(f"`{w.name}`", owed[w]) for w in WaitingFor])


def house() -> str:
    """Every folder and module with the first sentence of its docstring."""
    rows: list[tuple[str, str]] = []
    for package in ("sansio_smtp", "trio_proxy"):
        for folder in sorted({file.parent for file in (DOCS.parent / package).rglob("*.py")}):
            where = folder.relative_to(DOCS.parent).as_posix()
            rows.append((f"**{where}/**", f"**{_first_sentence(folder / '__init__.py')}**"))
            rows += [
                (f"`{file.stem}`", _first_sentence(file))
                for file in sorted(folder.glob("*.py"))
                if file.stem != "__init__"
            ]
    return table(("module", "what it is for"), rows)


def _first_sentence(file: Path) -> str:
    about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = " ".join(about.partition("\n\n")[0].split()).partition(". ")[0]
    return first.rstrip(".:").replace("``", "`")


REGIONS: dict[str, Callable[[], str]] = {
    "house": house,
    "framing-table": framing_table,
    "lines": lines_table,
    "replies": replies_table,
    "transaction-table": transaction_table,
    "verbs": verbs_table,
    "together": together_table,
    "own-replies": replies_of_our_own,
    "keywords": keywords_table,
    "refused-verbs": refused_verbs,
    "config": config_table,
    "waiting-for": waiting_for_table,
    **API_REGIONS,
    **METRIC_REGIONS,
    **PAGE_REGIONS,
    **PICTURE_REGIONS,
    **RULE_REGIONS,
    **SESSION_REGIONS,
    **SETTING_REGIONS,
    **LIMIT_REGIONS,
    **SCALING_REGIONS,
}


PICTURES: dict[str, Callable[[], str]] = {**STATE_PICTURES, **DRAWINGS}


def render(text: str) -> str:
    """The text with every region filled anew. Raises KeyError for a region that nobody knows."""
    return _REGION.sub(lambda region: f"{region[1]}\n{REGIONS[region[2]]()}\n\n{region[3]}", text)


def stale(files: Iterable[Path] = FILES) -> list[Path]:
    """The files in which a region differs from the code."""
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    return [file for file, text in texts.items() if text != render(text)]


def used(files: Iterable[Path] = FILES) -> set[str]:
    """The names of the regions that the files have."""
    return {region[2] for file in files for region in _REGION.finditer(file.read_text(encoding="utf-8"))}


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        outdated = [*stale(), *stale_pictures(PICTURES)]
        for file in outdated:
            print(f"{file}: stale; run python docs/make_diagrams.py")
        return 1 if outdated else 0
    if arguments:
        print(__doc__)
        return 2
    make(PICTURES)
    for file in FILES:
        file.write_text(render(file.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def _sorted_code(words: Iterable[str]) -> str:
    return " ".join(f"`{word}`" for word in sorted(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
