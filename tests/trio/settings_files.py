"""Settings files, and what the command line makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from trio_proxy.commands.cli import cli
from trio_proxy.commands.read_options import read_options
from trio_proxy.limits.rates import Rate
from trio_proxy.settings.options import Options
from trio_proxy.settings.tables import RuleTable
from trio_proxy.settings.timeouts import PHASES, Timeouts
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

__all__ = ["FULL", "OPTIONS", "options", "written"]

FULL = """
[server]
listen = ["0.0.0.0:25", "unix:/run/in.sock", "smtps+unix:tls.sock"]
upstream = "smtps://mail.example.net"
tls_cert = ["one.pem", "/etc/two.pem"]
tls_key = ["one.key", "/etc/two.key"]
self_signed = false
tls = "encrypt"
tls_client_ca = "clients.pem"
auth_without_tls = true
upstream_tls = "verify"
upstream_ca = "ca.pem"
upstream_tls_name = "mx.example.net"
upstream_cert = "us.pem"
upstream_key = "us.key"
accept_proxy = "192.0.2.0/24"
accept_xclient = ["2001:db8::/32", "unix"]
accept_xforward = []
send_client = "proxy2"
transcript = true
bare_newline = "reject"
chunking = "always"
case_sensitive_logins = true
open_relay_warning = false
nul = "refuse"
max_message_size = "25M"
max_connections = 50
headroom = "4K"
upstream_keep = 4
upstream_keep_time = "1m"
upstream_keep_uses = 20
io = "tasks"
admin = "127.0.0.1:9025"
otel = true
grace = "1m"
workers = 3
control = "/run/control"
user = "mail:mail"
log_format = "json"
log_addresses = "hashed"
log_key_file = "log.key"
verbose = 2

[server.timeouts]
all = 60
reply = "2m"
final_reply = 900

[login]
mode = "inject"
user = "scanner"
password_file = "password"

[oauth]
url = "https://login.example.net/token"
client_id = "app"
client_secret_file = "secret"
refresh_token_file = "/etc/tokens"
scope = "mail.send offline_access"
timeout = "5s"

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

[limits]
max_network_connections = 7
connection_rate = "10/1m"
message_rate = "none"
command_rate = "1k/1s"
min_rate = "1k/10s"
max_errors = 3
soft_errors = 4
error_delay = "2s"
max_refusals = 5
max_junk = 6
early_talkers = "refuse"
max_recipients = 100
max_line = 2048
max_header_section = "1M"
max_reply = "8KiB"
max_held_total = "1GiB"
network_prefix_v4 = 24
network_prefix_v6 = 48
exempt_networks = ["10.0.0.0/8", "unix"]
"""

OPTIONS = Options(
    listen=(
        Address("0.0.0.0", 25),
        Address(path="/run/in.sock"),
        Address(path="conf/tls.sock", tls=True),
    ),
    upstream=(Destination(Address("mail.example.net", 465, tls=True)),),
    tls_cert=(Path("conf/one.pem"), Path("/etc/two.pem")),
    tls_key=(Path("conf/one.key"), Path("/etc/two.key")),
    tls="encrypt",
    tls_client_ca=Path("conf/clients.pem"),
    auth_without_tls=True,
    upstream_tls="verify",
    upstream_ca=Path("conf/ca.pem"),
    upstream_tls_name="mx.example.net",
    upstream_cert=Path("conf/us.pem"),
    upstream_key=Path("conf/us.key"),
    login_mode="inject",
    upstream_user="scanner",
    upstream_password_file=Path("conf/password"),
    oauth_url="https://login.example.net/token",
    oauth_client_id="app",
    oauth_client_secret_file=Path("conf/secret"),
    oauth_refresh_token_file=Path("/etc/tokens"),
    oauth_scope="mail.send offline_access",
    oauth_timeout=5.0,
    accept_proxy=("192.0.2.0/24",),
    accept_xclient=("2001:db8::/32", "unix"),
    send_client="proxy2",
    transcript=True,
    bare_newline="reject",
    chunking="always",
    case_sensitive_logins=True,
    open_relay_warning=False,
    nul="refuse",
    max_message_size=25_000_000,
    max_connections=50,
    max_network_connections=7,
    connection_rate=Rate(10, 60),
    message_rate=None,
    command_rate=Rate(1000, 1),
    min_rate=Rate(1000, 10),
    max_errors=3,
    soft_errors=4,
    error_delay=2.0,
    max_refusals=5,
    max_junk=6,
    early_talkers="refuse",
    max_recipients=100,
    max_line=2048,
    max_header_section=1_000_000,
    max_reply=8192,
    max_held_total=2**30,
    network_prefix_v4=24,
    network_prefix_v6=48,
    exempt_networks=("10.0.0.0/8", "unix"),
    headroom=4000,
    upstream_keep=4,
    upstream_keep_time=60,
    upstream_keep_uses=20,
    io="tasks",
    admin=Address("127.0.0.1", 9025),
    otel=True,
    grace=60.0,
    workers=3,
    control=Path("/run/control"),
    user="mail:mail",
    log_format="json",
    log_addresses="hashed",
    log_key_file=Path("conf/log.key"),
    verbose=2,
    timeouts=Timeouts(**dict.fromkeys(PHASES, 60.0) | {"reply": 120, "final_reply": 900}),
    rules=("conf/rules.py", "/etc/more.py", "ready:footer"),
    rule_settings={
        "greylist": RuleTable(
            {"delay": "5m", "limits": {"per_minute": 3}},
            {"": 72, "delay": 73, "limits.per_minute": 74},
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
