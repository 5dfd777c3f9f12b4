"""The rule ``ready:rspamd`` with a real Rspamd: what it says is done to mail in flight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_aiosmtpd import Sink
from interop_daemon import open_directory
from interop_proxy import Proxy
from interop_rspamd import ADD_HEADER, REJECT, REWRITE_SUBJECT, RspamdServer, running_rspamd
from interop_rules import MAIL, running_proxy, send

pytestmark = pytest.mark.interop

RULE = "ready:rspamd"


@pytest.fixture(scope="module")
def rspamd() -> Iterator[RspamdServer]:
    with open_directory("rspamd") as directory, running_rspamd(directory) as rspamd:
        yield rspamd


def settings(rspamd: RspamdServer) -> str:
    return f'[rules.rspamd]\nurl = "http://127.0.0.1:{rspamd.port}"\n'


@pytest.fixture
def proxy(rspamd: RspamdServer, sink: Sink, tmp_path: Path) -> Iterator[Proxy]:
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=settings(rspamd)) as proxy:
        yield proxy


def ordering(order: bytes) -> bytes:
    return b"X-Order: " + order + b"\r\n" + MAIL


def test_gtube_is_refused_in_flight(proxy: Proxy, sink: Sink) -> None:
    assert send(proxy, MAIL + REJECT + b"\r\n") == (550, b"5.7.1 Gtube pattern")
    assert sink.contents() == []


def test_clean_mail_passes_untouched(proxy: Proxy, sink: Sink) -> None:
    assert send(proxy)[0] == 250
    assert sink.contents() == [MAIL]


def test_spam_is_marked(proxy: Proxy, sink: Sink) -> None:
    content = MAIL + ADD_HEADER + b"\r\n"
    assert send(proxy, content)[0] == 250
    assert sink.contents() == [content.replace(b"\r\n\r\n", b"\r\nX-Spam: Yes\r\n\r\n", 1)]


def test_the_subject_is_rewritten(proxy: Proxy, sink: Sink) -> None:
    content = MAIL + REWRITE_SUBJECT + b"\r\n"
    assert send(proxy, content)[0] == 250
    assert sink.contents() == [content.replace(b"Subject: hi", b"Subject: *** SPAM *** hi")]


def test_soft_reject_is_try_again(proxy: Proxy, sink: Sink) -> None:
    assert send(proxy, ordering(b"soft reject")) == (451, b"4.7.1 Come back later")
    assert sink.contents() == []


def test_header_fields_that_rspamd_wants(proxy: Proxy, sink: Sink) -> None:
    assert send(proxy, ordering(b"edit"))[0] == 250
    head, _, body = sink.contents()[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert not head.startswith(b"X-Order")
    assert b"X-Added: one" in lines
    assert b"X-Valued: two;\r\n\tthree" in head
    assert body == b"hello\r\n"


def test_rspamd_knows_the_envelope(proxy: Proxy, sink: Sink) -> None:
    assert send(proxy, ordering(b"envelope"))[0] == 250
    assert b"X-Seen: a@me.example b@mx.example 127.0.0.1 client.example\r\n" in sink.contents()[0]


def test_rspamd_goes_away_and_comes_back(sink: Sink, tmp_path: Path) -> None:
    with (
        open_directory("rspamd") as directory,
        running_rspamd(directory) as rspamd,
        running_proxy(tmp_path / "proxy", sink.port, RULE, settings=settings(rspamd)) as proxy,
    ):
        assert send(proxy)[0] == 250
        rspamd.daemon.stop()
        assert [send(proxy)[0] for _ in range(3)] == [451, 451, 451]
        rspamd.daemon.start()
        assert send(proxy)[0] == 250
        log = proxy.log()
    assert sink.contents() == [MAIL, MAIL]
    assert (log.count("rspamd cannot be asked"), log.count("rspamd answers again")) == (1, 1)
