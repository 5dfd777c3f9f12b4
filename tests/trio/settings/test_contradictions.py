"""Settings of TLS and of who the client is that lack another one, or contradict it."""

from __future__ import annotations

import pytest
from each import each
from settings_files import options

from trio_proxy.settings.contradictions import contradictions

NO_USER = "--login inject logs in to the server: give --upstream-user NAME"
PAIR = ("--tls-cert", "a.pem", "--tls-key", "a.key")
GET_ONE = "give --tls-cert FILE and --tls-key FILE, or --self-signed for development"
TOGETHER = (
    "give one key for each certificate, in the same order; a file that holds both is given to both options"
)


@each(
    ("arguments", "complaint"),
    [
        (
            ["-l", "127.0.0.1:1", "-l", "127.0.0.1:1"],
            "--listen names 127.0.0.1:1 twice; leave out one of them",
        ),
        (
            ["-l", "localhost:1", "-l", "LOCALHOST:1"],
            "--listen names LOCALHOST:1 twice; leave out one of them",
        ),
        (
            ["-l", "localhost:1", "-l", "lmtp://localhost:1"],
            "--listen names lmtp://localhost:1 twice; leave out one of them",
        ),
        (
            ["-l", "unix:a", "-l", "unix:b", "-l", "unix:a"],
            "--listen names unix:a twice; leave out one of them",
        ),
        (
            ["-l", "127.0.0.1:1", "-l", "localhost:1"],
            "--listen names 127.0.0.1:1 and localhost:1, which overlap; leave out one of them",
        ),
        (
            ["-l", "[::1]:1", "-l", "[0:0::1]:1"],
            "--listen names [::1]:1 and [0:0::1]:1, which overlap; leave out one of them",
        ),
        (
            ["--tls-cert", "a.pem"],
            f"--tls-cert is given once (a.pem), but --tls-key is not given: {TOGETHER}",
        ),
        (
            ["--tls-key", "a.key"],
            f"--tls-cert is not given, but --tls-key is given once (a.key): {TOGETHER}",
        ),
        (
            [*PAIR, "--tls-cert", "b.pem", "--tls-cert", "c.pem"],
            f"--tls-cert is given 3 times (a.pem, b.pem, c.pem), but --tls-key is given once "
            f"(a.key): {TOGETHER}",
        ),
        (
            [*PAIR, "--self-signed"],
            "--self-signed makes a certificate, and --tls-cert gives one: leave out one of them",
        ),
        (
            ["-u", "127.0.0.1:25", "--login", "inject"],
            "--login inject logs in to the server: give --upstream-user NAME",
        ),
        (
            ["--login", "translate"],
            "--login translate logs in to an upstream server, but none is set: give --upstream ADDRESS",
        ),
        (
            ["-u", "h", "--login", "translate"],
            "--login translate sends a secret to h:25, at --upstream-tls may maybe in plain text: say "
            "--upstream-tls verify, or encrypt; or none, if that is meant",
        ),
        (
            ["-u", "h", "--upstream-user", "scanner"],
            "--upstream-user scanner is for --login inject; at --login relay the client logs in itself",
        ),
        (
            ["-u", "smtps://h", "--login", "translate", "--upstream-password-file", "x"],
            "--upstream-password-file x is for --login inject; at --login translate the client says who it "
            "is",
        ),
        (
            ["--control", "here"],
            "--control here is for workers: give --workers N, or leave it out",
        ),
        (
            ["--self-signed", "--workers", "2"],
            "--self-signed makes another certificate in each of the --workers: give --tls-cert FILE and "
            "--tls-key FILE",
        ),
        (["--tls", "encrypt", "-u", "h"], f"--tls encrypt needs a certificate: {GET_ONE}"),
        (["--tls", "may", "--workers", "2"], f"--tls may needs a certificate: {GET_ONE}"),
        (
            ["-l", "smtps://:2465"],
            f"--listen smtps://:2465 begins with TLS, which needs a certificate: {GET_ONE}",
        ),
        (
            ["-l", "smtps+unix:x"],
            f"--listen smtps+unix:x begins with TLS, which needs a certificate: {GET_ONE}",
        ),
        (
            ["-l", "127.0.0.1:465"],
            f"--listen smtps://127.0.0.1:465 begins with TLS, which needs a certificate: {GET_ONE}; "
            f"for plain text "
            "on this port write smtp://127.0.0.1:465",
        ),
        (
            ["--tls-client-ca", "ca.pem"],
            "--tls-client-ca ca.pem asks clients for certificates under TLS, which needs one of this "
            f"service: {GET_ONE}",
        ),
        (
            ["-u", "h", "--upstream-cert", "c.pem"],
            "--upstream-cert c.pem has no key: give --upstream-key FILE; it may be the same file",
        ),
        (
            ["-u", "h", "--upstream-key", "c.key"],
            "--upstream-key c.key has no certificate: give --upstream-cert FILE; it may be the same file",
        ),
        (
            ["-u", "smtps://h", "--upstream-tls", "none"],
            "--upstream smtps://h:465 begins with TLS, and --upstream-tls none forbids it: leave "
            "out --upstream-tls, or write smtp:// for plain text",
        ),
        (
            ["-u", "h", "--upstream-tls", "none", "--upstream-ca", "ca.pem"],
            "--upstream-ca ca.pem has no effect: --upstream-tls none turns off TLS to the server; write "
            "--upstream-tls verify, or leave out --upstream-ca",
        ),
        (
            ["-u", "127.0.0.1", "--upstream-tls-name", "mx.example"],
            "--upstream-tls-name mx.example has no effect: without --upstream-tls there is no TLS to "
            "127.0.0.1:25, on this machine; write --upstream-tls verify, or leave out --upstream-tls-name",
        ),
        (
            ["-u", "h", "--upstream-keep-time", "9"],
            "--upstream-keep-time is for connections that are kept: give --upstream-keep N, or leave it out",
        ),
        (
            ["-u", "h", "--upstream-keep-uses", "9"],
            "--upstream-keep-uses is for connections that are kept: give --upstream-keep N, or leave it out",
        ),
        (
            ["-u", "127.0.0.1", "--upstream-keep", "9", "--login", "inject", "--upstream-user", "ann"],
            "--login inject logs in on each connection to the server, and --upstream-keep keeps none that is "
            "logged in: leave out --upstream-keep",
        ),
        (
            ["-u", "127.0.0.1", "--upstream-keep", "9", "--login", "translate"],
            "--login translate logs in on each connection to the server, and --upstream-keep keeps none that "
            "is logged in: leave out --upstream-keep",
        ),
        (
            ["-u", "h", "--upstream-keep", "9", "--send-client", "proxy"],
            "--send-client proxy tells a server on each connection who the client is, so none can be kept "
            "for another: leave out --upstream-keep or --send-client",
        ),
        (
            ["-l", "127.0.0.1:9025", "--admin", "localhost:9025"],
            "--admin localhost:9025 overlaps with --listen 127.0.0.1:9025: choose another address for the "
            "pages",
        ),
        (
            ["-l", "unix:x", "--admin", "unix:x"],
            "--admin unix:x overlaps with --listen unix:x: choose another address for the pages",
        ),
        (
            ["--send-client", "xclient"],
            "--send-client xclient tells a server who the client is, and the built-in server does "
            "not listen to it: "
            "give --upstream ADDRESS, or leave out --send-client",
        ),
    ],
)
def test_what_lacks_or_contradicts_another_setting(arguments: list[str], complaint: str) -> None:
    assert contradictions(options(*arguments)) == [complaint]


@each(
    "arguments",
    [
        [],
        PAIR,
        [*PAIR, "--tls", "none", "-l", "h:465", "--tls-client-ca", "ca.pem"],
        ["--self-signed", "--tls", "encrypt", "-l", "smtps://:465"],
        ["--tls", "none"],
        ["-l", "smtp://h:465"],
        ["-u", "h", "--upstream-cert", "c.pem", "--upstream-key", "c.key", "--upstream-ca", "ca.pem"],
        ["-u", "127.0.0.1", "--upstream-tls", "verify", "--upstream-ca", "ca.pem"],
        ["-u", "smtps://127.0.0.1", "--upstream-ca", "ca.pem", "--upstream-tls-name", "mx.example"],
        ["-u", "h", "--send-client", "xclient"],
        ["--send-client", "auto"],
        ["-l", "127.0.0.1:0", "-l", "127.0.0.1:0"],
        ["-l", "127.0.0.1:1", "-l", "127.0.0.1:2", "-l", "[::1]:1", "-l", "unix:a"],
        ["-l", "0.0.0.0:1", "-l", "[::]:1"],
        ["-l", "[::]:1", "-l", "127.0.0.1:1"],
        ["-l", "0.0.0.0:1", "-l", "127.0.0.1:2"],
    ],
)
def test_what_makes_sense(arguments: list[str]) -> None:
    assert contradictions(options(*arguments)) == []


@pytest.mark.parametrize(
    ("listen", "meant"),
    [
        (["127.0.0.1:1", "0.0.0.0:1"], "0.0.0.0 means every IPv4 address"),
        (["localhost:1", "smtp://0.0.0.0:1"], "0.0.0.0 means every IPv4 address"),
        (["[::]:1", "[fe80::1]:1"], "[::] means every IPv6 address"),
        (["[::1]:1", "[0::0]:1"], ""),
        ([":1", "h:1"], "an address without a host means every address"),
        ([":1", "0.0.0.0:1"], ""),
    ],
)
def test_a_listener_on_all_addresses(listen: list[str], meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems let another one stand beside it."""
    both = options("-l", listen[0], "-l", listen[1])
    monkeypatch.setattr("trio_proxy.settings.contradictions._ONE_FOR_ALL", True)
    why = f", as {meant} of this machine" if meant else ""
    said = f"--listen names {listen[0]} and {both.listen[1]}, which overlap{why}; leave out one of them"
    assert contradictions(both) == [said]
    (pages,) = contradictions(options("-l", listen[0], "--admin", listen[1]))
    assert pages.startswith(f"--admin {both.listen[1]} overlaps with --listen {listen[0]}: ")
    monkeypatch.setattr("trio_proxy.settings.contradictions._ONE_FOR_ALL", False)
    assert contradictions(both) == []


def test_all_at_once() -> None:
    found = contradictions(
        options(
            "--tls-key", "a.key", "--tls", "encrypt", "-l", "smtps://:465", "--upstream-cert", "b", "-u", "h"
        )
    )
    assert [text.partition(" ")[0] for text in found] == [
        "--tls-cert",
        "--tls",
        "--listen",
        "--upstream-cert",
    ]
