"""The table of labels against the one of `webencodings`, an implementation of the same standard."""

from __future__ import annotations

import codecs

from each import each
from webencodings.labels import LABELS

from sansio_smtp.rules import charsets
from sansio_smtp.rules.charset_labels import STANDARD, encoding_of

# The standard reads nothing at all under the labels of the first, and mail has no use for the second.
NOT_READ = {"replacement", "x-user-defined"}


def test_the_table_is_that_of_the_standard() -> None:
    ours = {label: encoding for encoding, labels in STANDARD.items() for label in labels.split()}
    assert ours == {label: encoding for label, encoding in LABELS.items() if encoding not in NOT_READ}


def test_no_label_of_mail_changes_one_of_the_standard() -> None:
    known = {label: encoding for label, encoding in LABELS.items() if encoding not in NOT_READ}
    assert {label: encoding_of(label) for label in known} == known


@each(
    ("label", "encoding"),
    [
        ("UTF-8", "utf-8"),
        (" utf8 ", "utf-8"),
        ('"Windows-1252"', "windows-1252"),
        ("windows1252", "windows-1252"),
        ("WINDOWS_1252", "windows-1252"),
        ("cp-1251", "windows-1251"),
        ("win-1251", "windows-1251"),
        ("x-windows-1251", "windows-1251"),
        ("csUTF8", "utf-8"),
        ("x-gbk", "gbk"),
        ("ISO_8859-1", "windows-1252"),
        ("iso-8859-9", "windows-1254"),
        ("iso-8859-11", "windows-874"),
        ("gb2312", "gbk"),
        ("ks_c_5601-1987", "euc-kr"),
        ("Shift-JIS", "shift_jis"),
        ("unicode-1-1-utf-7", "utf-7"),
        ("iso-2022-kr", "iso2022_kr"),
        ("hz-gb-2312", "hz"),
        ("cp850", "cp850"),
        ("cp-850", "cp850"),
        ("ansi_x3.4-1968", "windows-1252"),
        ("iso-2022-cn", ""),
        ("x-unknown", ""),
        ("unknown-8bit", ""),
        ("rot13", ""),
        ("", ""),
        ("utf-8" + " " * 60, ""),
    ],
)
def test_labels_of_mail(label: str, encoding: str) -> None:
    assert encoding_of(label) == encoding


def test_all_encodings_have_a_codec_for_text() -> None:
    for label in LABELS:
        if name := charsets.codec(label):
            assert codecs.lookup(name).decode(b"", "strict") == ("", 0)
    assert "abc".encode(charsets.codec("mac-ce")) == b"abc"
