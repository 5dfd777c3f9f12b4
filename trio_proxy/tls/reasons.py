"""Says in plain words why a handshake has failed."""

from __future__ import annotations

import ssl
from typing import Final

__all__ = ["NO_NAME", "reason"]

NO_NAME: Final = "there is no name to check the certificate for; say --upstream-tls-name"

_OF_CERTIFICATES: Final = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the CA that has signed the certificate is not known here",
    20: "the CA that has signed the certificate is not known here",
    21: "the CA that has signed the certificate is not known here, and the peer has sent no chain",
    23: "the certificate has been revoked",
    26: "the certificate is not made for this purpose",
}
"""OpenSSL's number for the result of a check (X509_V_ERR_...) → text."""
_OTHER_NAME: Final = frozenset((62, 64))
"""The numbers for a certificate of another host or IP address."""

_OF_PROTOCOL: Final = {
    "WRONG_VERSION_NUMBER": "what came is not TLS",
    "UNKNOWN_PROTOCOL": "what came is not TLS",
    "RECORD_LAYER_FAILURE": "what came is not TLS",
    "PACKET_LENGTH_TOO_LONG": "what came is not TLS",
    "HTTP_REQUEST": "what came is HTTP, not TLS",
    "HTTPS_PROXY_REQUEST": "what came is HTTP, not TLS",
    "UNSUPPORTED_PROTOCOL": "the peer knows no TLS version above 1.1",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer takes no TLS version that is allowed here (1.2 or 1.3)",
    "NO_SHARED_CIPHER": "no cipher suite is common to both",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the peer refuses: nothing common to both, or it demands a certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not know the CA of the certificate it was shown",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refuses the certificate it was shown",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says that the certificate it was shown has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer refuses the certificate it was shown",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the peer cannot use a certificate of this kind",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer demands a certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has shown no certificate",
    "TLSV1_UNRECOGNIZED_NAME": "the peer has no certificate for the name that it was asked for",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "what came was changed on its way, or is not TLS",
    "CALLBACK_FAILED": "the name that was asked for (SNI) is not ASCII",
    "NO_RENEGOTIATION": "renegotiation is refused",
}
"""OpenSSL's reason → text."""


def reason(error: ssl.SSLError | ValueError, server_name: str | None = None) -> str:
    """Says why a handshake, or TLS after it, has failed. ``server_name``: the name that was checked."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return f"the certificate is not for {server_name}"
        return _OF_CERTIFICATES.get(error.verify_code, error.verify_message)
    if not isinstance(error, ssl.SSLError):
        return str(error)
    known = error.reason or ""
    return _OF_PROTOCOL.get(known) or known.replace("_", " ").lower() or "it was broken off"
