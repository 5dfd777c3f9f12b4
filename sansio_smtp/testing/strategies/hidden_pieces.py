"""The spellings that `mime` draws from: in each table ordinary ones, and those that readers differ in."""

from __future__ import annotations

from typing import Final

# fmt: off

TYPES: Final = (
    "application/octet-stream", "text/plain", "image/png", "application/x-msdownload", "a/b",
)
NAMES: Final = (
    "filename", "name", "FileName", "NAME", "filename*", "name*", "file name", '"filename"',
)
EQUALS: Final = (
    "=", "=", "=", " =", "= ", " = ", "==", ":", "=\r\n ", " (x) = ", "(x)=", "*=", "*0=", "*0*=", "*1=",
)
SEPARATORS: Final = (
    "; ", ";", ";\r\n ", " ;", " ", ", ", ",", ";;", "; ;", "\t", "", ":", " (x); ", "; (x) ", "|", ";\r\n",
    "\r\n ", "&",
)
OTHERS: Final = (
    "size=12", "x=y", 'x="y"', "charset=utf-8", "x-unix-mode=0600", 'creation-date="Mon, 1 Jan 2024"',
    'x="', "x", "=", "x=", "filename=fine.txt", "name=fine.txt", 'filename="fine.txt"',
    "filename*=utf-8''fine.txt", "filename*0=fine.; filename*1=txt", 'x="a;b"', 'x="\\""', "x=a(b",
    "boundary=a", "charset=(x)", "filename=",
)
TAILS: Final = (
    "", "", "", " ", ";", " ;", "; ", " (report)", "(report)", ", size=12", " size=123", ".", " .", '"',
    "'", "\x00", "%00", "%00.txt", "\x00.txt", "\t", ";x", "\r", "=", "?", "\\", "::$DATA", "<x>", "\u200b",
    "\r\n ", " \r\n\t",
)
FIELD_NAMES: Final = (
    "Content-Disposition", "Content-Type", "content-disposition", "Content-Type", "Content-Disposition ",
    "Content-Type\t", " Content-Disposition", "Content-Description", "Content-Location", "Content-ID",
    "Content-disposition:",
)
ODD_LINES: Final = (
    "no field", "no field at all: x", ": x", "X-a:\r", ">From x", "From x y", "X :y", " continuation", "\t",
    " ", "--", "name=fine.txt", "X-ü: y", "X: y\r\n \r\n z", 'name="evil.exe"', "MIME-Version: 1.0",
    "Content-Type: text/plain", "Content-Disposition: inline", "x\x00: y",
    "Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64", "Content-Type", "Content-Type:",
    "Subject: a\r\nb: c",
)
WORDS: Final = (
    "=?utf-8?B?{b}?=", "=?utf-8?b?{b}?=", "=?utf-8?Q?{q}?=", "=?iso-8859-1?q?{q}?=", "=??B?{b}?=",
    "=?utf-8*en?B?{b}?=", "=?x-y?B?{b}?=", "=?utf-8?B?{b}", "=?utf-8?B?{b}?", "=?utf-8?B?{c}?=",
    "=?utf-8?X?{b}?=", "=?utf-8?B?{b}==?=", "=?utf-8?Q?{q}", "=?utf-8?q?{q} ?=", "=?utf-8? B?{b}?=",
    "=?utf-8?Q? {q}?=", "=?us-ascii?Q?evil?=.exe", "evil=?us-ascii?Q?=2Eexe?=",
    "=?utf-8?Q?evil=2E?= =?utf-8?Q?exe?=", "=?utf-8?Q?evil=2E?=exe", "=?utf-8?Q?evil=2E?==?utf-8?Q?exe?=",
    "=?utf-8?B?{h}?=\r\n =?utf-8?B?{t}?=", "=?utf-8?B?{s}?=", "=?utf-8?Q?{q}?=.", "=?utf-16?B?{w}?=",
    "=?utf-7?Q?evil.exe?=", "=?UTF-8?B?{b}?= (x)",
)
VALUES: Final = (
    "evil.exe", "evil.exe", '"evil.exe"', '"evil.exe"', '"evil.exe', 'evil.exe"', "'evil.exe'",
    '"ev"il.exe', '"evil".exe', "EVIL.EXE", "really evil.exe", '"a b evil.exe"', '"a;evil.exe"',
    '"a\\"evil.exe"', '"ev\\il.exe"', '"C:\\tmp\\evil.exe"', "utf-8''evil.exe", "utf-8''evil%2Eexe",
    "''evil.exe", "utf-8'evil.exe", "utf-8'en'evil.ex%65", "'evil.exe", "x-y''evil.exe",
    '"utf-8\'\'evil%2Eexe"', "evil%2Eexe", '"evil%2eexe"', '"evil.exe\\"', '"a.txt"evil.exe', '""evil.exe',
    "ev(x)il.exe", "evil.exe;", '"evil.\r\n exe"', '"evil.exe\r\n "', "evil.\r\n exe", "<evil.exe>",
    "[evil.exe]", "x/evil.exe", "üevil.exe", '"üevil.exe"', "=evil.exe", "evil.exe\r\nX: y",
    '"evil.exe\r\n"', "{long}evil.exe", '"{long}evil.exe"', "evil.exe{blanks}.txt",
    '"evil.exe{blanks}.txt"', "evil.; filename*1=exe", "evil. filename*1=exe", "evil.; filename*1*=exe",
    "evil.;filename*01=exe", "evil., filename*1=exe", "evil.; filename*2=exe", '"evil."; filename*1="exe"',
    "evil.; x=y; filename*1=exe", "evil.; filename*0=exe", "evil.; name*1=exe", "evil.\r\n filename*1=exe",
    "exe; filename*0=evil.", "utf-8''evil.; filename*1*=%65xe", "utf-8''evil%2; filename*1*=Eexe",
)
ROOTS: Final = (
    "multipart/mixed", "multipart/mixed", "multipart/related", "multipart/alternative", "multipart/x",
    "multipart/digest", "Multipart/MIXED", "multipart / mixed", '"multipart/mixed"', "(x) multipart/mixed",
    "multipart", "multipart/", "multipart/mixed (x)", "multipart/(x)mixed", "multipart;mixed",
    "multipart mixed", "multipart/mixed/x", "multi part/mixed", "x; multipart/mixed", "text/plain", "",
    "message/rfc822", "application/mixed", "multipart\\mixed", "multipart/mixed,", "multipart/mixed;",
    "'multipart/mixed'", "multipart/mixed\x00", "multipart/\r\n mixed", "=?utf-8?q?multipart/mixed?=",
    "mutlipart/mixed", "multiparts/mixed", "multipart/signed", "multipart/encrypted", "multipart/report",
    "message/partial", "multipart/mixed;;", "text/multipart/mixed", "multipart:mixed",
)
BOUNDARIES: Final = (
    "boundary=b", 'boundary="b"', "Boundary=b", "boundary=b (x)", "boundary=(x)b", "boundary (x)=b",
    "boundary = b", 'boundary="b', "boundary=b;", 'boundary="b "', "boundary='b'", "boundary=b; boundary=c",
    "boundary=c; boundary=b", "boundary=b, boundary=c", 'boundary=""', "boundary=", "", "boundary",
    'boundary="\\b"', 'boundary="b\\"', 'boundary="b\\"c"', 'boundary="b;c"', "boundary*=utf-8''b",
    "boundary*=b", "boundary*0=b", "boundary*0=b; boundary*1=c", "boundary*0*=utf-8''b; boundary*1*=c",
    "boundary*1=b", "boundary*1=b; boundary*0=c", "boundary=c; boundary*=''b", "boundary=b c",
    "boundary=b x=y", "boundary=b, x=y", "x=y boundary=b", 'x="boundary=b"', 'x=";boundary=b"',
    "x=(;boundary=b)", "boundary==b", "boundary:b", '"boundary"=b', "boundary=%62",
    "boundary==?utf-8?q?b?=", 'boundary="=?utf-8?q?b?="', "boundary=b\\", "boundary=b\t", "boundary=\r\n b",
    "boundary\r\n =b", 'boundary="b\r\n "', 'boundary="\r\n b"', "boundary=b=c", "boundary=b/c",
    'boundary=b"', 'boundary="b"c', 'boundary="b" c', "boundary=bb", "boundary=B", "boundary=b\x00",
    "boundary=<b>", "boundary=b--", "boundary=b{long}", 'boundary=" b"', "boundary=-b", "boundary=--b",
)
DELIMITERS: Final = (
    "--b", "--b", "--b ", "--b\t", "--b  \t", " --b", "--b x", "--bx", "--b;", "--b(x)", "-- b", "--B",
    "--b-", "--b--", "--b--x", "--b-- ", "--c", '--"b"', "--b c", "--bc", "--", "--b (x)", "----b", "-b",
    "--b\r", "--b\x00", "--b\r\n ", "x\r\n--b", "--b\x0c", "--bb", "--b\\", "--'b'", "--b=c", "--b/c",
    "--b{long}", "---b", "-----b", ">--b", "--b.", "\r--b", "\t--b", "--b\r\n--b", "--<b>", "--%62",
    "=2D-b", "--=62", "--\\b", '--b"c', '--b"', "--b;c", "-- ", "--\t", "---", "----", "b",
)
CLOSES: Final = (
    "--b--", "--b--", "--b-- ", "--b--x", "--b --", "--b -- ", "--b-", "--b", "", "--c--", "--b--\r\n--b--",
    "----", "--b---", "--bc--", "-- b--",
)
ENCODINGS: Final = (
    "base64", "BASE64", "base64 ", "base64;", "base64 (x)", "(x) base64", "base64 x", '"base64"', "base 64",
    "base64, 7bit", "7bit, base64", "base64\r\n ", "\r\n base64", "x-base64", "base-64", "b", "base64\x00",
    "base64x", "7bit base64", "=?utf-8?q?base64?=", "base64=", "x=base64",
    "base64\r\nContent-Transfer-Encoding: 7bit", "7bit\r\nContent-Transfer-Encoding: base64", "8bit", "",
    "<base64>", "base64.", "'base64'", "bASE64\t", "(x)base64(y)",
)
ODD_VALUES: Final = (
    "", '"attachment"', "attachment (x)", "(x) attachment", "a/b/c", "/", "x", "text", "(x)", ";", "a / b",
    '"a/b"', "message/rfc822", "multipart/mixed", "application", "application/octet-stream\x00",
    "=?utf-8?Q?attachment?=", "=?utf-8?Q?attachment=3Bfilename=3Devil=2Eexe?=",
    "=?utf-8?B?YXR0YWNobWVudDtmaWxlbmFtZT1ldmlsLmV4ZQ==?=",
)
COLONS: Final = (
    ":", " : ", ":\t", ":\r\n ", ":  ", "", " ", ":\r\n\r\n ", "\r\n: ",
)
FIRST_PARTS: Final = (
    "\r\n", "", "hello\r\n", "X: y\r\n\r\nhello\r\n", "Content-Type: text/html\r\n\r\n<p>x\r\n",
    "\r\nhello\r\n--b--\r\n", "\r\nhello\r\n--c\r\n", "\r\nhello\r\n--b--\r\n\r\nafter\r\n",
    " \r\nhello\r\n", "\r\nhello --b",
    "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
    "Content-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n",
    "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n",
)
HEAD_ENDS: Final = (
    "\r\n", "\r\n \r\n", "\r\n\t\r\n\r\n", "\n\n", "\r\n\r\n\r\n", "\r\r\n\r\n", "\r\n\x00\r\n",
    "\r\nX\r\n\r\n", "\r\r", "\n\r\n", "\r\n--\r\n",
)
PREAMBLES: Final = (
    "preamble\r\n", "X: y\r\n", "Content-Type: text/plain\r\n\r\n", "\r\n", " ", "--b",
)
MESSAGE_TYPES: Final = (
    "MESSAGE/RFC822", "message/rfc822; x=y", "message / rfc822", '"message/rfc822"', "message/global",
    "message", "message/x", "message/news", "message/partial; number=1; total=1; id=x",
    "message/rfc822 (x)", "message/delivery-status", "message/external-body; access-type=x",
    "text/rfc822-headers", "text/rfc822", "application/octet-stream; name=x.eml",
)
UUENCODED_FILES: Final = (
    "begin 644 evil.exe\r\n#0V%T\r\n`\r\nend", "begin-base64 644 evil.exe\r\nTVo=\r\n====",
    "begin 0644 evil.exe\r\n#0V%T\r\n`\r\nend", "BEGIN 644 evil.exe\r\n#0V%T\r\n`\r\nend",
    " begin 644 evil.exe\r\n#0V%T\r\n`\r\nend", "begin 644  evil.exe\r\n#0V%T\r\n`\r\nend",
    "begin 644\tevil.exe\r\n#0V%T\r\n`\r\nend", "begin 64 evil.exe\r\n#0V%T\r\n`\r\nend",
    "begin 644 evil.exe \r\n#0V%T\r\n`\r\nend", "begin\t644 evil.exe\r\n#0V%T\r\nend",
    "begin 888 evil.exe\r\n#0V%T\r\nend", "begin evil.exe\r\n#0V%T\r\nend",
)
UU_FIELDS: Final = (
    "Content-Type: text/plain", "Content-Type: application/x", "X: y", "Content-Type: text/html",
    "Content-Transfer-Encoding: x-uuencode", "Content-Transfer-Encoding: uuencode",
    "Content-Type: application/x-uuencode",
)
PREFIXED: Final = (
    "hello\r\n", "a", "=", "==", "!", "\r\n", "X: y\r\n\r\n", "ab=", "abc=", "YQ==", "YWI=\r\n",
    "begin 644 x\r\n", "-----BEGIN\r\n", "YQ",
)
APPENDED: Final = (
    "=", "a", "\r\nhello", "!", "====", "-- \r\nlist", "\r\n\r\nx",
)
INSERTED: Final = (
    "=", "==", "!", "-", "_", ".", "\r\n", "\r\n\r\n", " ", "\t", "#", ":", "--", "\x00", "ü", "===", "%",
    "=\r\n", "=3D", "-----\r\n", ",", "\\", "\x1a", "~", "*", "\r\n=\r\n", "\r\n \r\n",
    "Content-Type: a/b\r\n\r\n",
)
QUOTED_ENCODINGS: Final = (
    "quoted-printable", "Quoted-Printable", "quoted-printable ", "quoted-printable;", "quotedprintable",
    "quoted-printable (x)", "quoted printable", '"quoted-printable"', "quoted-printable, x",
    "x-quoted-printable", "qp", "q",
)
UU_BEGINS: Final = (
    "begin 644 x", "begin 644 x.txt", "begin 600 a b", "begin 644", "BEGIN 644 x", "begin 0644 x", "",
    " begin 644 x", "begin  644 x", "begin 6 x", "begin 64 x", "begin 644 x ",
)
UU_ENCODINGS: Final = (
    "x-uuencode", "uuencode", "x-uue", "uue", "X-UUENCODE", "x-uuencode (x)", "x-uu", "7bit", "8bit",
    "x-gzip64", "x-yencode",
)
SECRET_TYPES: Final = (
    "application/octet-stream", "text/plain", "text/html", "image/png", "text/plain; charset=utf-8",
    "text/plain; charset=utf-16", "text/plain; charset=utf-7", "text/plain; charset=x",
    "application/pdf; name=x.pdf", "a", "", "message/x", "text", "text/x",
)
NOISE: Final = (
    *"();,:=\"\\<>@[]?/*%'", " ", "\t", "\r\n", "\r\n ", "\r", "\0", "-", "--", "\n", "\u00fc", "\x0b",
    "\x0c", "\x85", "\u00a0",
)
SECOND_FIELDS: Final = (
    "Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=c", "Content-Type: multipart/mixed",
    "Content-Type:", "Content-Type: a/b", "Content-Disposition: inline", "Content-Transfer-Encoding: base64",
    "Content-Transfer-Encoding: quoted-printable", "Content-Transfer-Encoding: x-uuencode",
    "Content-Transfer-Encoding: binary",
)
BREAKS: Final = (
    "{a}=\r\n{b}", "{a}= \r\n{b}", "{a}=\t\r\n{b}", "{a}={hex}{c}", "{a}=\n{b}", "{a}=\r{b}", "{a}==\r\n{b}",
    "{a}=\r\n={hex}{c}", "{a}=\r\n\r\n{b}", "{a}=\r\n {b}", "{a}=\0\r\n{b}", "{a}=0\r\n{b}", "{a}=\r\r\n{b}",
    "{a}= \t \r\n{b}", "{a}=3D\r\n{b}", "{a}=\x0b\r\n{b}", "{a}=0A{b}", "{a}=\r\n{letter}=\r\n{c}",
    "{a}=ZZ{b}", "{a}={b}", "{a}=={hex}{c}",
)
UU_ENDS: Final = ("`\r\nend", " \r\nend", "end", "", "`", "\r\nend")
