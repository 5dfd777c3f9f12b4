"""Reads the paths of MAIL and RCPT strictly (RFC 5321 §4.1.2), and gives a mailbox one form to compare.

A server delivers by its own reading of a path. If a rule reads another mailbox than the server, the rule can
be bypassed: a program that uses the last ``@`` reads ``<bob@evil.example(@example.com>`` as an address in
example.com; a program that knows comments reads it as one in evil.example. So this strict reader accepts only
paths that all servers read alike::

    path         "<" [source-route ":"] mailbox ">"  |  mailbox, if it has neither quotes nor source route
                 "<>" as a reverse-path, "<Postmaster>" as a forward-path
    mailbox      local-part "@" (domain | address-literal)        for domains see the module `domains`
    local-part   atom *("." atom)  |  quoted-string
    parameters   *(SP keyword ["=" value])

A blank after ``FROM:`` and missing brackets are accepted, because old devices send them and all servers read
them alike. Other deviations are refused, even widespread ones: comments, blanks in the path, escapes outside
quotes, quotes in the domain, a dot after it, an empty local-part. Octets above ASCII need SMTPUTF8 in MAIL
(RFC 6531); then a local-part must be normalized (NFKC), without control and format characters.

All spellings of a mailbox have one *normal form*, `Mailbox.address`: without unnecessary quotes and escapes,
without the source route, and with the domain in its own normal form. The local-part keeps its case, because
only its server knows if case matters.

A local-part may be longer than the 64 octets of §4.5.3.1.1, as those of bounce addresses (VERP, SRS) are. The
whole path may not be longer than 256 (§4.5.3.1.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category, normalize

import attrs

from sansio_smtp.errors import MailboxError

from .domains import normal_domain

__all__ = [
    "NOBODY",
    "USUAL",
    "Mailbox",
    "guessed_mailbox",
    "is_parameter",
    "local_of",
    "parse_mailbox",
    "quoted",
    "read_path",
]

_KEYWORD: Final = {
    True: re.compile(r"TO:[ \t]*", re.IGNORECASE),
    False: re.compile(r"FROM:[ \t]*", re.IGNORECASE),
}
"""The text before the path, by `forward`."""
# `(?>(?:...)*)`, an atomic group, stands for `(?:...)*+`: Python before 3.11.5 reads a possessive repetition
# of a group wrongly, and may match what it must not. That of a single character is right.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]++"
_DOT_STRING: Final = re.compile(rf"{_ATOM}(?>(?:\.{_ATOM})*)")
_QUOTED_STRING: Final = re.compile(r'"(?>(?:[ !#-\[\]-~\x80-\U0010ffff]|\\[ -~])*)"')
# Strict enough to cut in only one way. `local_of` and `normal_domain` check the rest.
_BARE: Final = r'[^ "(),:;<>@\[\\\]\0-\x1f\x7f]++'
_DOMAIN: Final = rf"(?:\[[^ \[\]\\<>@\0-\x1f\x7f]*+\]|{_BARE})"
_MAILBOX: Final = re.compile(rf"(?P<local>{_QUOTED_STRING.pattern}|{_BARE})@(?P<domain>{_DOMAIN})")
_PATH: Final = re.compile(
    rf"<(?:(?P<route>@{_DOMAIN}(?>(?:,@{_DOMAIN})*)):)?{_MAILBOX.pattern}>"
    rf"|<>|<postmaster>|(?P<bare_local>{_BARE})@(?P<bare_domain>{_DOMAIN})",
    re.IGNORECASE | re.ASCII,
)
_PARAMETER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*+(?:=[^\s\0-\x20\x7f-\x9f]++)?")
"""A value may hold ``=``, which RFC 5321 forbids: ``XVERP=+=``, ``ORCPT=rfc822;bounce-bob=x@example.com``."""
_PARAMETERS: Final = re.compile(rf"(?>(?:[ \t]++{_PARAMETER.pattern})*)")
_MAX_PATH: Final = 256
_ATOMS: Final = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?>(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*)"
_LABEL: Final = rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
USUAL: Final = re.compile(
    rb"(?:RCPT TO|MAIL FROM):<(?=[^>]{3,%d}>)(%b)@((?>(?:%b\.)*)(?=[A-Za-z_])%b)>"
    rb"(?>(?: [A-Za-z0-9][A-Za-z0-9-]*+(?:=[!-~]++)?)*)" % (_MAX_PATH - 2, _ATOMS, _LABEL, _LABEL),
    re.IGNORECASE,
)
"""Matches the whole line of almost every MAIL and RCPT; its groups are the local-part and the domain.
`read_path` accepts these lines with this mailbox: 0.7 µs in place of 4. Other lines are not necessarily
wrong."""

_REASONS: Final = (
    (re.compile(r".*[\0-\x08\x0a-\x1f\x7f]", re.DOTALL), "the path holds a control character"),
    (re.compile(r"<[^>]*\Z"), "the path has no closing bracket"),
    (re.compile(r"[^<]*>"), "the path has no opening bracket"),
    (re.compile(r"\Z"), "there is no path"),
    (re.compile(r"<[^@>]*>"), "the mailbox has no domain"),
    (re.compile(r'[^"]*[()]'), "a path holds no comment"),
    (re.compile(r"<.*[ \t].*>"), "the path holds a blank outside of quotes"),
    (re.compile(r'[^"]*\\'), "the path holds an escape outside of quotes"),
    (re.compile(r'.*@[^@"]*"'), "the domain is quoted"),
)
"""Pattern → the mistake in text that is not a path. The first match counts."""
_ROUTING: Final = frozenset("%!@")
_NO_PATH: Final = "the path is not <local-part@domain>"


@attrs.frozen
class Mailbox:
    """The mailbox that a path names. Two paths name the same mailbox if these objects are equal, apart from
    the case of the local-part."""

    local: str
    """The local-part without quotes and escapes; empty for the null reverse-path."""
    domain: str
    """The domain in normal form; empty for the null reverse-path and for ``<Postmaster>``."""
    has_route: bool = attrs.field(default=False, eq=False)
    """True if there was a source route, which is not part of the mailbox."""

    @property
    def address(self) -> str:
        """The normal form, as between the brackets. Empty for the null reverse-path."""
        local = quoted(self.local) if self.local else ""
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def routes(self) -> bool:
        """True if some server would forward its mail to a domain in the local-part or the source route:
        ``bob%evil.example@mx``, ``evil.example!bob@mx``, ``"bob@evil.example"@mx``, ``@evil.example:bob@mx``
        (RFC 1123 §5.2.16, RFC 5321 appendix C)."""
        return self.has_route or not _ROUTING.isdisjoint(self.local)


NOBODY: Final = Mailbox("", "")
"""The null reverse-path. It also represents a path that cannot be read."""
_POSTMASTER: Final = Mailbox("postmaster", "")


def read_path(argument: bytes, *, forward: bool, utf8: bool) -> Mailbox:
    """The mailbox in the argument of MAIL or, if ``forward`` is set, of RCPT.

    ``utf8`` is True if MAIL has declared SMTPUTF8. Raises `MailboxError`, which says what is wrong, if the
    path or the text after it can be read in more than one way.
    """
    try:
        text = argument.strip(b" \t").decode("utf-8")
    except UnicodeDecodeError:
        raise MailboxError("the path is not in UTF-8") from None
    if not utf8 and not text.isascii():
        raise MailboxError("the path is not in ASCII, and MAIL has not declared SMTPUTF8")
    keyword = _KEYWORD[forward].match(text)
    if keyword is None:
        raise MailboxError(f"write {'RCPT TO' if forward else 'MAIL FROM'}:<local-part@domain>")
    found = _PATH.match(text, keyword.end())
    if found is None:
        raise MailboxError(_what_is_wrong(text[keyword.end() :]))
    if not _PARAMETERS.fullmatch(text, found.end()):
        raise MailboxError("what follows the path is no parameter")
    if len(found[0].encode()) > _MAX_PATH:
        raise MailboxError(f"the path is longer than {_MAX_PATH} octets")
    if found["local"] is not None:
        route = found["route"].split(",") if found["route"] else []
        for domain in route:
            normal_domain(domain.removeprefix("@"))
        return _mailbox(found["local"], found["domain"], has_route=bool(route))
    if found["bare_local"] is not None:
        return _mailbox(found["bare_local"], found["bare_domain"])
    if (found[0] == "<>") is forward:
        raise MailboxError("the recipient is empty" if forward else "the mailbox has no domain")
    return _POSTMASTER if forward else NOBODY


def parse_mailbox(text: str) -> Mailbox:
    """The mailbox that a setting or a rule names. ``Postmaster`` needs no domain. Raises `MailboxError` if
    the text is not a mailbox, or can be read in more than one way."""
    if text.lower() == "postmaster":
        return _POSTMASTER
    found = _MAILBOX.fullmatch(text)
    if found is None:
        raise MailboxError(_what_is_wrong(f"<{text}>"))
    if len(text.encode("utf-8", "surrogateescape")) > _MAX_PATH - 2:
        raise MailboxError(f"the mailbox is longer than {_MAX_PATH - 2} octets")
    return _mailbox(found["local"], found["domain"])


def local_of(text: str) -> str:
    """The local-part in a text, without quotes and escapes. Raises `MailboxError`."""
    if text.startswith('"'):
        if not _QUOTED_STRING.fullmatch(text):
            raise MailboxError("the quotes of the local-part do not end where it ends")
        local = re.sub(r"\\(.)", r"\1", text[1:-1])
    else:
        local = text
        if not _DOT_STRING.fullmatch(text):
            raise MailboxError(
                "the local-part begins or ends with a dot, or holds two in a row, or a special character"
            )
    if not local:
        raise MailboxError("the local-part is empty")
    if not local.isascii() and not _is_read_in_one_way(local):
        raise MailboxError("the local-part holds a character that servers read in different ways")
    return local


def is_parameter(word: str) -> bool:
    """Returns True for ``keyword`` or ``keyword=value``, as allowed after a path (RFC 5321 §4.1.2)."""
    return _PARAMETER.fullmatch(word) is not None


def quoted(local: str) -> str:
    """The local-part for a path: in quotes if it needs them."""
    if _DOT_STRING.fullmatch(local):
        return local
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def guessed_mailbox(text: str) -> Mailbox:
    """The best guess at the mailbox in text that is not strictly a mailbox. Servers may read another one.

    Drops comments, blanks outside quotes, quotes, escapes, the source route, and the dot after the domain, as
    Postfix does. Never raises.
    """
    characters = list(_what_counts(text))
    start = 0
    if characters and characters[0] == ("@", False):
        start = next((at + 1 for at, each in enumerate(characters) if each == (":", False)), 0)
    local, at, domain = "".join(character for character, _ in characters[start:]).rpartition("@")
    if not at:
        return Mailbox(domain, "", has_route=start > 0)
    domain = domain.rstrip(".")
    try:
        domain = normal_domain(domain)
    except MailboxError:
        domain = domain.lower()
    return Mailbox(local, domain, has_route=start > 0)


def _what_counts(text: str) -> Iterator[tuple[str, bool]]:
    """The characters that are not comments or blanks, each with True if it was quoted or escaped."""
    depth, in_quotes, escaped = 0, False, False
    for character in text:
        if escaped or (character == "\\" and not escaped):
            if escaped and not depth:
                yield character, True
            escaped = not escaped
        elif character == '"' and not depth:
            in_quotes = not in_quotes
        elif in_quotes:
            yield character, True
        elif character == "(" or depth:
            depth += {"(": 1, ")": -1}.get(character, 0)
        elif character not in " \t<>":
            yield character, False


def _mailbox(local: str, domain: str, *, has_route: bool = False) -> Mailbox:
    return Mailbox(local_of(local), normal_domain(domain), has_route)


def _what_is_wrong(text: str) -> str:
    return next((reason for pattern, reason in _REASONS if pattern.match(text)), _NO_PATH)


def _is_read_in_one_way(local: str) -> bool:
    """Returns False for text with characters that look like others, or that normalization changes."""
    plain = all(category(each)[0] not in "CZ" for each in local if not each.isascii())
    return plain and normalize("NFKC", local) == local
