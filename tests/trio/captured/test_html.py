"""Pages as text."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_proxy.captured.html import text_of_html


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("", ""),
        ("hello", "hello"),
        ("<h1>Hello  <b>Bob</b>,</h1><p>all\nis   well.</p>", "Hello Bob,\n\nall is well."),
        ("one<br>two<div>three</div>four", "one\n\ntwo\nthree\nfour"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n\nc"),
        ("<a href='https://x.example/?a=1&amp;b=2'>reset</a> it", "reset <https://x.example/?a=1&b=2> it"),
        ("<a href='https://x.example'>https://x.example</a>", "https://x.example"),
        ("<a name=x>here</a><a href=''>there</a>", "herethere"),
        ("<title>t</title><style>s</style><script>x()</script>seen<!-- c -->", "seen"),
        ("a&nbsp;&amp;&lt;b&gt;", "a &<b>"),
        ("a\ufdd0b", "a b"),
    ],
)
def test_text(page: str, text: str) -> None:
    assert text_of_html(page) == text


def test_a_page_that_is_too_large() -> None:
    assert text_of_html("x" * 100_001) is None


def test_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    assert text_of_html("hello") is None


TAGS = ["<a href=x>", "<p>", "</p>", "<table>", "x", "<br", "<!--", "<svg>", "<td>"]


@given(st.text() | st.lists(st.sampled_from(TAGS)).map("".join))
def test_any_page_has_a_text(page: str) -> None:
    text = text_of_html(page)
    assert text is not None
    assert "\n\n\n" not in text
