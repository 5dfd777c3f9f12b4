"""One declaration makes a setting: the option, the variable, the key and its check, the default, the docs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from sansio_smtp import Config
from trio_proxy.settings.declaring import setting, settings_of
from trio_proxy.settings.kinds import DURATION, FLAG, SIZE, SWITCH, one_of
from trio_proxy.settings.options import CONFLICTS, SETTINGS, TABLES

ROOT = Path(__file__).parents[3]
DECLARATION = """\
    max_pipelined: int = setting(
        SERVER, number_of("commands"), 100, in_core=True, help="Commands without a reply."
    )
"""
WRONG = """\
[server]
max_pipelind = 5
max_pipelined = "x"
[rules]
max_pipelined = 5
"""
LOOK = (
    f"WRONG = {WRONG!r}\n"
    + """\
import json, sys
from pathlib import Path
import click
import setting_tables
from click.testing import CliRunner
from trio_proxy.commands.cli import cli
from trio_proxy.commands.read_options import read_options
from trio_proxy.settings.config_file import read_config
from trio_proxy.settings.core_config import core_config

def limit(*arguments, **variables):
    @click.pass_context
    def look(ctx, /, **_):
        click.echo(core_config(read_options(ctx)[0]).max_pipelined)
    command = click.Command("it", callback=look, params=cli.params)
    result = CliRunner().invoke(command, arguments, env=variables)
    return result.output.splitlines()[-1]

def mistakes(text):
    Path("wrong.toml").write_text(text)
    return [str(problem) for problem in read_config(Path("wrong.toml"))[1]]

Path("right.toml").write_text("[server]\\nmax_pipelined = 5\\n")
json.dump({
    "help": CliRunner().invoke(cli, ["--help"], terminal_width=200).output,
    "default": limit(),
    "file": limit("--config", "right.toml"),
    "variable": limit("--config", "right.toml", SMTP_PROXY_MAX_PIPELINED="6"),
    "option": limit("--config", "right.toml", "--max-pipelined", "7", SMTP_PROXY_MAX_PIPELINED="6"),
    "wrong option": limit("--max-pipelined", "0"),
    "mistakes": mistakes(WRONG),
    "settings": setting_tables.settings_table(),
    "options": setting_tables.options_table(),
}, sys.stdout)
"""
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What there is of a setting of which nothing but the declaration was written."""
    place = tmp_path_factory.mktemp("declared")
    for folder in ("trio_proxy", "docs"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = place / "trio_proxy" / "settings" / "options.py"
    before, mark, after = file.read_text().partition("    # fmt: on\n")
    assert mark
    file.write_text(before + DECLARATION + mark + after)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SMTP_PROXY")}
    path = os.pathsep.join(map(str, (place, place / "docs", ROOT)))
    ended = subprocess.run(
        [sys.executable, "-c", LOOK], env=variables | {"PYTHONPATH": path}, cwd=place,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    made: dict[str, Any] = json.loads(ended.stdout)
    return made


def test_it_is_not_there_without_its_declaration() -> None:
    assert "max_pipelined" not in SETTINGS


def test_it_is_in_the_help(found: dict[str, Any]) -> None:
    (line,) = (line for line in found["help"].splitlines() if "--max-pipelined" in line)
    assert line.split(maxsplit=2) == [
        "--max-pipelined", "N", "Commands without a reply.  [default: 100]"
    ]  # fmt: skip


def test_every_place_gives_it_to_the_core(found: dict[str, Any]) -> None:
    """The key of the file, the variable, the option: each wins over those before."""
    assert [found[place] for place in ("default", "file", "variable", "option")] == ["100", "5", "6", "7"]
    assert Config().max_pipelined == 100


def test_it_is_checked_in_every_place_with_one_text(found: dict[str, Any]) -> None:
    expected = "expected a whole number of commands, 1 or more"
    assert found["wrong option"] == f"Error: Invalid value for '--max-pipelined': '0': {expected}"
    assert found["mistakes"] == [
        'wrong.toml:2: [server] unknown key "max_pipelind"; did you mean "max_pipelined"?',
        f'wrong.toml:3: [server] max_pipelined = "x": {expected}',
        'wrong.toml:5: [rules] unknown key "max_pipelined"; write "max_pipelined" below [server]',
    ]


def test_it_is_in_the_documentation(found: dict[str, Any]) -> None:
    assert (
        "| `[server]` `max_pipelined` | `--max-pipelined` | `SMTP_PROXY_MAX_PIPELINED` "
        "| a whole number of commands, 1 or more | `100` |"
    ) in found["settings"].splitlines()
    assert ("| `--max-pipelined N` | Commands without a reply. Default: `100`. |") in found[
        "options"
    ].splitlines()


# The declarations


def test_names_follow_from_the_field() -> None:
    @attrs.frozen(kw_only=True)
    class Made:
        some_time: float = setting("t", DURATION, 90.0, help="")
        other: bool = setting("t", SWITCH, False, help="", key="k", option="--it", short="-i")
        size: int | None = setting("t", SIZE, None, help="", unset="all of it")
        flag: bool = setting(None, FLAG, False, help="")
        no_setting: int = 5

    assert Made() == Made(some_time=90.0, other=False, size=None, flag=False, no_setting=5)
    made = settings_of(Made).values()
    assert [(each.name, each.key, each.options, each.variable, each.default_text) for each in made] == [
        ("some_time", "some_time", ("--some-time",), "SMTP_PROXY_SOME_TIME", "90s"),
        ("other", "k", ("-i", "--it", "--no-it"), "SMTP_PROXY_IT", ""),
        ("size", "size", ("--size",), "SMTP_PROXY_SIZE", "all of it"),
        ("flag", "flag", ("--flag",), "SMTP_PROXY_FLAG", ""),
    ]  # fmt: skip


def test_no_two_settings_are_given_in_the_same_way() -> None:
    for ways in (
        [option for each in SETTINGS.values() for option in each.options],
        [each.variable for each in SETTINGS.values()],
        [(each.table, each.key) for each in SETTINGS.values()],
    ):
        assert len({*ways}) == len(ways)
    assert {each.table for each in SETTINGS.values()} == {None, *TABLES}


def test_conflicts_are_between_settings() -> None:
    for conflict in CONFLICTS:
        assert {conflict.name, conflict.other} <= {*SETTINGS}
        assert SETTINGS[conflict.name].table is not None


@pytest.mark.parametrize("value", ["", "pas", 5, None, True, ["pass"]])
def test_a_choice_is_one_of_its_words(value: Any) -> None:
    kind = one_of("pass", "refuse", "drop")
    assert kind.read("refuse") == "refuse"
    hint = '; did you mean "pass"?' if value == "pas" else ""
    with pytest.raises(ValueError, match=r'^expected "pass", "refuse" or "drop"') as caught:
        kind.read(value)
    assert str(caught.value).removeprefix('expected "pass", "refuse" or "drop"') == hint
