"""Programs that read authors: Python's email, Perl's Mail::Address and Email::Address, nodemailer."""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.policy import SMTP, default
from email.utils import getaddresses
from pathlib import Path
from typing import Any

__all__ = ["PythonReader", "Reader", "node_reader", "perl_reader"]

_PERL = r"""
use strict; use Mail::Address; use Email::Address; use MIME::Base64; use JSON::PP;
$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    my $text = decode_base64($line);
    my @mail = map { $_->address } eval { Mail::Address->parse($text) };
    my @email = map { $_->address } eval { Email::Address->parse($text) };
    my $said = JSON::PP->new->latin1->encode({ "Mail::Address" => \@mail, "Email::Address" => \@email });
    print "$said\n";
}
"""
_NODE = r"""
const parse = require('nodemailer/lib/addressparser');
const flat = list => list.flatMap(each => each.group ? flat(each.group) : [each.address]);
require('readline').createInterface({ input: process.stdin }).on('line', line => {
    const text = Buffer.from(line, 'base64').toString('utf8');
    let found = [];
    try { found = flat(parse(text)); } catch (error) { }
    console.log(JSON.stringify({ nodemailer: found }));
});
"""


class Reader(ABC):
    @abstractmethod
    def authors(self, value: bytes) -> dict[str, list[str]]:
        """What each of its programs takes for addresses, in the value of a From field."""


class PythonReader(Reader):
    def authors(self, value: bytes) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        text = value.decode("utf-8", "replace").replace("\r\n", "")
        found["getaddresses"] = [address for _, address in getaddresses([text])]
        message = b"From:" + value + b"\r\n\r\n"
        for name, policy in (("headerregistry", default), ("headerregistry, SMTP", SMTP)):
            with suppress(Exception):  # it does not take everything
                read: Any = message_from_bytes(message, policy=policy)["From"]
                found[name] = [each.addr_spec for each in read.addresses]
        return found


class _Piped(Reader):
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def authors(self, value: bytes) -> dict[str, list[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b64encode(value.replace(b"\r\n", b"")) + b"\n")
        self._process.stdin.flush()
        said: dict[str, list[str | None]] = json.loads(self._process.stdout.readline())
        return {name: [each or "" for each in found] for name, found in said.items()}


@contextmanager
def perl_reader() -> Iterator[Reader]:
    with subprocess.Popen(["perl", "-e", _PERL], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield _Piped(process)
        finally:
            process.kill()


@contextmanager
def node_reader(modules: Path) -> Iterator[Reader]:
    """``modules``: the directory in which nodemailer is installed."""
    with subprocess.Popen(
        ["node", "-e", _NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=modules
    ) as process:
        try:
            yield _Piped(process)
        finally:
            process.kill()
