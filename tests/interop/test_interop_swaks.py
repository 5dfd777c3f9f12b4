"""swaks, the postmaster's test tool, through the proxy into Postfix."""

import re
import subprocess
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from interop_postfix import REFUSED, SENDER, Mailbox, Postfix
from interop_proxy import Proxy

pytestmark = pytest.mark.interop

SERVER_LINE = re.compile(r"^<(?:-|\*\*) +(\d{3})( .*|)$", re.MULTILINE)
NO_RECIPIENT_ACCEPTED = 24  # swaks' own exit codes, from its manual
NO_STARTTLS = 29


@dataclass(frozen=True)
class Run:
    status: int
    transcript: str

    @property
    def codes(self) -> list[int]:
        """The reply codes in order, each reply's last line."""
        return [int(match[1]) for match in SERVER_LINE.finditer(self.transcript)]


def run(swaks: str, proxy: Proxy, recipient: str, *options: str) -> Run:
    command = [swaks, "--server", proxy.host, "--port", str(proxy.port), "--helo", "client.test"]
    command += ["--from", SENDER, "--to", recipient, "--timeout", "20", *options]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return Run(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))


DIALOGUE = [220, 250, 250, 250, 354, 250, 221]


@pytest.mark.parametrize(
    "options",
    [[], ["--pipeline"], ["--protocol", "SMTP"], ["--tls-optional"], ["--pipeline", "--tls-optional"]],
    ids=" ".join,
)
def test_a_message(swaks: str, proxy: Proxy, mailbox: Mailbox, options: list[str]) -> None:
    """TLS being optional, swaks sends in the clear: the proxy offers no STARTTLS although Postfix does."""
    body = ".leading dot\\n..two\\n.\\nend"
    done = run(swaks, proxy, mailbox.address, "--header", "Subject: swaks", "--body", body, *options)
    assert done.status == 0, done.transcript
    assert done.codes == DIALOGUE, done.transcript
    content = mailbox.message().content
    assert b"\nSubject: swaks\n" in content
    assert b"\n\n.leading dot\n..two\n.\nend\n" in content


@pytest.mark.parametrize("options", [[], ["--pipeline"]], ids=["one by one", "pipelined"])
def test_refused_recipient(swaks: str, proxy: Proxy, options: list[str]) -> None:
    done = run(swaks, proxy, REFUSED, *options)
    assert done.status == NO_RECIPIENT_ACCEPTED, done.transcript
    assert 550 in done.codes, done.transcript
    assert 354 not in done.codes, done.transcript
    assert "User unknown" in done.transcript


@pytest.mark.parametrize("options", [[], ["--pipeline"]], ids=["one by one", "pipelined"])
def test_some_recipients_refused(swaks: str, proxy: Proxy, postfix: Postfix, options: list[str]) -> None:
    first, second = postfix.new_mailbox(), postfix.new_mailbox()
    recipients = f"{first.address},{REFUSED},{second.address}"
    done = run(swaks, proxy, recipients, *options)
    assert done.status == 0, done.transcript
    assert done.codes == [220, 250, 250, 250, 550, 250, 354, 250, 221], done.transcript
    assert first.message().content == second.message().content


@pytest.mark.parametrize("options", [[], ["--pipeline"]], ids=["one by one", "pipelined"])
def test_attachment(swaks: str, proxy: Proxy, mailbox: Mailbox, tmp_path: Path, options: list[str]) -> None:
    attachment = tmp_path / "octets.bin"
    attachment.write_bytes(bytes(range(256)) * 2000)
    done = run(swaks, proxy, mailbox.address, "--attach", f"@{attachment}", *options)
    assert done.status == 0, done.transcript
    assert done.codes == DIALOGUE, done.transcript
    parsed = message_from_bytes(mailbox.message().content, policy=policy.default)
    (attached,) = (part for part in parsed.walk() if part.get_content_type() == "application/octet-stream")
    assert attached.get_payload(decode=True) == attachment.read_bytes()


def test_starttls_is_not_on_offer(swaks: str, proxy: Proxy) -> None:
    done = run(swaks, proxy, REFUSED, "--tls")
    assert done.status == NO_STARTTLS, done.transcript
    assert "did not advertise STARTTLS" in done.transcript
