"""Log lines of a session name its client."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from sansio_smtp import ClientInfo, TlsInfo
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
