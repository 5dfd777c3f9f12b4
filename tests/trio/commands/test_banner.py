"""What the service says of itself when it starts."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from certificates import pair_for
from settings_files import options

from sansio_smtp import __version__
from trio_proxy.commands.banner import banner
from trio_proxy.commands.security import security_or_problems
from trio_proxy.tls.certificates import load_pair


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(*arguments: str, rules: str = "") -> list[str]:
    """What stands between the version and the last line."""
    with ExitStack() as stack:
        found = options(*arguments)
        security, problems = security_or_problems(found, stack)
        assert problems == []
        first, *lines, last = banner(found, found.listen, security, rules)
    assert first == f"smtp-proxy {__version__}"
    assert last == "Press Ctrl-C to stop after the messages in flight, twice to stop at once."
    return lines


def test_a_service_in_plain_text_on_this_machine() -> None:
    assert said() == [
        "  listening   127.0.0.1:2525",
        "  upstream    none: messages are kept in captured-mail (Maildir)",
        "  to see them smtp-proxy show --last",
        "  clients     may use STARTTLS and any login",
    ]
    assert said("--capture", "my mail")[1:] == [
        "  upstream    none: messages are kept in my mail (Maildir)",
        "  to see them smtp-proxy show --last --capture 'my mail'",
        "  clients     may use STARTTLS and any login",
    ]
    assert said("-l", "unix:x", "-u", "127.0.0.1", rules="2 rules") == [
        "  listening   unix:x",
        "  upstream    127.0.0.1:25",
        "  rules       2 rules",
    ]


def test_starttls_where_mail_is_kept_is_told_if_it_was_asked_for() -> None:
    required = "is required: commands in plain text get 530"
    made = "its certificate is made when a client uses it"
    assert said("--tls", "encrypt")[1] == f"  STARTTLS    {required}; {made}"
    assert said("--tls", "none")[-1] == "  clients     may use any login"
    assert "  clients     may use any login" in said("--self-signed")
    assert not any("AUTH" in line for line in said("-l", ":25"))


def test_port_465_says_what_it_means() -> None:
    assert said("-l", "127.0.0.1:465", "-l", "smtps://[::1]:2465", "--self-signed")[:3] == [
        "  listening   smtps://127.0.0.1:465",
        "              TLS from the first octet, as port 465 says; smtp://127.0.0.1:465 would be plain text",
        "  listening   smtps://[::1]:2465",
    ]


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ([], "is offered"),
        (["--tls", "none"], "is not offered"),
        (["--tls", "encrypt"], "is required: commands in plain text get 530"),
    ],
)
def test_certificates(level: list[str], text: str) -> None:
    one, two = pair_for(Path(), "mx.example", "192.0.2.1"), pair_for(Path(), "*.two.example")
    until = [f"{load_pair(pair).not_after:%Y-%m-%d}" for pair in (one, two)]
    flags = [f"--tls-{kind}" for kind in ("cert", "key")]
    files = [str(file) for pair in (one, two) for file in (pair.certificate, pair.key)]
    arguments = [text for pair in zip(flags * 2, files, strict=True) for text in pair]
    assert said(*arguments, *level)[1:4] == [
        f"  STARTTLS    {text}",
        f"  certificate mx.example, 192.0.2.1; until {until[0]}",
        f"  certificate *.two.example; until {until[1]}",
    ]
    assert not any("STARTTLS" in line for line in said(*arguments, *level, "-l", "smtps://127.0.0.1"))


def test_the_fingerprint_of_a_certificate_that_is_made() -> None:
    (line,) = (line for line in said("--self-signed") if "fingerprint" in line)
    before, _, octets = line.rpartition(" ")
    assert before == "  fingerprint SHA-256"
    assert len(bytes.fromhex(octets.replace(":", " "))) == 32


def test_auth_that_nobody_would_find() -> None:
    (line,) = (line for line in said("-l", ":25", "-u", "127.0.0.1") if "AUTH" in line)
    assert line.startswith("  AUTH        hidden from clients on other machines")
    assert "--auth-without-tls" in line
    assert not any("AUTH" in line for line in said("-l", ":25", "-u", "127.0.0.1", "--auth-without-tls"))


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["-u", "mx.example"], ["if it offers STARTTLS; its certificate is not checked"]),
        (
            ["-u", "mx.example", "--upstream-tls", "encrypt"],
            ["with STARTTLS; if it offers none, clients get 421; its certificate is not checked"],
        ),
        (
            ["-u", "mx.example", "--upstream-tls", "verify"],
            ["with STARTTLS; if it offers none, clients get 421; its certificate must be right"],
        ),
        (["-u", "mx.example:465"], ["from the first octet; its certificate must be right"]),
        (
            ["-u", "smtps://mx.example", "--upstream-tls", "may"],
            ["from the first octet; its certificate is not checked"],
        ),
        (["-u", "mx.example", "--upstream-tls", "none"], []),
    ],
)
def test_the_way_to_the_server(arguments: list[str], lines: list[str]) -> None:
    found = said(*arguments)
    assert [line.removeprefix("  TLS to it   ") for line in found if "to it  " in line] == lines


def test_who_the_server_is_told_about() -> None:
    assert said("-u", "127.0.0.1", "--send-client", "xclient")[-1] == (
        "  client      the server is told who it is: xclient"
    )


def test_a_transcript_is_told() -> None:
    assert said("--transcript", rules="2 rules")[-2:] == [
        "  rules       2 rules",
        "  transcript  on, to standard output",
    ]
    assert not any("transcript" in line for line in said())
