"""The pages of a service, and that it goes on without them."""

from __future__ import annotations

import socket
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from trio_proxy.admin.http import Request
from trio_proxy.admin.pages import Pages
from trio_proxy.admin.service import Admin, serve_pages
from trio_proxy.commands import admin as command
from trio_proxy.commands.admin import admin_of, admin_problems, open_admin
from trio_proxy.commands.run import run
from trio_proxy.commands.supervise import supervise
from trio_proxy.driver.listening import ListenError
from trio_proxy.metrics.meter import NO_METER
from trio_proxy.metrics.registry import Metrics
from trio_proxy.process.user import User, UserError
from trio_proxy.settings.kinds import ADMIN
from trio_proxy.settings.options import Options
from trio_proxy.text.addresses import Address


def test_pages() -> None:
    ready = True
    pages = Pages(Metrics().registry, lambda: ready)
    assert pages.answer(Request("/healthz")).status == 200
    assert pages.answer(Request("/readyz")).status == 200
    ready = False
    assert pages.answer(Request("/readyz")).status == 503
    assert pages.answer(Request("/healthz")).status == 200
    lost = pages.answer(Request("/metric"))
    assert lost.status == 404
    assert b"/metrics" in lost.body


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text", "text/plain;version=0.0.4"])
def test_metrics_in_the_format_that_is_asked_for(accept: str) -> None:
    page = Pages(Metrics().registry, lambda: True).answer(Request("/metrics", accept))
    assert page.kind.partition(";")[0] == (accept or "text/plain").partition(";")[0]
    assert b"\nsmtp_proxy_sessions_open 0.0\n" in page.body


def test_it_is_ready_from_the_first_client_on_until_it_stops() -> None:
    admin, stop = Admin(Address("127.0.0.1", 0)), trio.Event()
    assert not admin.is_ready
    admin.ready_until(stop)
    assert admin.is_ready
    stop.set()
    assert not admin.is_ready


async def test_an_address_that_is_in_use(
    logs: list[MutableMapping[str, Any]], autojump_clock: trio.testing.MockClock
) -> None:
    """It is said once, and tried until it works."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_pages, address, Metrics().registry, lambda: True)
            await trio.sleep(60)
            what = "no admin pages yet; the address is tried again until it is free"
            assert [line["event"] for line in logs] == [what]
            assert f"cannot listen on {address}: it is in use" in logs[0]["error"]
            taken.close()
            await trio.sleep(60)
            assert [line["event"] for line in logs[1:]] == ["admin pages are served now"]
            nursery.cancel_scope.cancel()


async def test_an_address_that_was_bound_before(tmp_path: Path) -> None:
    path = tmp_path / "admin"
    address = Address(path=str(path))
    with ExitStack() as stack:
        given = open_admin(Options(admin=address), stack)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_pages, address, Metrics().registry, lambda: True, given)
            stream = await trio.open_unix_socket(path)
            await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(20):
                said = b"".join([data async for data in stream])
            assert said.endswith(b"\r\n\r\nready\n")
            await stream.aclose()
            assert given(address) == []
            nursery.cancel_scope.cancel()
    assert not path.exists()


def test_what_waiting_does_not_help_is_no_start() -> None:
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = Address(*taken.getsockname())
            assert open_admin(Options(admin=address), stack)(address) == []
        with pytest.raises(
            ListenError, match=r"^--admin: cannot listen on 192\.0\.2\.1:91: this machine has no"
        ):
            open_admin(Options(admin=Address("192.0.2.1", 91)), stack)


@pytest.mark.parametrize("start", [run, supervise])
def test_it_is_bound_before_rights_are_given_up(
    start: Callable[[Options], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    admin = Address(path=str(tmp_path / "admin"))
    options = Options(listen=(Address("127.0.0.1", 0),), admin=admin, user="mail")

    class Rights:
        @staticmethod
        def become() -> None:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(admin.path))
            raise UserError("given up")

    monkeypatch.setattr(User, "named", lambda _: Rights)
    before = structlog.get_config()
    try:
        with pytest.raises(UserError, match="given up"):
            start(options)
    finally:
        structlog.configure(**before)


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(admin=Address("127.0.0.1", 9025))
    assert admin_problems(options) == []
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    (problem,) = admin_problems(options)
    assert str(problem) == (
        "--admin 127.0.0.1:9025 needs prometheus-client and h11: pip install 'sansio-smtp[metrics]'"
    )
    assert admin_problems(Options()) == []


@pytest.mark.parametrize("text", ["smtps://127.0.0.1:9025", "lmtp://127.0.0.1:9025", "127.0.0.1", "9025x"])
def test_an_address_that_is_none_for_pages(text: str) -> None:
    with pytest.raises(ValueError, match=r"HTTP|port"):
        ADMIN.read(text)


def test_without_the_option_nothing_is_counted() -> None:
    admin = admin_of(Options())
    assert admin.meter is NO_METER
