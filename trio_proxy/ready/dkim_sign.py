"""Signs mail with DKIM (RFC 6376), so that receivers can verify that it is from this domain and unchanged."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import attrs
import structlog

from sansio_smtp.rules import MessageVerdict, Transaction, threaded
from sansio_smtp.rules.message import Message

__all__ = ["DkimSign", "rules"]
__extra__ = "auth"

log = structlog.stdlib.get_logger("smtp_proxy")

# dkimpy has no types; imported by name it needs none.
_sign: Callable[..., bytes] = importlib.import_module("dkim").sign
_DKIMException: type[Exception] = importlib.import_module("dkim").DKIMException

_NAME: Final = r"[\w-]+(\.[\w-]+)*"
_PROBE: Final = b"From: probe@example.com\r\n\r\n"


@attrs.frozen(kw_only=True)
class DkimSign:
    """Adds a DKIM-Signature before all other header fields. ::

        [rules.dkim_sign]
        domain = "example.com"
        selector = "2026a"                      # the public key is at 2026a._domainkey.example.com
        key_file = "/etc/smtp-proxy/dkim.pem"   # an RSA key, as openssl genrsa makes it
        headers = ["From", "To", "Subject", "Date", "Message-ID"]   # if left out: those RFC 6376 names

    Put it after all rules that change mail, because a later change breaks the signature. It signs every
    message that earlier rules let pass. ``headers`` must include From; a field that a message does not have
    is signed as absent. A message that cannot be signed, such as one without From, passes unsigned, and the
    log says so.
    """

    domain: str = attrs.field(validator=attrs.validators.matches_re(_NAME))
    selector: str = attrs.field(validator=attrs.validators.matches_re(_NAME))
    key_file: Path = attrs.field(converter=Path)
    headers: tuple[str, ...] = ()
    canonicalization: Literal["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"] = (
        "relaxed/relaxed"
    )
    """Canonicalization of header and body (RFC 6376 §3.4)."""
    _pem: bytes = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_pem", self.key_file.read_bytes())  # the class is frozen
        try:
            self.field(_PROBE)  # finds a bad key or setting at load
        except Exception as error:  # dkimpy raises many kinds of errors for a file that is not a key
            raise ValueError(f"{self.key_file} cannot be used to sign: {error}") from error

    @threaded
    def message(self, tx: Transaction, msg: Message) -> MessageVerdict:
        try:
            msg.headers.prepend_raw(self.field(msg.raw))
        except (_DKIMException, IndexError) as error:  # IndexError: the message begins with a folded line
            log.warning("message is not signed", conn=tx.conn.id, error=str(error))
        return None

    def field(self, content: bytes) -> bytes:
        """The DKIM-Signature field of a message, folded, with its last CRLF."""
        header, _, body = self.canonicalization.partition("/")
        return _sign(
            content,
            self.selector.encode(),
            self.domain.encode("idna"),
            self._pem,
            canonicalize=(header.encode(), body.encode()),
            include_headers=[name.encode() for name in self.headers] or None,
        )


rules = [DkimSign]
