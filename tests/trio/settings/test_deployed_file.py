"""The settings file of ``deploy/etc``: it can be read as it is, and with all lines that are off taken in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trio_proxy.rulebook.load import load
from trio_proxy.settings.config_file import ConfigFile, load_config
from trio_proxy.settings.options import DEFAULTS, SETTINGS
from trio_proxy.settings.timeouts import PHASES

DEPLOY = Path(__file__).parents[3] / "deploy"
FILE = DEPLOY / "etc" / "proxy.toml"
LEFT_OUT = {"capture", "transcript", "self_signed", "user"}
"""The file says so at its end."""


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))  # as systemd does
    return FILE.read_text()


def read(text: str) -> ConfigFile:
    file = Path("proxy.toml")
    file.write_text(text)
    return load_config(file)


def taken_in(text: str) -> str:
    return re.sub(r"^#(?=[\[a-z])", "", text, flags=re.MULTILINE)


def test_it_can_be_read(text: str) -> None:
    values = read(text).values
    assert [str(server) for server in values["upstream"]] == ["127.0.0.1:10025"]
    assert values["send_client"] == "xclient", "with none it would be an open relay"


def test_each_setting_is_there_and_one_that_is_off_has_its_default(text: str) -> None:
    plain, config = read(text).values, read(taken_in(text)).values
    wanted = {name for name, setting in SETTINGS.items() if setting.table}
    assert {*config} == wanted - LEFT_OUT
    assert all(name in text.splitlines()[-1] for name in LEFT_OUT)
    assert config.pop("timeouts") == tuple((phase, getattr(DEFAULTS.timeouts, phase)) for phase in PHASES)
    for name in {*config} - {*plain}:
        default = SETTINGS[name].default  # if there is none, the value is an example
        assert config[name] == default or not default, name


def test_settings_of_ready_rules(text: str) -> None:
    tables = read(taken_in(text)).rule_settings
    assert [*tables] == ["allow_list", "shared_rate_limit"]
    assert load([f"ready:{name}" for name in tables], tables).ruleset.rules


def test_the_settings_of_the_composition(text: str) -> None:
    """They name what is in its other files."""
    composition, haproxy, settings = (
        (DEPLOY / "compose" / name).read_text() for name in ("compose.yaml", "haproxy.cfg", "proxy.toml")
    )
    config = read(settings)
    assert load(config.values["rules"], config.rule_settings).ruleset.rules
    assert f"- subnet: {config.values['accept_proxy'][0]}\n" in composition
    listed = composition.partition("\nservices:")[2].partition("\nnetworks:")[0]
    services = {*re.findall(r"^  (\w+):$", listed, re.MULTILINE)}
    redis = config.rule_settings["shared_rate_limit"].table["url"]
    assert redis == "redis://valkey:6379/0"
    assert services == {*re.findall(r"^    server (\w+) ", haproxy, re.MULTILINE), "haproxy", "valkey"}
    for host, _ in re.findall(r"- \./([\w.]+):(/\S+):ro", composition):
        assert (DEPLOY / "compose" / host).exists()
