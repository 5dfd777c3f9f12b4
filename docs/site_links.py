"""An extension of Sphinx: links between files of the repository work in the site as they do on GitHub.

Pages of the site that show a file from outside ``docs/`` include it; a link to such a file leads to its page.
A link to any other file is a download, or, with `repository_url`, leads to the repository.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SHOWN = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "fuzz/README.md": "project/fuzzing.md",
}
"""Files outside of this folder, and the pages that include them."""

_FENCED = re.compile(r"(^(`{3,}).*?^\2`*$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^][]|\[[^][]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def rewrite(text: str, source: Path, page: Path, repository_url: str) -> str:
    """The text of a file with its links as the page in the site needs them."""

    def moved(link: re.Match[str]) -> str:
        image, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        if ":" in target:
            return link[0]
        file = Path(os.path.normpath(source.parent / target))
        where = file.relative_to(ROOT).as_posix()
        if file.is_dir() and f"{where}/README.md" in SHOWN:
            where += "/README.md"
        if where in SHOWN:
            file = DOCS / SHOWN[where]
        elif not file.is_relative_to(DOCS):
            if repository_url:
                return (
                    f"[{words}]({repository_url}/{'tree' if file.is_dir() else 'blob'}/main/{where}{anchor})"
                )
            if file.is_dir():
                return words
        return f"{image}[{words}]({os.path.relpath(file, page.parent)}{anchor})"

    # Every third piece is a fence, and the one after it its marks.
    pieces = _FENCED.split(text)
    return "".join(
        piece if number % 3 else _LINK.sub(moved, piece)
        for number, piece in enumerate(pieces)
        if number % 3 != 2
    )


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(docname))
    if page.suffix == ".md":
        content[0] = rewrite(content[0], page, page, app.config.repository_url)


def _include(app: Sphinx, included: Path, _: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(app.env.docname))
    source = Path(os.path.normpath(app.srcdir / included))
    content[0] = rewrite(content[0], source, page, app.config.repository_url)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("repository_url", "", "env")
    app.connect("source-read", _read)
    app.connect("include-read", _include)
    app.add_lexer("smtp", TextLexer)  # dialogue scripts
    return {"parallel_read_safe": True}
