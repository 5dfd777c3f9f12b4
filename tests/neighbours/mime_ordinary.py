"""Ordinary mail, as common programs write it: a guard that reads strictly must let all of it pass."""

from __future__ import annotations

from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final

__all__ = ["FILES", "FILE_NAMES", "composed"]

FILE_NAMES: Final = (
    *(
        "report.pdf",
        "Q3 report (final).pdf",
        "two  blanks.doc",
        "a;b,c=d.txt",
        "100%.txt",
        "it's.txt",
        "#1.txt",
    ),
    *("größe.pdf", "отчёт за июль.docx", "見積書.xlsx", "תקציב.pdf", "naïve café - menu №5.odt", "😀.png"),
    *('the "last" word.txt', "a\\b.txt", "[draft] a+b@c.txt", "no extension", ".bashrc", "a" * 120 + ".pdf"),
    *("a long name " * 10 + ".pdf", "очень длинное имя " * 6 + ".pdf", "x.tar.gz", "image001.png@01D9"),
)
FILES: Final = sorted((Path(__file__).parent.parent / "ordinary_mail").glob("*.eml"))
"""Written after what common programs send; with LF."""


def composed() -> Iterator[EmailMessage]:
    """Messages with a text, an alternative and attachments of many names, as Python's email writes them."""
    for number, name in enumerate(FILE_NAMES):
        message = EmailMessage(policy=(policy.default, policy.SMTP, policy.SMTPUTF8, policy.SMTP)[number % 4])
        message["From"], message["To"], message["Subject"] = "ann@example.com", "bob@example.com", name[:60]
        message.set_content("hello\n")
        message.add_alternative("<p>hällo</p>\n", subtype="html")
        message.add_attachment(b"%PDF" * 200, maintype="application", subtype="pdf", filename=name)
        message.add_attachment("a text\n", filename=f"{number}.txt")
        yield message
