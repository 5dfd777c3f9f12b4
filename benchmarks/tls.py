"""Measures TLS on both sides, compared with HAProxy.

smtp-source → a HAProxy that adds TLS → the peer → the same HAProxy, which removes TLS → smtp-sink. Only the
CPU time of the peer counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .peers import NO_REUSE, Peer, Place, Running, haproxy_command
from .programs import free_port, running
from .running import Run
from .workloads import WORKLOADS

from interop_certificates import Certificates  # isort: skip

__all__ = ["TLS_WORKLOADS", "between_tls"]

TLS_WORKLOADS = tuple(
    replace(workload, messages=messages)
    for name, messages in (("keep-alive", 1000), ("small", 200), ("10 MiB", 6))
    for workload in WORKLOADS
    if workload.name == name
)
"""Handshakes are expensive, so there are fewer connections."""


@contextlib.contextmanager
def between_tls(run: Run, peers: Sequence[Peer]) -> Iterator[dict[str, Running]]:
    """The peers, each with the port that makes TLS for it."""
    files = Certificates.made(run.tmp)
    takes_off, probe = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        place = Place(run.tmp, takes_off, files)
        started = {peer.name: stack.enter_context(peer.running(place)) for peer in peers}
        wraps = {name: free_port() for name in started}
        sink = f"    server sink 127.0.0.1:{run.sink.port}"
        lines = [f"listen probe\n    bind 127.0.0.1:{probe}", sink]
        lines += [f"listen off\n    bind 127.0.0.1:{takes_off} ssl crt {files.both}", sink]
        for number, (name, peer) in enumerate(started.items()):
            lines += [f"listen on{number}\n    bind 127.0.0.1:{wraps[name]}"]
            lines += [f"    server peer 127.0.0.1:{peer.port} {NO_REUSE}"]
        command = haproxy_command(run.tmp / "tls-helper.cfg", *lines)
        stack.enter_context(running("TLS helper", command, probe, run.tmp))
        yield {name: Running(peer.pid, wraps[name]) for name, peer in started.items()}
