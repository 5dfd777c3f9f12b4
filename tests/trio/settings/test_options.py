"""Which of several voices wins: defaults, the settings file, the environment, the command line."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import attrs
import click
import pytest
from settings_files import FULL, OPTIONS, options, written

from sansio_smtp import (
    Addresses,
    BareNewline,
    Chunking,
    ClientTls,
    Config,
    EarlyTalkers,
    Networks,
    Nul,
    SendClient,
    UpstreamTls,
)
from sansio_smtp.rules.decorators import OnError
from sansio_smtp.rules.lint.problems import RuleError
from trio_proxy.commands.cli import cli
from trio_proxy.settings.choose import choose, reread
from trio_proxy.settings.core_config import core_config
from trio_proxy.settings.options import SETTINGS, Options
from trio_proxy.settings.tables import RuleTable
from trio_proxy.settings.timeouts import PHASES, Timeouts
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

CHOICES: dict[str, type[Enum]] = {
    "bare_newline": BareNewline, "nul": Nul, "addresses": Addresses, "tls": ClientTls,
    "upstream_tls": UpstreamTls, "send_client": SendClient, "chunking": Chunking,
    "early_talkers": EarlyTalkers,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SMTP_PROXY")]:
        monkeypatch.delenv(name)


def test_defaults_shown_in_the_help_are_those_of_the_options() -> None:
    shown = {
        parameter.name: found[1]
        for parameter in cli.params
        if isinstance(parameter, click.Option)
        and (found := re.search(r"\[default: (.+)\]", parameter.help or ""))
    }
    unset = {name: setting.unset for name, setting in SETTINGS.items() if setting.unset}
    assert {*unset} == {
        "upstream", "open_relay_warning", "max_message_size", "timeouts", "spool", "tls", "upstream_tls",
        "upstream_ca", "upstream_tls_name", "io", "oauth_client_secret_file", "oauth_refresh_token_file",
        "upstream_password_file", "upstream_keep", "headroom", "exempt_networks", "workers", "user",
        "log_format", "log_key_file",
    }  # fmt: skip
    assert {name: shown.pop(name) for name in unset} == unset
    assert len(shown) == 36
    defaults = options()
    for name, text in shown.items():
        setting = SETTINGS[name]
        assert setting.kind.combine([setting.kind.read(text)]) == getattr(defaults, name), name
    assert defaults == choose({}, None) == Options()


def test_defaults_and_choices_are_those_of_the_core() -> None:
    # The program hides AUTH from clients in plain text; a user of the library decides that.
    relay = Options(upstream=(Destination.parse("h"),))
    assert core_config(relay) == Config(auth_without_tls=False)
    # Where mail is kept, the application that is tried out decides.
    assert core_config(Options()) == Config(auth_without_tls=True, tls=ClientTls.MAY)
    for name, kind in CHOICES.items():
        assert SETTINGS[name].kind.choices == tuple(member.value for member in kind)
    assert SETTINGS["on_rule_error"].kind.choices == get_args(OnError)


def test_settings_of_the_core_reach_it() -> None:
    found = options(
        "--bare-newline", "reject", "--max-message-size", "25M", "--addresses", "lenient",
        "--accept-xclient", "192.0.2.1", "--accept-xclient", "unix", "--accept-xforward", "2001:db8::/32",
        "--send-client", "auto", "--auth-without-tls", "--max-recipients", "50", "--max-line", "2K",
        "--max-reply", "4K", "--max-header-section", "8K", "--upstream", "h", MAX_HELD="1MiB",
    )  # fmt: skip
    assert core_config(found, reconnect=True) == Config(
        bare_newline=BareNewline.REJECT,
        max_message_size=25_000_000,
        addresses=Addresses.LENIENT,
        accept_xclient=Networks.parse(["192.0.2.1", "unix"]),
        accept_xforward=Networks.parse(["2001:db8::/32"]),
        send_client=SendClient.AUTO,
        auth_without_tls=True,
        max_held=2**20,
        max_recipients=50,
        max_line=2000,
        max_reply=4000,
        max_header_section=8000,
        reconnect=True,
    )


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        ([], ClientTls.NONE),
        (["--tls-cert", "a", "--tls-key", "b"], ClientTls.MAY),
        (["--self-signed"], ClientTls.MAY),
        (["--self-signed", "--tls", "none"], ClientTls.NONE),
        (["--self-signed", "--tls", "encrypt"], ClientTls.ENCRYPT),
    ],
)
def test_a_certificate_offers_tls(arguments: list[str], level: ClientTls) -> None:
    assert core_config(options(*arguments, "--upstream", "h")).tls is level


@pytest.mark.parametrize(
    ("arguments", "level", "is_made"),
    [
        ([], ClientTls.MAY, True),
        (["--tls", "encrypt"], ClientTls.ENCRYPT, True),
        (["--tls", "none"], ClientTls.NONE, False),
        (["--self-signed"], ClientTls.MAY, False),
        (["--tls-cert", "a", "--tls-key", "b"], ClientTls.MAY, False),
        (["--workers", "2"], ClientTls.NONE, False),
        (["--upstream", "h"], ClientTls.NONE, False),
    ],
)
def test_where_mail_is_kept_a_certificate_is_made(
    arguments: list[str], level: ClientTls, is_made: bool
) -> None:
    found = options(*arguments)
    assert (core_config(found).tls, found.makes_certificate) == (level, is_made)
    assert core_config(found).auth_without_tls == found.only_keeps


def test_a_route_to_a_server_is_a_relay() -> None:
    text = '[[route]]\nname = "x"\nrecipient = "*@x.example"\nupstream = "h"\n'
    found = options("-c", str(written(text)))
    assert not found.only_keeps
    assert core_config(found) == Config(auth_without_tls=False)


# Who wins


VOICES = [
    ("max_connections", "max_connections = 5", "7", ["--max-connections", "9"], 1000),
    ("headroom", 'headroom = "5K"', "7", ["--headroom", "9"], 0),
    ("upstream_keep", "upstream_keep = 5", "7", ["--upstream-keep", "9"], 0),
    ("upstream_keep_time", "upstream_keep_time = 5", "7", ["--upstream-keep-time", "9"], 30.0),
    ("upstream_keep_uses", "upstream_keep_uses = 5", "7", ["--upstream-keep-uses", "9"], 100),
    ("upstream", 'upstream = "file"', "environment", ["-u", "flag"], ()),
    ("listen", 'listen = "file:1"', "environment:1 environment:2", ["-l", "f:1", "--listen", "f:2"], ...),
    ("grace", 'grace = "5s"', "7s", ["--grace", "9"], 30.0),
    ("tls_cert", 'tls_cert = "a"', "b c", ["--tls-cert", "d", "--tls-cert", "e"], ()),
    ("accept_proxy", 'accept_proxy = "unix"', "::1 ::2", ["--accept-proxy", "10.0.0.0/8"], ()),
    ("nul", 'nul = "refuse"', "refuse", ["--nul", "pass"], "pass"),
    ("transcript", "transcript = true", "0", ["--transcript"], False),
]


@pytest.mark.parametrize(("name", "line", "variable", "flag", "default"), VOICES)
def test_file_then_environment_then_flags(
    name: str, line: str, variable: str, flag: list[str], default: Any
) -> None:
    path = str(written(f"[server]\n{line}\n"))
    env = {name.upper(): variable}

    def value(*arguments: str, **environment: str) -> Any:
        return getattr(options(*arguments, **environment), name)

    by_file, by_environment, by_flag = value("-c", path), value(**env), value(*flag)
    if default is not ...:
        assert value() == default
    assert len({str(by_file), str(by_environment), str(by_flag)}) == 3 or name in ("nul", "transcript")
    assert value("-c", path, **env) == value(CONFIG=path, **env) == by_environment
    assert value("-c", path, *flag) == value(*flag, **env) == value("-c", path, *flag, **env) == by_flag


def test_flags_over_the_file_for_rules() -> None:
    path = str(written(FULL, "conf/proxy.toml"))
    found = options(
        "-c", path, "-r", "a.py", "-r", "ready:b", "--rule-timeout", "2m", "--on-rule-error", "reject",
        "--no-reload", "--quarantine", "q", "--max-held", "5", "--spool", "",
    )  # fmt: skip
    assert found == attrs.evolve(
        OPTIONS, rules=("a.py", "ready:b"), rule_timeout=120.0, on_rule_error="reject", reload=False,
        quarantine=Path("q"), max_held=5, spool=None,
    )  # fmt: skip
    variables = {"RULES": "x.py y.py", "RELOAD": "0", "RULE_TIMEOUT": "1", "SPOOL": "s", "CONFIG": path}
    assert options(**variables) == attrs.evolve(
        OPTIONS, rules=("x.py", "y.py"), reload=False, rule_timeout=1.0, spool=Path("s")
    )


def timeouts(for_all: float, **phases: float) -> Timeouts:
    return Timeouts(**dict.fromkeys(PHASES, for_all) | phases)


def test_timeouts_are_merged_one_by_one() -> None:
    path = str(written("[server.timeouts]\nall = 60\nreply = 120\n"))
    assert options("-c", path).timeouts == timeouts(60, reply=120)
    assert options("-c", path, "--timeout", "idle=7").timeouts == timeouts(60, reply=120, idle=7)
    assert options("-c", path, "--timeout", "reply=7").timeouts == timeouts(60, reply=7)
    assert options("-c", path, "--timeout", "7").timeouts == timeouts(7)
    assert options("-c", path, TIMEOUT="idle=5 reply=6").timeouts == timeouts(60, idle=5, reply=6)


@pytest.mark.parametrize(
    ("line", "arguments", "verbosity"),
    [
        ("quiet = true", ["-v"], 1), ("quiet = true", ["-vv"], 2), ("quiet = true", ["-v", "-q"], -1),
        ("verbose = 2", ["-q"], -1), ("verbose = 2", ["-v"], 1), ("verbose = 2", [], 2), ("", ["-vvv"], 3),
    ],
)  # fmt: skip
def test_how_much_is_logged(line: str, arguments: list[str], verbosity: int) -> None:
    assert options("-c", str(written(f"[server]\n{line}")), *arguments).verbosity == verbosity


def test_an_upstream_server_takes_the_place_of_a_capture_in_the_file() -> None:
    found = options("-c", str(written('[server]\ncapture = "mail"')), "-u", "h")
    assert (found.upstream, found.capture) == ((Destination(Address("h", 25)),), Path("mail"))


def test_what_was_given_is_known() -> None:
    path = str(written("[server]\nnul = 'refuse'"))
    assert options("-c", path, "-u", "h", GRACE="5").named == {"nul", "upstream", "grace", "config"}


# The file once more


def test_reading_it_again() -> None:
    path = written('[server]\nnul = "refuse"\n[rules]\nfiles = "a.py"\ntimeout = 5\n[rules.x]\na = 1')
    before = options("-c", str(path), "--rule-timeout", "9", ON_RULE_ERROR="accept")
    assert reread(before) == before
    written('[rules]\nfiles = ["b.py"]\ntimeout = 6\non_error = "reject"\n[rules.x]\na = 2')
    after = reread(before)
    assert after == attrs.evolve(
        before,
        nul="pass",
        rules=("b.py",),
        rule_settings={"x": RuleTable({"a": 2}, {"": 5, "a": 6}, "proxy.toml")},
    )
    assert reread(after) == after
    written("[rules]\nfiels = 1")
    with pytest.raises(
        RuleError, match=r'^proxy.toml:2: \[rules\] unknown key "fiels"; did you mean "files"\?$'
    ):
        reread(before)
    path.unlink()
    with pytest.raises(
        RuleError, match=r"^proxy.toml: cannot be read: there is no such file: /.*/proxy.toml;"
    ):
        reread(before)


def test_reading_it_again_when_it_contradicts_what_was_given() -> None:
    found = options("-c", str(written("")), "--capture", "mail")
    written('[server]\nupstream = "h"')
    with pytest.raises(RuleError, match=r"^proxy\.toml: --capture is for the built-in server"):
        reread(found)


def test_without_a_file_there_is_nothing_to_read_again() -> None:
    found = options("-u", "h")
    assert reread(found) is found
