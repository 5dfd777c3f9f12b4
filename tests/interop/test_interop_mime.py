"""What real readers of MIME see, against what ``ready:attachments`` and ``ready:secret_scan`` refuse.

A part that any of them sees is one. Messages are drawn in which a file or a secret hides in unusual
spellings, structures and encodings: none in which a reader sees it may pass. Ordinary mail is to pass.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from interop_daemon import open_directory
from interop_mime import READERS, Readers
from neighbours.mime_ordinary import FILES, composed
from neighbours.mime_seen import holds_the_secret, is_the_file

from sansio_smtp.rules import Connection, Message, Transaction
from sansio_smtp.testing.strategies.hidden import DRAWN, ORDINARY
from sansio_smtp.wire.content import canonical
from trio_proxy.ready.attachments import Attachments
from trio_proxy.ready.secret_scan import SecretScan

pytestmark = [pytest.mark.interop, pytest.mark.any_io, pytest.mark.alone]

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
COUNT = 10_000 if DEEP else 1_200
SEED = int.from_bytes(os.urandom(4), "big") if DEEP else 20
CASES = Path(__file__).parent.parent / "cases"


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    for program, package in PEERS.items():
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: install Debian's {package}", pytrace=False)
    with open_directory("mime") as directory:
        yield Readers(directory)


PEERS = {
    "gcc": "gcc, pkg-config and libgmime-3.0-dev",
    "npm": "nodejs and npm",
    "perl": "libmime-tools-perl and libemail-mime-perl",
    "ripmime": "ripmime",
    "munpack": "mpack",
}


def with_crlf(raw: bytes) -> bytes:
    """As a proxy passes it."""
    return re.sub(rb"\r?\n", b"\r\n", raw)


def seen_by(readers: Readers, messages: list[bytes], kind: str) -> list[set[str]]:
    """For each message the readers that see what is hidden, in it as it travels or as it is stored."""
    stored = [message.replace(b"\r\n", b"\n") for message in messages]
    found: list[set[str]] = [set() for _ in messages]
    is_it = is_the_file if kind == "file" else holds_the_secret
    for name, results in readers.read([*messages, *stored]).items():
        for number, parts in enumerate(results):
            if any(map(is_it, parts)):
                found[number % len(messages)].add(name)
    return found


def is_refused(kind: str, raw: bytes, *, broken: bool) -> bool:
    tx, message = Transaction(Connection()), Message(raw)
    if kind == "file":
        return Attachments(broken=broken).message(tx, message) is not None
    return SecretScan(whole=True, broken=broken).search_whole(tx, message) is not None


def test_readers_see_an_ordinary_file(readers: Readers) -> None:
    """So that what they see means something."""
    for kind in DRAWN:
        assert seen_by(readers, [ORDINARY], kind) == [set(READERS)]
        assert is_refused(kind, ORDINARY, broken=False)


@pytest.mark.parametrize("kind", DRAWN)
def test_nothing_passes_that_a_reader_sees(
    readers: Readers, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = [with_crlf(DRAWN[kind](Random(SEED * 1_000_003 + number))) for number in range(COUNT)]
    seen = seen_by(readers, messages, kind)
    drawn = [
        (names, broken, raw)
        for names, raw in zip(seen, messages, strict=True)
        for broken in (True, False)
        if names and not is_refused(kind, raw, broken=broken)
    ]
    # ripMIME does not repeat its results: what it sees once only does not count.
    repeated = seen_by(readers, [raw for _, _, raw in drawn], kind)
    passed = [
        (sorted(names & seen_again), broken, raw)
        for (names, broken, raw), seen_again in zip(drawn, repeated, strict=True)
        if names & seen_again
    ]
    with capsys.disabled():
        each = ", ".join(f"{name} {sum(name in names for names in seen)}" for name in READERS)
        print(f"\n{kind}: {COUNT} drawn (seed {SEED}), {sum(map(bool, seen))} seen by a reader: {each}")
        print(f"{kind}: seen by a reader and passed: {len(passed)}")
    assert sum(map(bool, seen)) > COUNT / 4
    assert not passed, f"{len(passed)} of {COUNT}, the first: {passed[0]}"


def test_each_case_is_seen_by_a_reader(readers: Readers) -> None:
    """A case that no reader sees says nothing."""
    for kind, names in (("file", ("file-name-*", "structure-*")), ("secret", ("secret-*",))):
        paths = [path for name in names for path in CASES.glob(f"{name}.eml")]
        assert paths
        messages = [canonical(path.read_bytes()) for path in paths]
        for path, found in zip(paths, seen_by(readers, messages, kind), strict=True):
            assert found or kind == "secret", path.name


def test_ordinary_mail_passes(readers: Readers, capsys: pytest.CaptureFixture[str]) -> None:
    corpora = {
        "written after common programs": [path.read_bytes() for path in FILES],
        "Python's email": [message.as_bytes() for message in composed()],
        "nodemailer": readers.composed(),
        "swaks": [_swaks(*options) for options in SWAKS],
    }
    for name, messages in corpora.items():
        refused = [raw for raw in messages for kind in DRAWN if is_refused(kind, canonical(raw), broken=True)]
        with capsys.disabled():
            print(f"\nordinary mail of {name}: refused {len(refused)} of {len(messages)}")
        assert messages
        assert not refused, refused[0]


SWAKS = (
    ("--body", "hello"),
    ("--attach-type", "text/html", "--attach", "<p>hello"),
    (
        "--attach-name",
        "größe.pdf",
        "--attach-type",
        "application/pdf",
        "--attach",
        "x",
        "--attach-body",
        "hello",
    ),
)


def _swaks(*options: str) -> bytes:
    command = ["swaks", "--dump-mail", "--from", "ann@example.com", "--to", "bob@example.com", *options]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
