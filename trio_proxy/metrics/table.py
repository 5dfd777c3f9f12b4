"""Every metric, declared once: its name, labels and meaning, and how those of several workers are joined.

The registry, the table of the documentation and the check of the dashboard and the alerts follow from
`METRICS`. This module needs no library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

import attrs

__all__ = ["METRICS", "Metric", "sample_names"]

Kind = Literal["counter", "gauge", "histogram"]

_FAST: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
"""Bucket limits in seconds, for events that usually take less than a millisecond, such as most rules and
connections."""


@attrs.frozen
class Metric:
    """One metric."""

    name: str
    """The name in Prometheus; the name of a counter ends in ``_total``."""
    kind: Kind
    about: str
    """Its meaning, for ``HELP`` and for the documentation."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    join: Callable[[Iterable[float]], float] = sum
    """Joins the values of several workers."""

    @property
    def family(self) -> str:
        """The name without ``_total``, by which the library knows a counter."""
        return self.name.removesuffix("_total")


def _metrics(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: Final = _metrics(
    Metric("smtp_proxy_info", "gauge", "1; the label has the version.", ("version",), join=max),
    Metric("smtp_proxy_ready", "gauge", "1 while new clients are accepted, 0 from shutdown on.", join=max),
    Metric("smtp_proxy_sessions_open", "gauge", "Sessions that are open."),
    Metric("smtp_proxy_sessions_total", "counter", "Sessions that have begun."),
    Metric(
        "smtp_proxy_sessions_ended_total",
        "counter",
        "Sessions that have ended, by cause: quit (the client sent QUIT); client (it left without QUIT); "
        "timeout; shutdown (the service stops); server, proxy or rule (421, by who decided it); error "
        "(an internal error).",
        ("how",),
    ),
    Metric(
        "smtp_proxy_messages_total",
        "counter",
        "Messages that were answered, by result and by who decided it (server, proxy or rule): "
        "relayed; kept (by the built-in server); refused; discarded; held; split (not the same for all "
        "recipients).",
        ("fate", "by"),
    ),
    Metric(
        "smtp_proxy_message_bytes",
        "histogram",
        "Size of the messages of clients, as they came.",
        buckets=(1e3, 1e4, 1e5, 1e6, 1e7, 1e8),
    ),
    Metric(
        "smtp_proxy_message_seconds",
        "histogram",
        "Time of a message, from its first command to the reply, that was spent waiting for the client, for "
        "the server, and for rules.",
        ("waiting_for",),
        (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0),
    ),
    Metric(
        "smtp_proxy_refusals_total",
        "counter",
        "MAIL and RCPT commands that were answered 4xx or 5xx, by who decided the reply.",
        ("command", "by"),
    ),
    Metric(
        "smtp_proxy_replies_total",
        "counter",
        "Replies to clients, by their code, by its first digit (2xx), and by who has decided the reply: "
        "server, proxy or rule.",
        ("class", "code", "origin"),
    ),
    Metric(
        "smtp_proxy_network_bytes_total",
        "counter",
        "Octets on the wire, TLS included: from and to clients (side client), from and to servers (side "
        "server).",
        ("side", "direction"),
    ),
    Metric(
        "smtp_proxy_tls_handshakes_total",
        "counter",
        "Complete TLS handshakes, by side and version.",
        ("side", "version"),
    ),
    Metric("smtp_proxy_tls_failures_total", "counter", "TLS handshakes that have failed.", ("side",)),
    Metric(
        "smtp_proxy_certificate_expires_seconds",
        "gauge",
        "Until when a certificate for clients is valid, in seconds since 1970, by the names in it.",
        ("names",),
        join=min,
    ),
    Metric(
        "smtp_proxy_upstream_connects_total",
        "counter",
        "Connections to servers, by result: connected; kept (one that was there already); failed (no "
        "connection, or a server that cannot be used).",
        ("upstream", "result"),
    ),
    Metric(
        "smtp_proxy_upstream_connect_seconds",
        "histogram",
        "Time until a server was connected, name resolution included.",
        ("upstream",),
        _FAST,
    ),
    Metric(
        "smtp_proxy_upstream_up",
        "gauge",
        "1 if the last connection to this server succeeded, 0 if it failed. Servers that the settings no "
        "longer name are left out.",
        ("upstream",),
        join=min,
    ),
    Metric(
        "smtp_proxy_rule_seconds",
        "histogram",
        "Time of each call of a rule, waiting included.",
        ("rule", "phase"),
        _FAST,
    ),
    Metric(
        "smtp_proxy_rule_verdicts_total",
        "counter",
        "Verdicts of rules: accept, reject, defer, discard, hold, close, redirect, or failed. A rule that "
        "lets things go on gives none.",
        ("rule", "phase", "verdict"),
    ),
    Metric(
        "smtp_proxy_reloads_total",
        "counter",
        "Reloads of settings and rules, by result: done; refused (something is wrong, and all stayed as it "
        "was). With workers, each worker that was asked counts.",
        ("result",),
    ),
    Metric("smtp_proxy_held_bytes", "gauge", "Memory of all messages that are held for rules."),
    Metric(
        "smtp_proxy_limit_hits_total",
        "counter",
        "Clients that were refused or slowed down by a limit.",
        ("limit",),
    ),
)
"""Name → metric."""


def sample_names() -> frozenset[str]:
    """Every name that a query can use."""
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
    return frozenset(metric.name + suffix for metric in METRICS.values() for suffix in suffixes[metric.kind])
