"""DKIM signatures, which dkimpy itself verifies."""

from __future__ import annotations

import base64
import importlib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from fakes import message, transaction

from sansio_smtp.rules.decorators import is_threaded
from trio_proxy.ready.dkim_sign import DkimSign

# Made for these tests: it protects nothing.
KEY = """\
-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQCqaykx9qc14CaRN6StQkPBBJe4Z4FFj1J0d2BfDwOyng//lB5o
ouc6GMMYwCXAKmDFYruQROYGOvrmQxrW33IpEz+3Dk5c18R8N2jQ7ykEmpprYLHY
LNYrSPM1afSpcLqdDhX66tjIJHSrpKlIkSWyVN16B3lywydlMDKWU/Vj6wIDAQAB
AoGBAKj0YP0l+pTRS6tBLUSQo7ejJAAwrdsWwrqw95yGuDXHuzi50oQOrYvNrO7G
4SZpXVOUFTxs8lhO9RyAfwV0tiogrtdjW+z0vq5FXyu0to7GU3TIM0pbF2XH1PRR
6AFNx64ZxbA12cKgPTaNViDXrQDDT5m/eaymxODJEUogww2RAkEA1LRBDnb0mX8A
8hyhfv5bY5KoDx0PGm/4GRCiq9YoMrONcUEbX/LxN3mYas6tEqXC5pFFuyp4ZPYb
YohnCCLrTwJBAM0bdg3Cplv3CAhCv6TcEzTUtB6OsyfnqIQ7ALiyRm8j5QfmIXIJ
SkY1Hdqi5QIU9CJPBWxT2O5YN7YAKNeaJqUCQBcTbzNoiGTWuH2LyaGDatrEoGLz
Xh4aI6pkeaF23GmTvTaaP6QLMUw5buW3gmNRhHGLNSt3EhSx9oqcDcF+OFUCQAEu
2V128/Kv2BIEIIrY4ht55pgOhqYCRgyNMpHeJV3avSVwhFzeBNmm0MdEDUIX0Nip
0AQx75xgUeHw2kt0DikCQQCcCUh8Q9OdzMjDVGyIdUdkoqBderODeqp1P1A56XGO
NStozC9bZatY6FM6Ur1aXH6hs5hqhjtOWDv1F+sBaZKv
-----END RSA PRIVATE KEY-----
"""
PUBLIC = (
    b"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqaykx9qc14CaRN6StQkPBBJe4Z4FFj1J0d2BfDwOyng//lB5oouc6GMMYwCXAKmDF"
    b"YruQROYGOvrmQxrW33IpEz+3Dk5c18R8N2jQ7ykEmpprYLHYLNYrSPM1afSpcLqdDhX66tjIJHSrpKlIkSWyVN16B3lywydlMDKWU/Vj"
    b"6wIDAQAB"
)
# What makes of a PKCS#1 key of that size a PKCS#8 key, as openssl genrsa writes it since its version 3.
PKCS8 = bytes.fromhex("30820277020100300d06092a864886f70d010101050004820261")

MAIL = (
    b"Received: from x by y; Mon, 1 Jan 2026 00:00:00 +0000\r\n"
    b"From: Alice <a@me.example>\r\nTo: b@mx.example\r\n"
    b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n  folded\r\nDate: Mon, 1 Jan 2026 00:00:00 +0000\r\n"
    b"Message-ID: <1@me.example>\r\n\r\nhello  world \r\n.\r\n\xff\r\n\r\n\r\n"
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "dkim.pem"
    path.write_text(KEY)
    return path


def verifies(data: bytes) -> bool:
    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        return b"v=DKIM1; k=rsa; p=" + PUBLIC if name == b"s1._domainkey.me.example." else None

    found: bool = importlib.import_module("dkim").verify(data, dnsfunc=look_up)
    return found


def signed(rule: DkimSign, data: bytes = MAIL) -> bytes:
    msg = message(data)
    assert rule.message(transaction(), msg) is None
    return msg.raw


def signer(key: Path, **settings: Any) -> DkimSign:
    return DkimSign(**{"domain": "me.example", "selector": "s1", "key_file": key, **settings})


@pytest.mark.parametrize(
    "canonicalization", ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]
)
def test_the_signature_verifies(key: Path, canonicalization: str) -> None:
    data = signed(signer(key, canonicalization=canonicalization))
    assert data.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=" + canonicalization.encode())
    assert data.endswith(MAIL)
    assert verifies(data)
    for change in ((b"hello", b"hallo"), (b"Alice", b"Mallory"), (b"Subject: ", b"Subject: Re: ")):
        assert not verifies(data.replace(*change))
    assert not verifies(data.replace(b"To: b@", b"From: c@me.example\r\nTo: b@"))
    assert verifies(data.replace(b"To: b@", b"X-Scanned-By: me\r\nTo: b@"))
    assert verifies(b"Received: from y by z\r\n" + data)


def test_the_fields_to_sign_may_be_chosen(key: Path) -> None:
    data = signed(signer(key, headers=("From", "Date", "List-Id")))
    assert verifies(data)
    assert verifies(data.replace(b"Subject: ", b"Subject: Re: "))
    assert not verifies(data.replace(b"Date: Mon", b"Date: Tue"))
    assert not verifies(data.replace(b"Date: ", b"List-Id: <x>\r\nDate: "))  # it was signed as absent


def test_what_rules_before_have_changed_is_signed(key: Path) -> None:
    msg = message(MAIL)
    msg.headers.set("Subject", "changed")
    msg.body = b"changed\r\n"
    assert signer(key).message(transaction(), msg) is None
    assert b"Subject: changed\r\n" in msg.raw
    assert verifies(msg.raw)


def test_a_second_signature_leaves_the_first_intact(key: Path) -> None:
    once = signed(signer(key))
    twice = signed(signer(key), once)
    assert twice.count(b"DKIM-Signature:") == 2
    assert twice.endswith(once)
    assert verifies(twice)


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: hi\r\n\r\n",
        b"",
        b"no header\r\n",
        b" folded\r\nFrom: a@me.example\r\n\r\n",
        b"\r\ntext\r\n",
    ],
)
def test_what_cannot_be_signed_goes_on_unsigned(
    key: Path, data: bytes, logs: list[MutableMapping[str, Any]]
) -> None:
    assert signed(signer(key), data) == data
    assert [(line["event"], line["conn"]) for line in logs] == [("message is not signed", "c7")]


def test_a_key_in_the_newer_format(tmp_path: Path) -> None:
    der = PKCS8 + base64.b64decode("".join(KEY.splitlines()[1:-1]))
    pem = base64.encodebytes(der).decode()
    (tmp_path / "new.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{pem}-----END PRIVATE KEY-----\n")
    assert verifies(signed(signer(tmp_path / "new.pem")))


NO_KEYS = {
    "empty": "",
    "no key": "-----BEGIN PRIVATE KEY-----\nabcd\n-----END PRIVATE KEY-----\n",
    "cut": "\n".join(KEY.splitlines()[:5] + KEY.splitlines()[-1:]) + "\n",
    "public": f"-----BEGIN PUBLIC KEY-----\n{PUBLIC.decode()}\n-----END PUBLIC KEY-----\n",
    # Ed25519, made for this test
    "not RSA": "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIFYTuNFPcO6Mo0Mdbqgw5IYS5OEyv/ed2AuK5mDhWMlM\n"
    "-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_a_bad_key_is_a_mistake_at_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.pem").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.pem cannot be used to sign"):
        signer(tmp_path / "bad.pem")


def test_a_missing_key_is_a_mistake_at_load(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        signer(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"headers": ("To", "Subject")}, "From"),
        ({"headers": ("From", "Received")}, "received"),
        ({"domain": "me.example; x=1"}, "domain"),
        ({"selector": "a b"}, "selector"),
        ({"domain": "x" * 64 + ".example"}, "cannot be used"),
        ({"canonicalization": "none"}, "cannot be used"),
    ],
)
def test_settings_that_cannot_be(key: Path, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        signer(key, **settings)


def test_it_is_called_in_a_thread() -> None:
    assert is_threaded(DkimSign.message)
