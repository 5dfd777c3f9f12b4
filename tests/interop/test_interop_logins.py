"""Who has logged in: what mail servers say, and what the core reads of the same exchanges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interop_daemon import open_directory
from interop_logins import Reader, aiosmtpd_reader, dovecot_reader, exim_reader
from neighbours.logins import Exchange, exchanges

from sansio_smtp.wire.login_names import prepared
from sansio_smtp.wire.sasl import identity

pytestmark = [pytest.mark.interop, pytest.mark.any_io]

PLAIN_ONES = ("PLAIN", "LOGIN")
DOVECOT_COUNT = 150
"""Dovecot answers half a second after a login that has failed."""
COUNTS: dict[str, dict[str, int]] = {}


@pytest.fixture(scope="module", params=["aiosmtpd", "exim", "dovecot"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Reader]]:
    name: str = request.param
    with open_directory(name) as root:
        if name == "aiosmtpd":
            with aiosmtpd_reader() as reader:
                yield name, reader
        elif name == "exim":
            with exim_reader(root) as reader:
                yield name, reader
        else:
            with dovecot_reader(root) as reader:
                yield name, reader
    print(f"\n{name}: {COUNTS.get(name)}")


MECHANISMS = {
    "aiosmtpd": PLAIN_ONES,
    "exim": (*PLAIN_ONES, "CRAM-MD5"),
    "dovecot": (*PLAIN_ONES, "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"),
}


@settings(
    max_examples=2_000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_login_that_a_server_accepts_is_read_as_the_server_reads_it_or_unknown(
    server: tuple[str, Reader], data: st.DataObject
) -> None:
    name, reader = server
    exchange: Exchange = data.draw(exchanges(MECHANISMS[name]))
    counts = COUNTS.setdefault(name, dict.fromkeys(("drawn", "accepted", "the same", "unknown"), 0))
    if name == "dovecot" and counts["drawn"] >= DOVECOT_COUNT:
        return
    counts["drawn"] += 1
    outcome = reader.read(exchange)
    if outcome.name is None:
        return
    counts["accepted"] += 1
    read = identity(exchange.said(len(outcome.challenges), outcome.challenges))
    counts["unknown" if read is None else "the same"] += 1
    assert read is None or read == prepared(outcome.name.decode("utf-8", "replace")), (exchange, outcome)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_each_mechanism_logs_in(server: tuple[str, Reader], mechanism: str) -> None:
    """The servers take what is right: else the test above would compare nothing."""
    name, reader = server
    if mechanism not in MECHANISMS[name]:
        return
    exchange = {
        "PLAIN": Exchange("PLAIN", b"AGFubgBzZWNyZXQ=", ()),
        "LOGIN": Exchange("LOGIN", None, (b"YW5u", b"c2VjcmV0")),
        "CRAM-MD5": Exchange("CRAM-MD5", None, (b"CRAM",), b"ann"),
        "SCRAM-SHA-1": Exchange("SCRAM-SHA-1", b"biwsbj1hbm4scj14", (b"SCRAM", b""), b"ann"),
        "SCRAM-SHA-256": Exchange("SCRAM-SHA-256", b"biwsbj1hbm4scj14", (b"SCRAM", b""), b"ann"),
    }[mechanism]
    outcome = reader.read(exchange)
    assert outcome.name == b"ann"
    assert identity(exchange.said(len(outcome.challenges), outcome.challenges)) == "ann"
