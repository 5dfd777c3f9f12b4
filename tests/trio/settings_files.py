"""Settings files, and what the command line makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from trio_proxy.commands.cli import cli
from trio_proxy.commands.read_options import read_options
from trio_proxy.settings.options import Options
from trio_proxy.settings.tables import RuleTable
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.text.addresses import Address

__all__ = ["FULL", "OPTIONS", "options", "written"]

FULL = """
[server]
listen = ["0.0.0.0:25", "unix:/run/in.sock"]
upstream = "mail.example.net"
transcript = true
bare_newline = "reject"
case_sensitive_logins = true
open_relay_warning = false
nul = "refuse"
max_message_size = "25M"
max_connections = 50
grace = "1m"
verbose = 2

[server.timeouts]
all = 60
reply = "2m"
final_reply = 900

[rules]
files = ["rules.py", "/etc/more.py", "ready:footer"]
timeout = "5s"
on_error = "accept"
addresses = "lenient"
reload = true
quarantine = "held"
max_held = "1MiB"
spool = "/var/spool/proxy"

[rules.greylist]
delay = "5m"
limits.per_minute = 3
"""

OPTIONS = Options(
    listen=(Address("0.0.0.0", 25), Address(path="/run/in.sock")),
    upstream=Address("mail.example.net", 25),
    transcript=True,
    bare_newline="reject",
    case_sensitive_logins=True,
    open_relay_warning=False,
    nul="refuse",
    max_message_size=25_000_000,
    max_connections=50,
    grace=60.0,
    verbose=2,
    timeouts=Timeouts(
        connect=60, greeting=60, idle=60, command=60, reply=120, content=60, final_reply=900, verdict=60
    ),
    rules=("conf/rules.py", "/etc/more.py", "ready:footer"),
    rule_settings={
        "greylist": RuleTable(
            {"delay": "5m", "limits": {"per_minute": 3}},
            {"": 30, "delay": 31, "limits.per_minute": 32},
            "conf/proxy.toml",
        )
    },
    rule_timeout=5.0,
    on_rule_error="accept",
    addresses="lenient",
    reload=True,
    quarantine=Path("conf/held"),
    max_held=2**20,
    spool=Path("/var/spool/proxy"),
    config=Path("conf/proxy.toml"),
)


def written(text: str | bytes, path: str = "proxy.toml") -> Path:
    file = Path(path)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def options(*arguments: str, **environment: str) -> Options:
    """What the command line makes of them."""
    seen: list[Options] = []

    @click.pass_context
    def look(ctx: click.Context, /, **_: Any) -> None:
        found, wrong = read_options(ctx)
        assert wrong == []
        seen.append(found)

    command = click.Command("it", callback=look, params=cli.params, context_settings=cli.context_settings)
    result = CliRunner().invoke(
        command, arguments, env={f"SMTP_PROXY_{k}": v for k, v in environment.items()}
    )
    assert result.exit_code == 0, result.output
    return seen[0]
