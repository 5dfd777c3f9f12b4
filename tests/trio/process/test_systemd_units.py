"""The units of ``deploy/systemd`` fit the settings file that lies beside them, and each other."""

from __future__ import annotations

import difflib
import re
import textwrap
import tomllib
from pathlib import Path

from trio_proxy.commands import exit_status
from trio_proxy.settings.options import DEFAULTS
from trio_proxy.workers.supervisor import KILL_SECONDS

DEPLOY = Path(__file__).parents[3] / "deploy"


def directives(name: str) -> list[str]:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return [line for line in lines if "=" in line and not line.startswith("#")]


def values(name: str, key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in directives(name) if line.startswith(f"{key}=")]


def test_the_socket_has_the_addresses_of_the_settings_file() -> None:
    settings = tomllib.loads((DEPLOY / "etc" / "proxy.toml").read_text())
    assert values("smtp-proxy.socket", "ListenStream") == settings["server"]["listen"]


def test_the_settings_file_names_directories_and_credentials_of_the_unit() -> None:
    settings = (DEPLOY / "etc" / "proxy.toml").read_text()
    assert (
        f"--config {settings.partition(':')[0].removeprefix('# ')}"
        in values("smtp-proxy.service", "ExecStart")[0]
    )
    for kind, place in (("StateDirectory", "/var/lib/"), ("RuntimeDirectory", "/run/")):
        (name,) = values("smtp-proxy.service", kind)
        assert f'= "{place}{name}/' in settings
    given = {each.partition(":")[0] for each in values("smtp-proxy.service", "LoadCredential")}
    assert given == {each.partition(":")[0] for each in values("smtp-proxy.service", "SetCredential")}
    assert all(f"$CREDENTIALS_DIRECTORY/{name}" in settings for name in given)


def test_a_stop_has_the_time_that_it_may_need() -> None:
    (seconds,) = values("smtp-proxy.service", "TimeoutStopSec")
    assert float(seconds) >= DEFAULTS.grace + KILL_SECONDS + 5


def test_a_wrong_setting_is_not_tried_again() -> None:
    (statuses,) = values("smtp-proxy.service", "RestartPreventExitStatus")
    assert {exit_status.NO_PERMISSION, exit_status.CONFIG} < {*map(int, statuses.split())}


def test_the_page_scrapes_as_the_alerts_expect() -> None:
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    page = (DEPLOY.parent / "docs" / "how-to" / "service.md").read_text()
    (body,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert textwrap.indent(body, "#   ") in alerts


def test_a_template_differs_in_its_instance_alone() -> None:
    for kind in ("service", "socket"):
        plain, template = directives(f"smtp-proxy.{kind}"), directives(f"smtp-proxy@.{kind}")
        changed = [line for line in difflib.ndiff(plain, template) if line.startswith(("+ ", "- "))]
        assert all("%i" in line for line in changed if line.startswith("+ ")), changed
        assert len(plain) == len(template), changed
