"""Pictures that are drawn here, box by box: the parts, a message on its way through them, who is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["DRAWINGS"]


def architecture() -> str:
    """Who talks to whom, and which part is whose."""
    return _svg(
        640,
        330,
        [
            _frame(150, 14, 340, 302, "smtp-proxy"),
            _box(12, 96, 86, 60, "client"),
            _box(542, 96, 86, 60, "server"),
            _box(168, 44, 304, 146, "", "driver: trio_proxy", "sockets, TLS, deadlines, logs"),
            _box(184, 104, 272, 72, "", "core: sansio_smtp.Proxy"),
            _box(194, 134, 120, 32, "faces the client"),
            _box(326, 134, 120, 32, "faces the server"),
            _box(184, 250, 272, 52, "", "rules", "functions in Python: yours, or ready"),
            _arrow(98, 116, 168, 116),
            _arrow(168, 136, 98, 136),
            _label(124, 108, "SMTP"),
            _arrow(472, 116, 542, 116),
            _arrow(542, 136, 472, 136),
            _label(516, 108, "SMTP"),
            _arrow(280, 190, 280, 250, "question", side=-1),
            _arrow(360, 250, 360, 190, "verdict", side=1),
        ],
    )


WAY: tuple[tuple[int, int, str], ...] = (
    (0, 1, "RCPT TO:<bob@example.net>"),
    (1, 2, "question: RCPT"),
    (2, 1, "verdict: go on"),
    (1, 3, "RCPT TO:<bob@example.net>"),
    (3, 1, "250 ok"),
    (1, 0, "250 ok"),
    (0, 1, "DATA"),
    (1, 3, "DATA"),
    (3, 1, "354 go ahead"),
    (1, 0, "354 go ahead"),
    (0, 1, "header section"),
    (1, 2, "question: HEADERS"),
    (2, 1, "verdict: add a field"),
    (1, 3, "header section, with the field"),
    (0, 1, "body, as it comes"),
    (1, 3, "body, as it comes"),
    (0, 1, "end of data"),
    (1, 3, "end of data"),
    (3, 1, "250 queued"),
    (1, 0, "250 queued"),
)
"""From, to, and what goes there: the columns are those of `data_way`."""


def data_way() -> str:
    """The way of a recipient and of a message, with a rule for each."""
    columns, top, step = (60, 262, 420, 572), 56, 25
    bottom = top + step * len(WAY) + 6
    parts = [_box(x - 48, 12, 96, 30, name) for x, name in zip(columns, _COLUMNS, strict=True)]
    parts += [f'<path class="line" stroke-dasharray="2 4" d="M{x} 42V{bottom}"/>' for x in columns]
    for row, (start, end, words) in enumerate(WAY):
        y = top + 14 + step * row
        parts.append(_arrow(columns[start], y, columns[end], y, words))
    return _svg(632, bottom + 12, parts)


def trust() -> str:
    """What crosses a boundary: everything that comes along an arrow over a frame."""
    left = (
        (84, "client", "", "octets, TLS"),
        (144, "relay", "of a named network", "who the client is"),
        (204, "server", "upstream", "replies"),
        (316, "services", "scanners, Redis, tokens", "answers"),
        (376, "watchers", "Prometheus, checks", "one request, for a page"),
    )
    right = (
        (84, True, "log, transcript", "", "secrets masked"),
        (144, True, "disk", "quarantine, spool, mail", "mode 0600"),
        (204, False, "settings", "rule files, keys, secrets", "trusted"),
        (256, False, "smtp-proxy reload", "", "mode 0600"),
    )
    parts = [
        _frame(344, 14, 470, 430, "the machine"),
        _frame(360, 44, 180, 386, "one trust domain"),
        _box(376, 74, 148, 228, "", "Trio driver"),
        _box(392, 172, 116, 44, "sans-I/O core"),
        _box(376, 316, 104, 44, "rules"),
        _box(376, 376, 148, 44, "admin pages"),
        '<path class="line" d="M428 302V316M502 302V376"/>',
    ]
    for y, name, more, words in left:
        parts += [
            _party(12, y, 168, name, more),
            _arrow(180, y + 22, 376, y + 22),
            _label(262, y + 17, words),
        ]
    for y, out, name, more, words in right:
        ends = (524, 640) if out else (640, 524)
        parts += [_party(640, y, 162, name, more), _arrow(ends[0], y + 22, ends[1], y + 22)]
        parts.append(_label(590, y + 17, words))
    return _svg(826, 456, parts)


def _party(x: int, y: int, width: int, name: str, more: str) -> str:
    return _box(x, y, width, 44, "", name, more) if more else _box(x, y, width, 44, name)


def _label(x: int, y: int, words: str) -> str:
    return _text(x, y, words, kind="label", size=12)


_COLUMNS = ("client", "core", "rules", "server")


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    paper = f'<rect class="paper" width="{width}" height="{height}" rx="6"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-size="13">'
    )
    return "\n".join([head, paper, *parts, "</svg>", ""])


def _text(x: int, y: int, words: str, *, anchor: str = "middle", kind: str = "", size: int = 13) -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{_escaped(words)}</text>'


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;")


def _box(x: int, y: int, width: int, height: int, middle: str, *head: str) -> str:
    """A box with its name in the middle, or with lines below its upper edge."""
    box = f'<rect class="box" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
    lines = [_text(x + width // 2, y + height // 2 + 5, middle)] if middle else []
    for i, words in enumerate(head):
        lines.append(
            _text(x + width // 2, y + 20 + 17 * i, words, kind="quiet" if i else "", size=12 if i else 13)
        )
    return "\n".join([box, *lines])


def _frame(x: int, y: int, width: int, height: int, name: str) -> str:
    frame = f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'
    return f"{frame}\n{_text(x + 12, y + 21, name, anchor='start', kind='quiet')}"


def _arrow(x1: int, y1: int, x2: int, y2: int, words: str = "", *, side: int = 0) -> str:
    """A straight arrow; its words stand above it, or at one of its sides."""
    right, down = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
    tip = f"{x2},{y2} {x2 - 8 * right - 4 * down},{y2 - 8 * down - 4 * right} "
    tip += f"{x2 - 8 * right + 4 * down},{y2 - 8 * down + 4 * right}"
    line = f'<path class="line" d="M{x1} {y1}L{x2 - 6 * right} {y2 - 6 * down}"/>'
    parts = [line, f'<polygon class="tip" points="{tip}"/>']
    if side:
        anchor = "start" if side > 0 else "end"
        parts.append(_text(x1 + 8 * side, (y1 + y2) // 2 + 4, words, anchor=anchor, kind="label", size=12))
    elif words:
        parts.append(_label((x1 + x2) // 2, y1 - 5, words))
    return "\n".join(parts)


DRAWINGS: dict[str, Callable[[], str]] = {
    "architecture": architecture,
    "data-way": data_way,
    "trust": trust,
}
