"""Mail data read by the reader, and as naively as can be."""

from __future__ import annotations

from sansio_smtp.wire.content import ContentReader, unstuff

END = b"\r\n.\r\n"


class Read:
    """What a reader made of some segments."""

    def __init__(self, reader: ContentReader, pieces: list[bytes]) -> None:
        self.wire = self.decoded = b""
        for i, piece in enumerate(pieces):
            wire = reader.feed(piece)
            assert 0 <= reader.held <= 3
            self.wire += wire
            self.decoded += unstuff(wire, reader.at_line_start)
            if reader.finished:
                self.rest = reader.rest + b"".join(pieces[i + 1 :])
                break
        else:
            self.rest = b""
        self.finished = reader.finished
        self.size = reader.size
        self.error = str(reader.error) if reader.error else ""
        self.code = reader.error.reply_hint.code if reader.error else 0
        self.enhanced = reader.error.reply_hint.enhanced if reader.error else None

    def view(self) -> tuple[object, ...]:
        return self.wire, self.decoded, self.rest, self.finished, self.size, self.code, self.error[:12]


def wire_lines(stream: bytes) -> tuple[list[bytes], bytes] | None:
    """RFC 5321 §4.1.1.4 and §4.5.2, as naively as can be: the lines before the dot, without their dots,
    and what is after it."""
    found = []
    rest = stream
    while (end := rest.find(b"\r\n")) >= 0:
        line, rest = rest[:end], rest[end + 2 :]
        if line == b".":
            return found, rest
        found.append(line.removeprefix(b"."))
    return None


def normal(line: bytes) -> bytes:
    """Bare LF is CRLF, bare CR a space. Two dots after a bare LF are one that was stuffed there."""
    return line.replace(b"\r", b" ").replace(b"\n..", b"\n.").replace(b"\n", b"\r\n")


def strict_end(wire: bytes) -> int:
    return (b"\r\n" + wire).find(END)
