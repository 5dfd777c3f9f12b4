"""aiosmtpd as the upstream: another server's idea of SMTP, and one that keeps the octets it got."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from interop_postfix import free_port

LONGEST_LINE = 1_000_000


class LongLineSMTP(SMTP):
    """It stops reading at 1000 octets otherwise, and says so with 500."""

    line_length_limit = LONGEST_LINE


class Sink:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.port = 0
        self.envelopes: list[Envelope] = []
        self._lock = threading.Lock()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        with self._lock:
            self.envelopes.append(envelope)
        return "250 2.0.0 kept"

    def contents(self) -> list[bytes]:
        with self._lock:
            contents = [envelope.original_content for envelope in self.envelopes]
        assert None not in contents
        return [content for content in contents if content is not None]


class _Controller(Controller):
    def factory(self) -> Any:
        return LongLineSMTP(self.handler, **self.SMTP_kwargs)


@contextmanager
def running_sink() -> Iterator[Sink]:
    sink = Sink()
    sink.port = free_port()
    controller = _Controller(
        sink,
        hostname="127.0.0.1",
        port=sink.port,
        ready_timeout=20,
        enable_SMTPUTF8=True,
        data_size_limit=20_000_000,
        ident="interop sink",
    )
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
