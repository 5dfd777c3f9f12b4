"""Draws HTML pages in which ``</body>`` stands where it ends nothing, and in which much is left open."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

__all__ = ["pages"]

_HEADS: Final = (
    "",
    "<!DOCTYPE html>",
    "<html>",
    "<html><head><title>A title</title></head><body>",
    "<!DOCTYPE html><html><head><title></body></title><style>p.x{color:red}</style></head><body>",
    "<html><body bgcolor=white>",
    "<BODY>",
    "<head><meta charset=utf-8></head>",
    "<html><head><script>var a = '</body>';</script></head><body>",
    "<html><body><div style='display:none'>preheader</div>",
    "<html><head><!-- </body> --></head><body>",
    "<html><head><title>not closed",
    '<html xmlns:v="urn:x"><head><!--[if mso]><xml></body></xml><![endif]--></head><body>',
    "<?xml version='1.0'?><html><body>",
)
_TEXTS: Final = ("hello", "world", "a &amp; b", "&nbsp;", "5 &lt; 6", "Grüße", "\n", "line<br>line")
_CLOSED: Final = (
    "<p>{}</p>",
    "<div>{}</div>",
    "<b>{}</b>",
    "<font color=red>{}</font>",
    "<a href='x'>{}</a>",
    "<a title='</body>' href=x>{}</a>",
    '<a title="</html></body>">{}</a>',
    "<a title=</body>{}</a>",
    "<!-- </body> -->{}",
    "<!--[if mso]>{}</body><![endif]-->",
    "<!--[if !mso]><!-->{}<!--<![endif]-->",
    "<!-->{}-->",
    "<!--{}--!>",
    "<![CDATA[ </body> ]]>{}",
    "<script>var x='</body>';</script>{}",
    "<script><!-- <script> </body> </script> --></script>{}",
    "<style>/* </body> */</style>{}",
    "<textarea></body></textarea>{}",
    "<xmp></body></xmp>{}",
    "<iframe></body></iframe>{}",
    "<noscript>{}</noscript>",
    "<noscript></body></noscript>{}",
    "<template>{}</body></template>",
    "<select><option>{}</option></select>",
    "<svg><text y=20>{}</text><title></body></title></svg>",
    "<math><mi>{}</mi></math>",
    "<table><tr><td>{}</td></tr></table>",
    "<table>{}<tr><td>x</table>",
    "<details><summary>more</summary>{}</details>",
    "<div hidden>{}</div>",
    "<div style='display:none'>{}</div>",
    "<ul><li>{}</ul>",
    "<blockquote>{}</blockquote>",
    "<center>{}</center>",
    "<pre>{}</pre>",
    "<button>{}</button>",
    "<object>{}</object>",
    "{}</body>",
    "{}</html>",
    "{}</body></html>",
    "<html><body>{}</body></html>",
    "<p><b>{}</p>",
    "</p>{}",
    "</div>{}</table>",
)
_OPEN: Final = (
    *(
        "<p>",
        "<div>",
        "<div hidden>",
        "<div style='display:none'>",
        "<b>",
        "<font color=red>",
        "<a href=x>",
        "<i hidden>",
    ),
    *("<!--", "<!-- </body>", "<!-- -- ", "<!x", "<?x ", "</ x", "<![CDATA[", "<!DOCTYPE"),
    *(
        "<script>",
        "<script>var a = '</body>'",
        "<script><!--<script>",
        "<style>",
        "<textarea>",
        "<xmp>",
        "<iframe>",
    ),
    *(
        "<noembed>",
        "<noframes>",
        "<noscript>",
        "<template>",
        "<template><div>",
        "<template><template>",
        "<plaintext>",
    ),
    *(
        "<select>",
        "<select><option>",
        "<select><optgroup>",
        "<svg>",
        "<svg><g>",
        "<svg><desc>",
        "<svg><![CDATA[",
    ),
    *(
        "<svg><foreignObject><div>",
        "<svg><style>",
        "<math>",
        "<math><mi>",
        "<math><annotation-xml encoding=text/html>",
    ),
    *(
        "<table>",
        "<table><tr>",
        "<table><tr><td>",
        "<table><caption>",
        "<table><colgroup>",
        "<table><tr><td><table>",
    ),
    *(
        "<details>",
        "<details><summary>",
        "<dialog>",
        "<button>",
        "<object>",
        "<video>",
        "<audio>",
        "<canvas>",
        "<marquee>",
    ),
    *(
        "<ul><li>",
        "<dl><dd>",
        "<h1>",
        "<pre>",
        "<nobr>",
        "<form>",
        "<fieldset>",
        "<ruby><rt>",
        "<title>",
        "<datalist>",
    ),
    *(
        "<a",
        "<a ",
        "<a href",
        "<a href=",
        '<a href="',
        "<a href='",
        "<a href=x",
        "<a href='x'",
        '<a title="</body>',
        "</a",
    ),
    *(
        "<",
        "</",
        "<p/",
        "&",
        "&am",
        "<p><b><i><u>",
        "</body",
        "</html",
        "<b><p hidden>",
        "<head>",
        "<html hidden=x",
    ),
)


@st.composite
def pages(draw: st.DrawFn) -> str:
    """A page, whole or cut off."""
    inner = st.recursive(
        st.sampled_from(_TEXTS),
        lambda more: st.builds(
            lambda frame, parts: frame.replace("{}", "".join(parts)),
            st.sampled_from(_CLOSED),
            st.lists(more, min_size=1, max_size=3),
        ),
        max_leaves=6,
    )
    page = draw(st.sampled_from(_HEADS)) + "".join(draw(st.lists(inner, max_size=4)))
    page += "".join(draw(st.lists(st.sampled_from(_OPEN) | inner, max_size=3)))
    page += draw(st.sampled_from(["", "", "</body></html>", "</BODY>\n</HTML>\n", "</body>", "</html>"]))
    page += draw(st.sampled_from(["", "", "", "<!-- end -->", "\n<p>after</p>", "<!-- </body>", "</body>"]))
    if draw(st.integers(0, 5)) == 0:
        page = page[: draw(st.integers(0, len(page)))]
    return page
