"""The certificate for development."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from handshakes import shake_hands

from sansio_smtp import UpstreamTls
from trio_proxy.text.addresses import Address
from trio_proxy.tls.certificates import load_pair
from trio_proxy.tls.info import info_of
from trio_proxy.tls.self_signed import self_signed
from trio_proxy.tls.server_side import ServerTls
from trio_proxy.tls.upstream import UpstreamSecurity


def test_it_is_for_these_names_and_goes_with_its_files() -> None:
    with self_signed(["localhost", "127.0.0.1", "::1"]) as pair:
        certificate = load_pair(pair)
        assert certificate.names == ("localhost", "127.0.0.1", "::1")
        assert certificate.is_self_signed
        now = datetime.now(UTC)
        assert certificate.not_before < now - timedelta(minutes=30), "clocks differ"
        assert 28 <= certificate.days_left(now) <= 30
        modes = {stat.S_IMODE(file.stat().st_mode) for file in (pair.certificate, pair.key)}
        assert modes == {0o600}
    assert not pair.key.parent.exists()


def test_who_has_its_file_can_verify_it(tmp_path: Path) -> None:
    with self_signed(["localhost"]) as pair, self_signed(["localhost"]) as other:
        server = ServerTls.load([pair])
        security = UpstreamSecurity.load(UpstreamTls.VERIFY, pair.certificate)
        leg = security.leg(Address("localhost", 25))
        assert info_of(shake_hands(leg.context, server.context, leg.server_name)[0]).verified
        assert load_pair(pair).fingerprint != load_pair(other).fingerprint


def test_a_long_name_and_none() -> None:
    name = ".".join(["a" * 60] * 3)
    with self_signed([name]) as pair:
        assert load_pair(pair).names == (name,)
    with pytest.raises(ValueError, match="at least one name"), self_signed([]):
        pass
