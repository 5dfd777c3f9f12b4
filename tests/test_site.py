"""The documentation site: it is built without a warning, each link in it leads somewhere, and it needs no
other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import pytest
from pages import ROOT
from selectolax.lexbor import LexborHTMLParser

pytestmark = pytest.mark.site

LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "source": "srcset",
    "iframe": "src",
    "object": "data",
}
"""What a browser loads by itself."""
_IN_STYLES = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@attrs.frozen
class Html:
    """A page of the site."""

    file: Path
    links: list[str]
    loaded: list[str]
    anchors: set[str]


def read(file: Path) -> Html:
    tree = LexborHTMLParser(file.read_text(encoding="utf-8"))
    return Html(
        file,
        [node.attributes["href"] or "" for node in tree.css("a[href]")],
        [node.attributes[key] or "" for tag, key in LOADED.items() for node in tree.css(f"{tag}[{key}]")],
        {node.attributes["id"] or "" for node in tree.css("[id]")},
    )


def broken(pages: dict[Path, Html]) -> Iterator[str]:
    """The links and loaded files that lead nowhere inside of the site."""
    for page in pages.values():
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            target = Path(os.path.normpath(page.file.parent / path)) if path else page.file
            anchor = unquote(parts.fragment)
            if not target.is_file():
                yield f"{page.file}: {link}: there is no such file"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{page.file}: {link}: the page has no such anchor"


def elsewhere(page: Html) -> list[str]:
    """What the page loads from another host."""
    return [each for each in page.loaded if urlsplit(each).netloc]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(ROOT / "docs", folder)
    return folder


def build(source: Path, folder: Path, *options: str) -> None:
    """Without the network: every proxy that a program may use leads nowhere."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-E", "-n", "-W", "--keep-going", *options, source, folder],
        env={**os.environ, **nowhere, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {file: read(file) for file in sorted(site.rglob("*.html"))}


def test_links_and_anchors_lead_somewhere(pages: dict[Path, Html]) -> None:
    found = list(broken(pages))
    links = sum(len(page.links) + len(page.loaded) for page in pages.values())
    print(f"\npages {len(pages)}, links {links}, broken {len(found)}")
    assert found == []
    assert len(pages) > 30


def test_each_page_of_the_documentation_is_in_the_site(site: Path) -> None:
    written = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in written if not (site / page).exists()} == set()


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[Path, Html]) -> None:
    assert [found for page in pages.values() for found in elsewhere(page)] == []
    for style in site.rglob("*.css"):
        for groups in _IN_STYLES.findall(style.read_text(encoding="utf-8")):
            target = "".join(groups)
            assert not urlsplit(target).netloc, f"{style}: {target}"
    for picture in site.rglob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert re.findall(r"(?:href|src)=\"(?!#)[^\"]*\"|url\((?!#)", text) == [], picture


def test_options_keep_both_of_their_hyphens(pages: dict[Path, Html]) -> None:
    found = [file for file in pages if re.search(r"[\u2013\u2014][a-z]", file.read_text(encoding="utf-8"))]
    assert found == []


def test_search_needs_no_server(site: Path) -> None:
    """It works in files that a browser has opened: the index is a script, and it has what pages say."""
    page = (site / "search.html").read_text(encoding="utf-8")
    assert 'src="searchindex.js' in page
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    assert '"how-to/oauth"' in index
    assert "xclient" in index


def test_files_of_the_repository_are_links_to_it_where_it_has_an_address(tmp_path: Path) -> None:
    build(ROOT / "docs", tmp_path, "-D", "repository_url=https://forge.example/us/it")
    states = read(tmp_path / "reference" / "states.html")
    assert "https://forge.example/us/it/blob/main/sansio_smtp/states.py" in states.links
    embedding = read(tmp_path / "how-to" / "embedding.html")
    assert [each for each in embedding.links if "_downloads" in each] == []


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<p id="here">', encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="other.html#here"></a><a href="other.html#gone"></a><a href="gone.html"></a>'
        '<a href="#up"></a><a href="https://elsewhere.example/"></a><script src="https://cdn.example/x.js"></script>',
        encoding="utf-8",
    )
    found = {file: read(file) for file in (page, tmp_path / "other.html")}
    assert [each.removeprefix(f"{page}: ").partition(":")[0] for each in broken(found)] == [
        "other.html#gone",
        "gone.html",
        "#up",
    ]
    assert elsewhere(found[page]) == ["https://cdn.example/x.js"]
