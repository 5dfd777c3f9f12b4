"""Chromium without a window: what it reads in octets, and what it shows of HTML."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

__all__ = ["Chromium"]

# Pages are shown as mail programs show them, in frames that cannot run scripts; or in frames that may.
_PAGE: Final = """<!DOCTYPE html><meta charset=utf-8><body><pre id=result></pre><script>
const given = GIVEN;
function decoded([label, octets]) {
    try {
        return new TextDecoder(label).decode(new Uint8Array(octets));
    } catch {
        return null;
    }
}
function shown(page) {
    return new Promise(done => {
        const frame = document.createElement("iframe");
        frame.sandbox = given.scripts ? "allow-same-origin allow-scripts" : "allow-same-origin";
        frame.width = 800;
        frame.height = 600;
        frame.onload = () => {
            const text = frame.contentDocument.documentElement.innerText || "";
            frame.remove();
            done(text);
        };
        frame.srcdoc = page;
        document.body.append(frame);
    });
}
(async () => {
    const result = {decoded: given.octets.map(decoded), shown: []};
    for (let i = 0; i < given.pages.length; i += 10)
        result.shown.push(...await Promise.all(given.pages.slice(i, i + 10).map(shown)));
    document.getElementById("result").textContent = JSON.stringify(result);
})();
</script>"""
_RESULT: Final = re.compile('<pre id="result">(.*?)</pre>', re.DOTALL)
_AT_ONCE: Final = 600


class Chromium:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runs = 0

    def decoded(self, octets: list[tuple[str, bytes]]) -> list[str | None]:
        """What `TextDecoder` makes of octets under a label; None if it does not know the label."""
        given = [[label, list(each)] for label, each in octets]
        found: list[str | None] = self._run(octets=given)["decoded"]
        return found

    def shown(self, pages: list[str], *, scripts: bool) -> list[str]:
        """The text of each page as it is rendered (`innerText`): nothing that is hidden."""
        found: list[str] = []
        for at in range(0, len(pages), _AT_ONCE):
            found += self._run(pages=pages[at : at + _AT_ONCE], scripts=scripts)["shown"]
        return found

    def _run(self, **given: Any) -> Any:
        self._runs += 1
        page = self._directory / f"{self._runs}.html"
        values = json.dumps({"octets": [], "pages": [], "scripts": False, **given}).replace("<", "\\u003c")
        page.write_text(_PAGE.replace("GIVEN", values), "utf-8")
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000000")
        profile = f"--user-data-dir={self._directory / 'profile'}"
        command = ["chromium", *options, profile, "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600, check=False)
        found = _RESULT.search(done.stdout)
        assert found, done.stderr
        return json.loads(html.unescape(found[1]))
