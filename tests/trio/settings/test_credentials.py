"""Files of secrets that the service manager gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_proxy.settings.config_file import read_config
from trio_proxy.settings.credentials import file_named

GIVEN = {"CREDENTIALS_DIRECTORY": "/run/credentials/it"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$CREDENTIALS_DIRECTORY/password", "/run/credentials/it/password"),
        ("/etc/password", "/etc/password"),
        ("password", "password"),
        ("$HOME/password", "$HOME/password"),
        ("etc/$CREDENTIALS_DIRECTORY/password", "etc/$CREDENTIALS_DIRECTORY/password"),
    ],
)
def test_a_path_may_be_that_of_a_credential(text: str, path: str) -> None:
    assert file_named(text, GIVEN) == Path(path)


def test_the_settings_file_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text('[login]\npassword_file = "$CREDENTIALS_DIRECTORY/password"\n')
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/it")
    config, problems = read_config(file)
    assert config is not None
    assert problems == []
    assert config.values["upstream_password_file"] == Path("/run/credentials/it/password")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    _, problems = read_config(file)
    assert [problem.line for problem in problems] == [2]
    assert "CREDENTIALS_DIRECTORY is not set; LoadCredential= in the unit" in problems[0].text
