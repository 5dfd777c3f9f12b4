"""The rule ``ready:milter`` with real milters: OpenDKIM that signs and verifies, and Rspamd."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop_aiosmtpd import Sink
from interop_daemon import open_directory
from interop_opendkim import OpenDKIM
from interop_rspamd import ADD_HEADER, REJECT, RspamdServer, running_rspamd
from interop_rules import MAIL, running_proxy, send

pytestmark = pytest.mark.interop

RULE = "ready:milter"
CONTENTS = {
    "short": MAIL,
    "folded": b"X-Folded: one\r\n\ttwo\r\n  three\r\n" + MAIL,
    "no blanks": MAIL.replace(b": ", b":"),
    "large": MAIL + b"0123456789\r\n" * 20_000,
    "no body": MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
}


@pytest.fixture(scope="module")
def opendkim() -> Iterator[OpenDKIM]:
    with open_directory("opendkim") as directory:
        yield OpenDKIM.prepare(directory)


@pytest.fixture(scope="module")
def signer(opendkim: OpenDKIM) -> Iterator[str]:
    with opendkim.running("signer") as address:
        yield address


@pytest.fixture(scope="module")
def verifier(opendkim: OpenDKIM) -> Iterator[str]:
    with opendkim.running("verifier") as address:
        yield address


@pytest.fixture(scope="module")
def rspamd() -> Iterator[RspamdServer]:
    with open_directory("rspamd") as directory, running_rspamd(directory) as rspamd:
        yield rspamd


def settings(address: str) -> str:
    return f'[rules.milter]\naddress = "{address}"\nname = "proxy.example"\n'


def test_opendkim_signs(opendkim: OpenDKIM, signer: str, sink: Sink, tmp_path: Path) -> None:
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=settings(signer)) as proxy:
        for content in CONTENTS.values():
            assert send(proxy, content)[0] == 250
    for name, arrived in zip(CONTENTS, sink.contents(), strict=True):
        assert arrived.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; ")
        assert arrived.endswith(CONTENTS[name])
        assert (name, opendkim.verdict(arrived)) == (name, "succeeded")


def test_a_milter_gets_fields_octet_for_octet(
    opendkim: OpenDKIM, verifier: str, sink: Sink, tmp_path: Path
) -> None:
    """The signature is made in the strictest way: blanks and folds of fields are part of what is signed."""
    odd = b"X-Odd:no blank\r\nX-Odd:  two\r\nX-Odd:\t folded\r\n \tagain  \r\n" + MAIL
    names = [b"From", b"To", b"Subject", b"X-Odd", b"X-Odd", b"X-Odd"]
    sign = importlib.import_module("dkim").sign
    key = opendkim.key.read_bytes()
    field: bytes = sign(
        odd, b"s1", b"me.example", key, canonicalize=(b"simple", b"simple"), include_headers=names
    )
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=settings(verifier)) as proxy:
        assert send(proxy, field + odd)[0] == 250
        (arrived,) = sink.contents()
        assert arrived.endswith(field + odd)
        assert b"dkim=pass" in arrived.removesuffix(field + odd)
        assert send(proxy, field + odd.replace(b"X-Odd:no", b"X-Odd: no"))[0] == 550


def test_opendkim_verifies(signer: str, verifier: str, sink: Sink, tmp_path: Path) -> None:
    with (
        running_proxy(tmp_path / "second", sink.port, RULE, settings=settings(verifier)) as second,
        running_proxy(tmp_path / "first", second.port, RULE, settings=settings(signer)) as first,
    ):
        assert send(first)[0] == 250
        (arrived,) = sink.contents()
        assert arrived.startswith(b"Authentication-Results: verifier.example;")
        assert b"dkim=pass" in arrived.partition(b"DKIM-Signature")[0]
        spoilt = arrived[arrived.index(b"DKIM-Signature") :].replace(b"hello", b"hallo")
        code, _ = send(second, spoilt)
        assert code == 550
    assert len(sink.contents()) == 1


def test_rspamd_refuses_gtube_in_flight(rspamd: RspamdServer, sink: Sink, tmp_path: Path) -> None:
    address = f"127.0.0.1:{rspamd.milter_port}"
    with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=settings(address)) as proxy:
        code, text = send(proxy, MAIL + REJECT + b"\r\n")
        assert (code // 100, b"Gtube" in text) == (5, True)
        assert sink.contents() == []
        assert send(proxy)[0] == 250
        assert sink.contents() == [MAIL]
        assert send(proxy, b"X-Order: soft reject\r\n" + MAIL)[0] == 451
        assert send(proxy, MAIL + ADD_HEADER + b"\r\n")[0] == 250
        assert b"\r\nX-Spam: Yes\r\n" in sink.contents()[1]
        assert send(proxy, b"X-Order: edit\r\n" + MAIL)[0] == 250
        edited = sink.contents()[2]
        assert b"X-Order" not in edited
        assert b"X-Added: one\r\n" in edited
        assert b"X-Valued: two;\r\n\tthree\r\n" in edited
        assert send(proxy, b"X-Order: envelope\r\n" + MAIL)[0] == 250
        assert b"X-Seen: a@me.example b@mx.example 127.0.0.1 client.example\r\n" in sink.contents()[3]


def test_one_milter_behind_another(
    opendkim: OpenDKIM, signer: str, rspamd: RspamdServer, sink: Sink, tmp_path: Path
) -> None:
    """A rule file with two of them; what the first has edited the second signs."""
    rules = tmp_path / "milters.py"
    rules.write_text(
        "from trio_proxy.ready.milter import Milter\n"
        f'rules = [Milter(address="127.0.0.1:{rspamd.milter_port}"), Milter(address="{signer}")]\n'
    )
    with running_proxy(tmp_path / "proxy", sink.port, rules) as proxy:
        assert send(proxy, MAIL + REJECT + b"\r\n")[0] // 100 == 5
        assert send(proxy, b"X-Order: edit\r\n" + MAIL)[0] == 250
    (arrived,) = sink.contents()
    assert b"X-Added: one\r\n" in arrived
    assert opendkim.verdict(arrived) == "succeeded"


def test_a_milter_goes_away_and_comes_back(opendkim: OpenDKIM, sink: Sink, tmp_path: Path) -> None:
    with open_directory("opendkim") as directory:
        other = OpenDKIM.prepare(directory)
        with other.running("signer") as address:
            pass
        with running_proxy(tmp_path / "proxy", sink.port, RULE, settings=settings(address)) as proxy:
            assert [send(proxy)[0] for _ in range(3)] == [451, 451, 451]
            with other.running("signer"):
                assert send(proxy)[0] == 250
            log = proxy.log()
        assert len(sink.contents()) == 1
        assert other.verdict(sink.contents()[0]) == "succeeded"
        assert opendkim.verdict(sink.contents()[0]) != "succeeded"  # it has another key
    assert (log.count("cannot be asked"), log.count("answers again")) == (1, 1)
