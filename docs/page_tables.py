"""The lists of pages in the index of each section: what question each page answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rule_tables import table

__all__ = ["ANSWERS", "REGIONS"]

DOCS = Path(__file__).parent

ANSWERS: dict[str, dict[str, str]] = {
    "how-to": {
        "capture": "How do I see the mail that my application sends, without delivering it?",
        "diagnose": "Something does not work: how do I find out what is wrong?",
        "allow-list": "How does a staging system write to nobody except us?",
        "footer-and-dkim": "How do I add a footer to outgoing mail and sign it?",
        "scanners": "How do I have mail checked by Rspamd or ClamAV before it is accepted?",
        "recipes": "What is the whole configuration, and how do I see that it works?",
        "tls": "How do I offer TLS to clients, and demand it of the server?",
        "login": "Who logs in to the server: the client, or the proxy?",
        "oauth": "How can devices that know nothing of OAuth send through Microsoft 365 or Gmail?",
        "routes": "How do I use several servers, with failover, or a server for some recipients?",
        "service": "How do I run it as a service, in systemd or a container, and reload and upgrade it?",
        "testing": "How do I test a rule, or my own mail software, in pytest? (A rule by hand: "
        "[`smtp-proxy test`](../reference/rules.md#trying-rules))",
        "embedding": "How do I use the library in my own program, on asyncio, on threads or on Trio?",
        "own-server-and-client": "How do I write a server or a client of my own with the library?",
    },
    "reference": {
        "options": "Which options are there, and what is the default of each?",
        "operating": "What are the settings file, signals, timeouts, logs, metrics and exit statuses?",
        "rules": "When is a rule asked, what does it see, and what may it return?",
        "ready-rules": "Which rules come with it, and which settings do they have?",
        "supported-smtp": "Which RFCs, verbs and extensions does it support, with which limits and replies?",
        "dialogue-scripts": "How is a dialogue written as a test?",
        "states": "Which states can a session be in, and which of them occur together?",
        "api/index": "Which classes and functions does the library have?",
    },
    "explanation": {
        "dialogue": "How does an SMTP dialogue go, and what does the proxy do in it?",
        "promises": "What does it promise, and how is each promise checked?",
        "what-can-slip-past": "How strictly does it read what rules depend on, and what does it not look at?",
        "threat-model": "What does it protect, from whom, and whom does it trust?",
        "design": "How is it built, and why?",
        "performance": "How much CPU time and memory does it need, beside others?",
        "scaling": "What do 100 million messages a day need?",
        "comparison": "What do other proxies do, and not do?",
    },
}
"""The pages of each section in the order of its index; a page that is not there is left out."""


def pages_table(section: str) -> str:
    """A table for readers, and the same list for Sphinx."""
    answers = ANSWERS[section]
    unknown = {page.stem for page in (DOCS / section).glob("*.md")} - {"index", *answers}
    if unknown:
        raise KeyError(f"docs/page_tables.py does not say what these pages of {section} answer: {unknown}")
    pages = {page: file for page in answers if (file := DOCS / section / f"{page}.md").exists()}
    rows = [
        (f"[{_title(file)}]({page}.md)", answers[page] + _parts(page, file)) for page, file in pages.items()
    ]
    toctree = "\n".join(["```{toctree}", ":hidden:", "", *pages, "```"])
    return f"{table(('page', 'question that it answers'), rows)}\n\n{toctree}"


def _parts(page: str, file: Path) -> str:
    """The recipes of a page that has several."""
    if page != "recipes":
        return ""
    titles = re.findall(r"^## (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    links = (f"[{title}]({page}.md#{title.lower().replace(' ', '-')})" for title in titles)
    return " " + ", ".join(links)


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


REGIONS: dict[str, Callable[[], str]] = {
    f"{section}-pages": partial(pages_table, section) for section in ANSWERS
}
