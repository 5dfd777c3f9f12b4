"""Log lines of a session name its client."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from sansio_smtp import ClientInfo, TlsInfo
from trio_proxy.text import logs as logs_module
from trio_proxy.text.session_log import SessionLog

Logs = list[MutableMapping[str, Any]]

PEER = ClientInfo(address="10.0.0.1:40000")
NAMED = ClientInfo(address="192.0.2.7:51000", proxy_ip="10.0.0.1", tls=TlsInfo(version="TLSv1.3"))


def test_lines_name_who_the_client_is_by_then(logs: Logs) -> None:
    log = SessionLog("c7", PEER)
    log.info("first", size=1)
    log.name(NAMED)
    log.warning("second")
    log.name(PEER)
    log.error("third")
    log.debug("fourth")
    peer = {"conn": "c7", "peer": "10.0.0.1:40000"}
    named = {"conn": "c7", "peer": "192.0.2.7:51000", "proxy": "10.0.0.1", "tls": "TLSv1.3"}
    assert logs == [
        {"event": "first", "log_level": "info", "size": 1, **peer},
        {"event": "second", "log_level": "warning", **named},
        {"event": "third", "log_level": "error", **peer},
        {"event": "fourth", "log_level": "debug", **peer},
    ]
    assert log.is_enabled_for(logging.INFO)


def test_a_health_check_warns_only(logs: Logs) -> None:
    log = SessionLog("c7", PEER)
    quiet = True
    assert not log.may_be_check
    log.be_quiet_while(lambda: quiet)
    assert log.may_be_check
    for line in (log.debug, log.info, log.warning, log.error):
        line("it")
    quiet = False
    log.info("it")
    log.debug("it")
    assert [entry["log_level"] for entry in logs] == ["warning", "error", "info", "debug"]


@pytest.fixture
def configured_anew() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("configured_anew")
@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_about_mail(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """They say what other lines say of the client, also after it was named."""
    logs_module.configure(0, form=form)
    log = SessionLog("c7", PEER)
    assert log.tells
    log.tell("message relayed", {"size": 1})
    log.name(NAMED)
    log.tell("message relayed", {"size": 2})
    log.warning("odd")
    logs_module.configure(-1, form=form)
    quiet = SessionLog("c8", PEER)
    quiet.tell("message relayed", {"size": 3})
    assert not quiet.tells
    levels = (logging.DEBUG, logging.WARNING, logging.ERROR)
    assert [quiet.is_enabled_for(level) for level in levels] == [False, False, True]
    first, second, other = capsys.readouterr().err.splitlines()
    if form == "json":
        named = {"conn": "c7", "peer": "192.0.2.7:51000", "proxy": "10.0.0.1", "tls": "TLSv1.3"}
        assert json.loads(first).items() >= {"conn": "c7", "peer": "10.0.0.1:40000", "size": 1}.items()
        assert json.loads(second).items() >= (named | {"size": 2, "level": "info"}).items()
        assert list(json.loads(second)) == ["time", "level", "event", *named, "size"]
        assert json.loads(other).items() >= named.items()
    else:
        assert first.endswith("message relayed conn=c7 peer=10.0.0.1:40000 size=1")
        named_text = "conn=c7 peer=192.0.2.7:51000 proxy=10.0.0.1 tls=TLSv1.3"
        assert second.endswith(f"message relayed {named_text} size=2")


@pytest.mark.usefixtures("configured_anew")
def test_a_value_of_such_a_line_that_cannot_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    logs_module.configure(0, form="json")
    SessionLog("c7", PEER).tell("message relayed", {"odd": Odd(), "size": 1})
    line = json.loads(capsys.readouterr().err)
    assert "cannot be shown" in line["odd"]
    assert (line["conn"], line["size"]) == ("c7", 1)
