"""Mistakes that concern several settings, for a reader of the settings file."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from each import each

from trio_proxy.settings.choose import choose
from trio_proxy.settings.config_file import read_config
from trio_proxy.settings.contradictions import contradictions
from trio_proxy.settings.in_file import is_certain, of_file, of_settings
from trio_proxy.settings.options import Options

FILE = """\
[server]
upstream = "127.0.0.1:25"
tls = "encrypt"
control = "ctl.sock"
upstream_ca = "ca.pem"
tls_client_ca = "clients.pem"
upstream_keep_time = 5

[login]
mode = "inject"

[rules]
files = ["one.py", "two.py"]
"""
GET_ONE = 'give tls_cert = "FILE" and tls_key = "FILE", or self_signed = true for development'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("f.toml")
    path.write_text(FILE)
    return path


def chosen(file: Path, **given: object) -> Options:
    config, problems = read_config(file)
    assert not problems
    return choose({"config": file, **given}, config)


def said(options: Options) -> list[str]:
    return [str(of_settings(options, text)) for text in contradictions(options)]


def test_it_names_settings_as_the_file_does(file: Path) -> None:
    assert said(chosen(file)) == [
        f'f.toml:3: [server] tls = "encrypt" needs a certificate: {GET_ONE}',
        f'f.toml:6: [server] tls_client_ca = "clients.pem" asks clients for certificates under TLS, which '
        f"needs one of this service: {GET_ONE}",
        'f.toml:5: [server] upstream_ca = "ca.pem" has no effect: without upstream_tls there is no '
        'TLS to 127.0.0.1:25, on this machine; write upstream_tls = "verify", or leave out upstream_ca',
        'f.toml:10: [login] mode = "inject" logs in to the server: give user = "NAME"',
        "f.toml:7: [server] upstream_keep_time is for connections that are kept: give upstream_keep = N, or "
        "leave it out",
        'f.toml:4: [server] control = "ctl.sock" is for workers: give workers = N, or leave it out',
    ]


def test_it_names_an_option_if_the_value_comes_from_the_command_line(file: Path) -> None:
    found = said(chosen(file, tls="may", control=Path("x.sock")))
    assert "--control x.sock is for workers: give --workers N, or leave it out" in found
    assert found[0].startswith("--tls may needs a certificate: give --tls-cert FILE and --tls-key FILE")


def test_the_place_is_that_of_the_first_setting_in_the_file(file: Path) -> None:
    options = chosen(file, tls="may")
    text = "--tls may contradicts --upstream-ca ca.pem"
    assert str(of_settings(options, text)) == (
        'f.toml:5: --tls may contradicts [server] upstream_ca = "ca.pem"'
    )


@each(
    ("name", "says"),
    [
        ("ca.pem", 'f.toml:5: [server] upstream_ca = "ca.pem": cannot be read'),
        ("two.py", 'f.toml:13: [rules] files = "two.py": cannot be read'),
        ("other.pem", "other.pem: cannot be read"),
    ],
)
def test_a_file_that_a_setting_names(name: str, says: str, file: Path) -> None:
    assert str(of_file(chosen(file), Path(name), f"{name}: cannot be read")) == says


def test_a_relative_path_is_shown_as_it_is_written_and_as_it_is_used(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    problem = of_file(chosen(file.absolute()), path, f"{path}: cannot be read")
    assert problem.text == f'[server] upstream_ca = "ca.pem": {path}: cannot be read'


def test_a_file_that_an_option_names(file: Path) -> None:
    options = chosen(file, upstream_ca=Path("x.pem"))
    assert str(of_file(options, Path("x.pem"), "x.pem: cannot be read")) == (
        "--upstream-ca x.pem: cannot be read"
    )


def test_what_is_certain_although_settings_are_unread(file: Path) -> None:
    options = chosen(file)
    assert is_certain(options, "--tls encrypt contradicts --upstream-ca ca.pem")
    assert is_certain(options, "--tls encrypt needs --tls-cert FILE")
    unread = attrs.evolve(options, unread=frozenset({"tls_cert"}))
    assert not is_certain(unread, "--tls encrypt needs --tls-cert FILE")
    assert is_certain(unread, "--tls encrypt contradicts --upstream-ca ca.pem")
    no_file = attrs.evolve(options, config=None)
    assert not is_certain(no_file, "--tls encrypt needs --tls-cert FILE")
    assert is_certain(no_file, "--tls encrypt contradicts --upstream-ca ca.pem")
