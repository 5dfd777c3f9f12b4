"""TLS for the examples: octets of a socket in, octets of the dialogue out, and back. No socket is touched."""

import contextlib
import ssl

from sansio_smtp import TlsInfo


class Tls:
    """TLS on one connection: as the server, or as the client of the server with this name."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self.context = context
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_name is None, server_name)
        self.is_shaking = True

    def shake(self, data: bytes) -> TlsInfo | None:
        """Goes on with the handshake: None until it is complete. Raises `ssl.SSLError` if it fails."""
        self.incoming.write(data)
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return None
        self.is_shaking = False
        cipher, verified = self.ssl.cipher(), self.context.verify_mode is ssl.CERT_REQUIRED
        return TlsInfo(
            version=self.ssl.version() or "", cipher=cipher[0] if cipher else "", verified=verified
        )

    def decrypted(self, data: bytes = b"") -> tuple[bytes, bool]:
        """What has come, and True if no more will."""
        self.incoming.write(data)
        plain = b""
        try:
            while more := self.ssl.read(65_536):
                plain += more
        except ssl.SSLWantReadError:
            return plain, False
        except ssl.SSLError:  # what is no TLS is an end
            return plain, True
        return plain, True

    def encrypted(self, data: bytes) -> bytes:
        """The octets for the socket."""
        self.ssl.write(data)
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """The octets that say to the peer that nothing follows."""
        with contextlib.suppress(ssl.SSLError):  # the peer has not said so yet, or cannot any more
            self.ssl.unwrap()
        return self.outgoing.read()
