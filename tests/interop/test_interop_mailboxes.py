"""Who wrote a message: what other programs find in From, where match_login lets it pass or has written it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from interop_daemon import need, open_directory
from interop_mailboxes import PythonReader, Reader, node_reader, perl_reader
from neighbours.mailboxes import OWN, values

from sansio_smtp.rules import Connection, Headers, Transaction
from trio_proxy.ready.match_login import MatchLogin

pytestmark = [pytest.mark.interop, pytest.mark.any_io]

COUNT = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 2_000


@pytest.fixture(scope="module")
def readers() -> Iterator[list[Reader]]:
    need("perl", "libmailtools-perl and libemail-address-perl")
    need("npm", "nodejs and npm")
    with open_directory("mailboxes") as modules, ExitStack() as stack:
        shutil.copy(Path(__file__).parent / "mime_readers" / "package.json", modules)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=modules, check=True)
        yield [
            PythonReader(),
            stack.enter_context(perl_reader()),
            stack.enter_context(node_reader(modules)),
        ]


def others(readers: list[Reader], value: bytes) -> list[tuple[str, list[str]]]:
    """The readers that find an address of somebody else, with what they have found."""
    found = ((name, seen) for reader in readers for name, seen in reader.authors(value).items())
    return [(name, seen) for name, seen in found if any(_is_another(name, each) for each in seen)]


def _is_another(reader: str, address: str) -> bool:
    if "@" not in address or address.rstrip(".").lower() == OWN:
        return False
    # It knows no groups: of ``Sales: ann@example.com;`` it finds ``Sales:ann@example.com``, which is nobody.
    return not (reader == "Mail::Address" and ":" in address)


@settings(
    max_examples=COUNT,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=values())
def test_no_program_finds_another_author(readers: list[Reader], value: bytes) -> None:
    tx = Transaction(Connection(login=OWN))
    section = b"From:" + value + b"\r\n\r\n"
    if MatchLogin("refuse").headers(tx, Headers(section)) is None:
        assert others(readers, value) == []
    headers = Headers(section)
    assert MatchLogin().headers(tx, headers) is None
    (field,) = (field for field in headers if field.name == "From")
    assert others(readers, field.octets) == []


def test_the_programs_find_authors(readers: list[Reader]) -> None:
    """Else the test above would compare nothing."""
    for reader in readers:
        for name, found in reader.authors(b"Bob <bob@x.example>, ann@example.com").items():
            assert sorted(found) == ["ann@example.com", "bob@x.example"], name
