"""The files of TLS: what is wrong with them is said at the start and by ``check``, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import authority, pair_for, write_authority, write_pair
from checks import Capture, Said, checked
from click.testing import CliRunner
from settings_files import options, written

from sansio_smtp import UpstreamTls
from trio_proxy.commands.cli import cli
from trio_proxy.commands.security import Security, security_or_problems, validity_problems
from trio_proxy.text.addresses import Address
from trio_proxy.tls.certificates import KeyPair

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trio_proxy.text.logs.configure", lambda *_, **__: None)  # for all later tests


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def flags(pair: KeyPair) -> tuple[str, ...]:
    return ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))


def aging(*, begins: timedelta = -100 * DAY, ends: timedelta) -> KeyPair:
    """A certificate that is valid for this time, as seen from now."""
    now = datetime.now(UTC)
    made = authority("one").issue_cert("mx.example", not_before=now + begins, not_after=now + ends)
    return write_pair(Path("aging"), made)


def loaded(stack: ExitStack, *arguments: str) -> Security:
    security, problems = security_or_problems(options(*arguments), stack)
    assert problems == []
    return security


def test_without_options_there_is_no_tls(stack: ExitStack) -> None:
    security = loaded(stack, "-u", "127.0.0.1")
    assert (security.clients, security.leg(None), security.reloadable) == (None, None, [])
    assert validity_problems(security, datetime.now(UTC)) == []


def test_certificates_in_their_order(stack: ExitStack) -> None:
    one, two = pair_for(Path(), "one.example"), pair_for(Path(), "two.example")
    security = loaded(stack, *flags(one), *flags(two), "--tls-client-ca", str(write_authority(Path())))
    assert security.clients is not None
    assert [each.names for each in security.clients.certificates] == [("one.example",), ("two.example",)]
    assert security.reloadable == [security.clients]


def test_a_certificate_is_made(stack: ExitStack) -> None:
    listen = ("192.0.2.1:25", "0.0.0.0:26", "unix:x", "m\u00fcller.example:25", "[fe80::1%lo]:25")
    security = loaded(stack, "--self-signed", *(text for each in listen for text in ("-l", each)))
    assert security.clients is not None
    (made,) = security.clients.certificates
    assert made.is_self_signed
    assert {"localhost", "127.0.0.1", "192.0.2.1"} <= {*made.names}
    assert not {"", "0.0.0.0"} & {*made.names}
    (pair,) = security.clients.pairs
    stack.close()
    assert not pair.key.exists()


@pytest.mark.parametrize(
    ("arguments", "level", "name"),
    [
        (["-u", "mx.example"], UpstreamTls.MAY, "mx.example"),
        (["-u", "smtps://mx.example"], UpstreamTls.VERIFY, "mx.example"),
        (["-u", "smtps://127.0.0.1"], UpstreamTls.VERIFY, "127.0.0.1"),
        (["-u", "localhost", "--upstream-tls", "encrypt"], UpstreamTls.ENCRYPT, "localhost"),
        (["-u", "smtps+unix:x", "--upstream-tls-name", "mx.example"], UpstreamTls.VERIFY, "mx.example"),
        (["-u", "mx.example", "--upstream-tls", "none"], None, None),
        (["-u", "localhost"], None, None),
        (["-u", "unix:x"], None, None),
        ([], None, None),
        (["--upstream-tls", "verify"], None, None),
    ],
)
def test_what_tls_is_to_the_server(
    stack: ExitStack, arguments: list[str], level: UpstreamTls | None, name: str | None
) -> None:
    leg = loaded(stack, *arguments).leg(None)
    assert (leg and leg.level, leg and leg.server_name) == (level, name)


@pytest.mark.parametrize(
    ("upstream", "level"),
    [
        ("localhost:25", None),
        ("other.example", UpstreamTls.MAY),
        ("smtps://other.example", UpstreamTls.VERIFY),
        ("other.example:465", UpstreamTls.VERIFY),
    ],
)
def test_what_tls_is_to_a_server_that_a_rule_names(
    stack: ExitStack, upstream: str, level: UpstreamTls | None
) -> None:
    security = loaded(stack, "-u", "smtps://mx.example", "--upstream-tls-name", "usual.example")
    leg = security.leg(upstream)
    assert (leg and leg.level) == level
    assert leg is None or leg.server_name == "other.example"


def test_a_name_that_is_no_address(stack: ExitStack) -> None:
    with pytest.raises(OSError, match=r"^Redirect: 'lmpt://x': unknown scheme 'lmpt'"):
        loaded(stack).leg("lmpt://x")


def test_all_that_is_wrong_at_once(stack: ExitStack) -> None:
    one, two = pair_for(Path(), "one.example"), pair_for(Path(), "two.example")
    Path("no.pem").write_text("no pem")
    found = options(
        *flags(KeyPair(one.certificate, two.key)), *flags(KeyPair(Path("none.crt"), two.key)),
        "-u", "mx.example", "--upstream-ca", "no.pem", "--upstream-cert", "no.crt",
        "--upstream-key", str(one.key), "--self-signed",
    )  # fmt: skip
    security, problems = security_or_problems(found, stack)
    assert {" ".join(str(problem).split(" ")[:2]) for problem in problems} == {
        "--self-signed makes", f"--tls-key {two.key}:", "--tls-cert none.crt:", "--upstream-cert no.crt:",
        "--upstream-ca no.pem:",
    }  # fmt: skip
    assert not security.can_connect


def test_what_may_stand_in_a_wrong_file_is_not_missed(stack: ExitStack) -> None:
    Path("a.key").touch()
    found = options("--tls", "encrypt", "--tls-key", "a.key", "-u", "127.0.0.1")
    assert len(security_or_problems(found, stack)[1]) == 2
    assert security_or_problems(found, stack, config_is_wrong=True)[1] == []


# Time


@pytest.mark.parametrize(
    ("begins", "ends", "problem"),
    [
        (-100 * DAY, -DAY, "has expired on"),
        (DAY, 100 * DAY, "is valid only from"),
        (-DAY, DAY, ""),
    ],
)
def test_the_time_of_a_certificate_is_no_reason_not_to_start(
    stack: ExitStack, begins: timedelta, ends: timedelta, problem: str
) -> None:
    pair = aging(begins=begins, ends=ends)
    upstream = ("-u", "mx.example", "--upstream-cert", str(pair.certificate), "--upstream-key", str(pair.key))
    now = datetime.now(UTC)
    for arguments in (flags(pair), upstream):
        found = validity_problems(loaded(stack, *arguments), now)
        assert bool(found) == bool(problem)
        assert problem in "".join(found)


# check


def of(said: Said, *words: str) -> list[str]:
    return [line for line in said.out if line.split()[0] in words]


def test_check_says_what_a_client_would_see(capsys: Capture) -> None:
    one, two = aging(ends=40 * DAY + DAY / 2), pair_for(Path(), "*.two.example", "192.0.2.1")
    said = checked(
        capsys,
        listen=(Address("127.0.0.1", 0),),
        tls_cert=(one.certificate, two.certificate),
        tls_key=(one.key, two.key),
    )
    assert (said.status, said.err) == (0, [])
    until = f"{datetime.now(UTC) + 40 * DAY + DAY / 2:%Y-%m-%d}"
    first, second = of(said, "certificate")
    assert first == (
        f"  certificate mx.example (also for names that no certificate has); until {until} (in 40 days)"
    )
    assert second.startswith("  certificate *.two.example, 192.0.2.1; until ")
    for line in of(said, "chain"):
        assert re.fullmatch(
            r"  chain       OU=Testing cert #\S+,O=trustme \S+, signed by OU=Testing CA #\S+", line
        )
    assert of(said, "STARTTLS") == ["  STARTTLS    is offered"]


def test_check_warns_of_a_key_that_everybody_can_read(capsys: Capture) -> None:
    pair = pair_for(Path(), "mx.example")
    pair.key.chmod(0o644)
    said = checked(capsys, tls_cert=(pair.certificate,), tls_key=(pair.key,))
    assert said.status == 0
    warning = (
        f"warning: {pair.key}: every user of this machine can read this private key; chmod o= {pair.key}"
    )
    assert warning in said.err


@pytest.mark.parametrize("name", ["mx.example", "*.mx.example", "192.0.2.1"])
def test_check_says_who_would_take_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pair = pair_for(Path(), name)
    given: dict[str, Any] = {"tls_cert": (pair.certificate,), "tls_key": (pair.key,)}
    (refused,) = of(checked(capsys, **given), "clients")
    assert refused.startswith("  clients     that know the authorities of this system refuse it: ")
    monkeypatch.setenv("SSL_CERT_FILE", str(write_authority(Path())))
    assert of(checked(capsys, **given), "clients") == [
        "  clients     that know the authorities of this system take it"
    ]


@pytest.mark.parametrize(("days", "how"), [(0, "today"), (1, "in 1 day"), (13, "in 13 days")])
def test_check_warns_of_a_certificate_that_ends_soon(capsys: Capture, days: int, how: str) -> None:
    pair = aging(ends=days * DAY + DAY / 2)
    said = checked(capsys, tls_cert=(pair.certificate,), tls_key=(pair.key,))
    assert said.status == 0
    assert said.err[0].startswith(f"warning: aging.crt expires {how}, on ")


def test_an_expired_certificate_is_an_error_of_check(capsys: Capture) -> None:
    pair = aging(ends=-DAY)
    said = checked(capsys, tls_cert=(pair.certificate,), tls_key=(pair.key,))
    assert said.status == 78
    (line,) = said.err
    assert line.startswith("aging.crt: the certificate has expired on ")


def test_check_of_files_that_cannot_be_used(capsys: Capture) -> None:
    Path("no.pem").write_text("no pem")
    said = checked(capsys, upstream_ca=Path("no.pem"), tls="encrypt", workers=2)
    assert said.status == 78
    assert [line.partition(" ")[0] for line in said.err] == ["--tls", "no.pem:"]
    assert of(said, "upstream") == []  # it cannot be connected as it is meant


# The command line


def test_the_service_says_it_together_with_all_else() -> None:
    """Of options, the settings file and the rules; and nothing is started."""
    Path("no.pem").write_text("no pem")
    result = CliRunner().invoke(cli, ["-r", "nowhere.py", "--tls-cert", "no.pem", "--tls-key", "none.key"])
    assert result.exit_code == 78
    assert [line.partition(" ")[0] for line in result.stderr.splitlines()] == [
        "--tls-cert", "--tls-key", "--rules",
    ]  # fmt: skip
    config = str(written('[server]\ntls_cert = "no.pem"\ntls_key = "none.key"\nwrong = 1\n'))
    result = CliRunner().invoke(cli, ["-c", config, "-r", "nowhere.py"])
    assert result.exit_code == 78
    assert [line.partition(" ")[0] for line in result.stderr.splitlines()] == [
        "proxy.toml:2:", "proxy.toml:3:", "proxy.toml:4:", "--rules",
    ]  # fmt: skip
    result = CliRunner().invoke(cli, ["--listen", "h:x", "--tls-cert", "no.pem", "--tls-key", "none.key"])
    assert result.exit_code == 2
    assert [line.partition(" ")[0] for line in result.stderr.splitlines()[-2:]] == ["--tls-cert", "--tls-key"]
