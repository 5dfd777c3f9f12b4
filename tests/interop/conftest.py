"""The peers: a real Postfix for the whole session, and the proxy, started anew for every test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_aiosmtpd import Sink, running_sink
from interop_certificates import Certificates
from interop_peers import Peers, running_peers
from interop_postfix import Mailbox, Postfix, prepare
from interop_proxy import Proxy, StartProxy

PEERS = {
    "postfix": "postfix",
    "smtp-source": "postfix",
    "swaks": "swaks",
    "openssl": "openssl",
}


def _need(*programs: str) -> None:
    """A missing peer fails the test: a suite that skips in silence proves nothing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: install Debian's {PEERS[program]}", pytrace=False)


@pytest.fixture(scope="session")
def postfix() -> Iterator[Postfix]:
    _need("postfix", "openssl")
    if os.geteuid() != 0:
        pytest.fail("Postfix can only be started by root", pytrace=False)
    # Not pytest's own directory: its parents are closed to the users Postfix runs as.
    root = Path(tempfile.mkdtemp(prefix="interop-postfix-"))
    root.chmod(0o755)
    try:
        server = prepare(root)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="session")
def peers() -> Iterator[Peers]:
    """A Postfix with many services: with TLS and without, with XCLIENT, XFORWARD and PROXY."""
    with running_peers() as peers:
        yield peers


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of the proxy, from an authority of its own."""
    return Certificates.made(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def mailbox(postfix: Postfix) -> Mailbox:
    return postfix.new_mailbox()


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Starts proxies in front of given ports; afterwards each must still live, and end well when asked."""
    started: list[Proxy] = []

    def start(upstream: int) -> Proxy:
        directory = tmp_path / f"proxy{len(started)}"
        directory.mkdir()
        proxy = Proxy.start(upstream, directory)
        started.append(proxy)
        return proxy

    yield start
    errors: list[Exception] = []
    for proxy in started:
        try:
            proxy.stop()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("proxies that did not end well", errors)


@pytest.fixture
def proxy(start_proxy: StartProxy, postfix: Postfix) -> Proxy:
    """The proxy before Postfix."""
    return start_proxy(postfix.port)


@pytest.fixture
def verbose_proxy(start_proxy: StartProxy, postfix: Postfix) -> Proxy:
    """The proxy before the Postfix that logs every command it gets."""
    return start_proxy(postfix.verbose_port)


@pytest.fixture
def swaks() -> str:
    _need("swaks")
    return "swaks"


@pytest.fixture
def smtp_source() -> str:
    _need("smtp-source")
    return "smtp-source"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running_sink() as sink:
        yield sink
