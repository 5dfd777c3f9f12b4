"""A real OpenDKIM of our own: a milter that signs or verifies, and a judge of files. It resolves nothing."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import attrs
from interop_daemon import Daemon, need

DOMAIN = "me.example"
SELECTOR = "s1"

COMMON = """
Background no
Syslog no
RequireSafeKeys no
TestDNSData file:{directory}/dns
"""
VERIFIER = """
Mode v
On-BadSignature reject
AuthservID verifier.example
AlwaysAddARHeader yes
"""
SIGNER = """
Mode s
Domain {domain}
Selector {selector}
KeyFile {directory}/key.pem
InternalHosts 0.0.0.0/0
Canonicalization relaxed/simple
"""


@attrs.define
class OpenDKIM:
    """Keys, and what is needed to sign and verify with them."""

    directory: Path

    @classmethod
    def prepare(cls, directory: Path) -> OpenDKIM:
        need("opendkim", "opendkim")
        need("openssl", "openssl")
        key = directory / "key.pem"
        subprocess.run(
            ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True, timeout=60
        )
        command = ["openssl", "rsa", "-in", str(key), "-pubout", "-outform", "DER"]
        public = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        record = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
        (directory / "dns").write_text(f"{SELECTOR}._domainkey.{DOMAIN} {record}\n")
        for name, text in (("verifier", VERIFIER), ("signer", SIGNER)):
            values = {"directory": directory, "domain": DOMAIN, "selector": SELECTOR}
            (directory / f"{name}.conf").write_text((COMMON + text).format(**values))
        return cls(directory)

    @property
    def key(self) -> Path:
        """The private key, as PEM."""
        return self.directory / "key.pem"

    def verdict(self, content: bytes) -> str:
        """What OpenDKIM says of the signature of a message: ``"succeeded"``, or why not."""
        (self.directory / "message.eml").write_bytes(content)
        config = str(self.directory / "verifier.conf")
        command = ["opendkim", "-x", config, "-t", str(self.directory / "message.eml")]
        done = subprocess.run(command, check=False, capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).decode()
        found = re.search(rf"verification \(s={SELECTOR},? d={DOMAIN}, 2048-bit key.*\) (.*)", said)
        return found[1] if found else said

    @contextmanager
    def running(self, name: Literal["signer", "verifier"]) -> Iterator[str]:
        """The milter; gives its address."""
        socket = self.directory / f"{name}.sock"
        config = str(self.directory / f"{name}.conf")
        command = ["opendkim", "-f", "-x", config, "-p", f"local:{socket}"]
        daemon = Daemon(command, self.directory / f"{name}.log", socket)
        daemon.start()
        try:
            yield f"unix:{socket}"
        finally:
            daemon.kill()  # if it is asked, it takes seconds
            socket.unlink(missing_ok=True)
