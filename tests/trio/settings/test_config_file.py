"""The settings file: what it may say, and its mistakes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_files import FULL, OPTIONS, options, written

from sansio_smtp.rules.lint.problems import RuleError
from trio_proxy.settings.choose import choose
from trio_proxy.settings.config_file import load_config, read_config
from trio_proxy.settings.file_schema import SUBTABLES
from trio_proxy.settings.options import ALL_TABLES, SETTINGS, TABLES, Options
from trio_proxy.settings.tables import RuleTable
from trio_proxy.settings.timeouts import PHASES, Timeouts
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination

A_TIME = 'a number of seconds or a time such as "30s" or "5m"'
KNOWN = "known: [server], [server.timeouts], [limits], [login], [oauth], [rules], [rules.NAME], [[route]]"
SOME_SECONDS = 'a number of seconds above 0 or a time such as "30s"'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SMTP_PROXY")]:
        monkeypatch.delenv(name)


def problems(text: str | bytes) -> list[str]:
    path = written(text)
    config, found = read_config(path)
    if found:
        with pytest.raises(RuleError) as caught:
            load_config(path)
        assert caught.value.problems == tuple(found)
    else:
        assert load_config(path) == config
    return [str(problem) for problem in found]


# What it may say


def test_every_key() -> None:
    path = written(FULL, "conf/proxy.toml")
    assert problems(FULL) == []
    assert choose({}, load_config(path)) == OPTIONS
    assert options("--config", str(path)) == OPTIONS


def test_every_option_has_a_key() -> None:
    """With the same name; [rules] is said by the table."""
    assert {name for name, setting in SETTINGS.items() if setting.table is None} == {"config"}
    for name, setting in SETTINGS.items():
        if setting.table is None:
            continue
        longest, key = setting.option.removeprefix("--").replace("-", "_"), setting.key
        assert setting.table in TABLES
        expected = {
            "rules": "files",
            "rule_timeout": "timeout",
            "on_rule_error": "on_error",
            "timeouts": "timeouts",
            "login_mode": "mode",
            "upstream_user": "user",
            "upstream_password_file": "password_file",
        }.get(name, longest.removeprefix("oauth_"))
        assert key == expected


def test_every_table_is_named_in_the_help() -> None:
    known = [name.strip("[]") for name in ALL_TABLES]
    assert known == ["server", *SUBTABLES, "limits", "login", "oauth", "rules", "rules.NAME", "route"]
    assert [name for name in known if name in TABLES] == [*TABLES]
    assert {setting.table for setting in SETTINGS.values()} == {*TABLES, None}
    said = SETTINGS["config"].help
    assert [name for name in ALL_TABLES if name in said] == [*ALL_TABLES]


def test_every_key_is_read() -> None:
    """None that is known to the table is forgotten on the way to the options."""
    text = FULL.replace("upstream = ", "quiet = false\n#") + "\n[server.zebra]\n[rules.more]\nx=1\n"
    config, found = read_config(written(text.replace("nul =", 'capture = "mail"\nnul =')))
    assert config is not None
    said = f"unknown table [server.zebra]; {KNOWN}"
    assert [problem.text for problem in found] == [said]
    assert {*config.values} == {*SETTINGS} - {"upstream", "config"}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("# nothing\n\n", {}),
        ("[server]\n[rules]\n", {}),
        ('[server]\nlisten = "127.0.0.1:25"', {"listen": (Address("127.0.0.1", 25),)}),
        ('[server]\nupstream = "unix:/run/x"', {"upstream": (Destination(Address(path="/run/x")),)}),
        ('[server]\ncapture = "mail"', {"capture": Path("mail")}),
        ('[server]\ncapture = "/mail"', {"capture": Path("/mail")}),
        ("[server]\nquiet = true", {"quiet": True}),
        ("[server]\nverbose = 1\nquiet = true", {"verbose": 1, "quiet": True}),
        ("[server]\ngrace = 0", {"grace": 0.0}),
        ('[server]\nadmin = "http://127.0.0.1:9025/"', {"admin": Address("127.0.0.1", 9025)}),
        ('[server]\nadmin = "unix:/run/x"', {"admin": Address(path="/run/x")}),
        ("[server.timeouts]\nidle = 1.5", {"timeouts": Timeouts(idle=1.5)}),
        ("server.timeouts.idle = 5", {"timeouts": Timeouts(idle=5)}),
        ('[rules]\nfiles = "rules.py"', {"rules": ("rules.py",)}),
        ("[rules]\nfiles = []", {}),
        ('[rules]\nspool = ""', {}),
        ('[rules]\nspool = "sp"', {"spool": Path("sp")}),
        ("[rules]\ntimeout = 0.25", {"rule_timeout": 0.25}),
        ('\ufeff[rules]\r\non_error = "reject"\r\n', {"on_rule_error": "reject"}),
    ],
)
def test_what_else_it_may_say(text: str, changed: dict[str, Any]) -> None:
    assert problems(text) == []
    assert choose({}, load_config(Path("proxy.toml"))) == Options(config=Path("proxy.toml"), **changed)


def test_line_endings_change_nothing() -> None:
    path = written(FULL.replace("\n", "\r\n"), "conf/proxy.toml")
    assert choose({}, load_config(path)) == OPTIONS


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = written(FULL, str(tmp_path / "conf" / "proxy.toml"))
    os.chdir(tmp_path / "elsewhere")
    found = options("-c", "../conf/proxy.toml")
    assert found.rules == ("../conf/rules.py", "/etc/more.py", "ready:footer")
    assert found.quarantine == Path("../conf/held")
    assert options("-c", str(path)).quarantine == tmp_path / "conf" / "held"
    assert options("-c", str(path), "--quarantine", "held").quarantine == Path("held")


def test_every_path_is_relative_to_the_file(tmp_path: Path) -> None:
    sockets = (
        '[server]\nlisten = ["unix:in.sock", "unix:/run/x.sock", "127.0.0.1:0"]\nupstream = "unix:up.sock"\n'
    )
    path = written(sockets + '[rules]\nspool = "spool"\n', str(tmp_path / "conf" / "proxy.toml"))
    found = options("-c", str(path))
    folder = tmp_path / "conf"
    assert [str(each) for each in found.listen] == [
        f"unix:{folder}/in.sock",
        "unix:/run/x.sock",
        "127.0.0.1:0",
    ]
    assert [str(server) for server in found.upstream] == [f"unix:{folder}/up.sock"]
    assert found.spool == folder / "spool"
    one = written('[server]\nlisten = "unix:in.sock"\ncapture = "mail"', str(folder / "one.toml"))
    assert [str(each) for each in options("-c", str(one)).listen] == [f"unix:{folder}/in.sock"]
    assert options("-c", str(one)).capture == folder / "mail"
    assert [str(each) for each in options("-c", str(one), "-l", "unix:in.sock").listen] == ["unix:in.sock"]


# Mistakes


def test_all_mistakes_at_once() -> None:
    assert problems("""\
listen = "x"
[server]
listn = ["0.0.0.0:25"]
listen = ["0.0.0.0:25", "2525", 5]
upstream = 25
max_message_size = "ten"
max_connections = 0
verbose = true
rules = ["x"]
nul = "pss"
idle = 5
timeout = 30
[server.timeouts]
final-reply = 5
idle = "x"
all = 0
[rule]
[rules]
files = ["a.py", 5]
on_error = "drop"
timeout = 0
rule_timeout = 5
upstream = "h"
spool = 1
[rules.greylist]
delay = "anything"
[[server2]]
x = 1
[greylist]
a = 1
""") == [
        'proxy.toml:1: unknown key "listen"; write "listen" below [server]',
        'proxy.toml:3: [server] unknown key "listn"; did you mean "listen"?',
        "proxy.toml:4: [server] listen[1] = \"2525\": '2525' has no host; write 127.0.0.1:2525",
        'proxy.toml:4: [server] listen[2] = 5: a port alone; write "127.0.0.1:5"',
        'proxy.toml:5: [server] upstream = 25: expected an address such as "mail.example.net:25" or a list',
        'proxy.toml:6: [server] max_message_size = "ten": expected a number of bytes or a size such as "25M"',
        "proxy.toml:7: [server] max_connections = 0: expected a whole number of clients, 1 or more",
        "proxy.toml:8: [server] verbose = true: expected a whole number of v's as in -vv, 0 or more",
        'proxy.toml:9: [server] unknown key "rules"; write "files" below [rules]',
        'proxy.toml:10: [server] nul = "pss": expected "pass" or "refuse"; did you mean "pass"?',
        'proxy.toml:11: [server] unknown key "idle"; write "idle" below [server.timeouts]',
        'proxy.toml:12: [server] unknown key "timeout"; write "all" below [server.timeouts]',
        'proxy.toml:14: [server.timeouts] unknown key "final-reply"; did you mean "final_reply"?',
        f'proxy.toml:15: [server] timeouts.idle = "x": expected {SOME_SECONDS}',
        "proxy.toml:16: [server] timeouts.all = 0: expected a number of seconds above 0 or a time such as "
        '"30s"',
        "proxy.toml:17: unknown table [rule]; did you mean [rules]?",
        "proxy.toml:19: [rules] files[1] = 5: expected a text in quotes",
        'proxy.toml:20: [rules] on_error = "drop": expected "defer", "reject" or "accept"',
        'proxy.toml:21: [rules] timeout = 0: expected a number of seconds above 0 or a time such as "30s"',
        'proxy.toml:22: [rules] unknown key "rule_timeout"; write "timeout" instead',
        'proxy.toml:23: [rules] unknown key "upstream"; write "upstream" below [server]',
        'proxy.toml:24: [rules] spool = 1: expected "" or a path in quotes',
        "proxy.toml:27: unknown table [server2]; did you mean [server]?",
        f"proxy.toml:29: unknown table [greylist]; {KNOWN}",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server = 5", "1: [server] is a table: its keys stand on the lines below it"),
        ("[[server]]\nnul = 'pass'", "1: [[server]]: write [server], with one pair of brackets"),
        ("[[rules]]", "1: [[rules]]: write [rules], with one pair of brackets"),
        ("\nsevrer.nul = 'pass'", '2: unknown table [sevrer]; did you mean [server]?'),
        ("[timeouts]\nidle = 5", '1: unknown table [timeouts]; did you mean [server.timeouts]?'),
        ("x = 1",
         '1: unknown key "x"; keys stand below a table: '
         "[server] or [limits] or [login] or [oauth] or [rules]"),
        ('reload = true', '1: unknown key "reload"; write "reload" below [rules]'),
        ("[server]\ntimeouts = 5", "2: [server] timeouts = 5: expected a table"),
        ("[server]\nlisten = []", "2: [server] listen = []: expected an address"),
        ("[server]\nlisten = true",
         '2: [server] listen = true: expected an address such as "127.0.0.1:2525" or a list'),
        ('[server]\nlisten = "h"',
         "2: [server] listen = \"h\": 'h' has no port; write HOST:PORT, such as h:2525"),
        ('[server]\nupstream = "http://h"', "2: [server] upstream = \"http://h\": unknown scheme "
         "'http'; use smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT, HOST:PORT or unix:PATH"),
        ("[server]\nmax_connections = 1.5",
         "2: [server] max_connections = 1.5: expected a whole number of clients, 1 or more"),
        ("[server]\nmax_connections = 0x" + "f" * 9000, "2: [server] max_connections = a very large number: "
         "expected a whole number of clients, 1 or more"),
        ("[server]\ngrace = -1", f"2: [server] grace = -1: expected {A_TIME}"),
        ("[server]\ngrace = nan", f"2: [server] grace = nan: expected {A_TIME}"),
        ('[server]\ntranscript = "yes"',
         '2: [server] transcript = "yes": expected true or false; write true'),
        ('[server]\nupstream = "h"\ncapture = "x"',
         "3: [server] capture is for the built-in server; with an upstream server there is none"),
        ("[rules]\nmax_held = 0",
         '2: [rules] max_held = 0: expected a number of bytes or a size such as "25M"'),
        ('[limits]\nmax_line = "511"', '2: [limits] max_line = "511": expected 512 bytes or more'),
        ("[limits]\nmessage_rate = '100/hour'", '2: [limits] message_rate = "100/hour": expected a number in '
         'a time such as "600/60s", or "none"; write "100/1h"'),
        ("[limits]\nmessage_rate = ' 100 / S'", '2: [limits] message_rate = " 100 / S": expected a number in '
         'a time such as "600/60s", or "none"; write "100/1s"'),
        ("[limits]\nmessage_rate = 'many/day'", '2: [limits] message_rate = "many/day": expected a number in '
         'a time such as "600/60s", or "none"'),
        ("[limits]\nmax_reply = 0",
         '2: [limits] max_reply = 0: expected a number of bytes or a size such as "25M"'),
        ("[server]\nmesages = { minute = 30 }",
         '2: [server] unknown key "mesages"; the limit of messages of a client is a setting of '
         "ready:rate_limit, below [rules.rate_limit]"),
        ("[server]\nfoo = { minute = 30 }",
         '2: [server] unknown key "foo"; smtp-proxy --help names all settings'),
        ("[login]\nfoo = [{ minute = 30 }]", '2: [login] unknown key "foo"; known: mode, user, '
         "password_file"),
        ("foo = { minute = 30 }", '1: unknown key "foo"; keys stand below a table: '
         "[server] or [limits] or [login] or [oauth] or [rules]"),
        ("[server]\nfoo.minute = 30", f"2: unknown table [server.foo]; {KNOWN}"),
        ("[server.foo]", f"1: unknown table [server.foo]; {KNOWN}"),
        ("[rules]\nreload = 1", "2: [rules] reload = 1: expected true or false; write true"),
        ("[log]\ntranscript = true\nverbose = 1",
         '1: unknown table [log]; write "transcript" below [server]; write "verbose" below [server]'),
        ("[tls]\ncert = 'x'", '1: unknown table [tls]; write "tls_cert" below [server]'),
        ("[log]\ntranscript = true\nlevel = 1", f"1: unknown table [log]; {KNOWN}"),
        ("[rules.files]\nx = 1", "1: [rules] files = {...}: expected a text in quotes or a list of texts in "
         "quotes"),
        ('[tls]\nmode = "encrypt"',
         '1: unknown table [tls]; for TLS with clients write tls = "encrypt" below [server], for TLS to the '
         "server upstream_tls"),
        ("[[rules.footer]]\ntext = 'x'",
         "1: [[rules.footer]]: write [rules.footer], with one pair of brackets"),
        ("[rules]\nfiles = 'ready:footer'\n[footer]\ntext = 'x'",
         "3: unknown table [footer]; did you mean [rules.footer]?"),
        ('[server]\ntranscript = "transcript.log"',
         '2: [server] transcript = "transcript.log": expected true or false; the transcript goes to standard '
         "output, from where it can go to a file"),
        ('[server]\ncertificate = "x.pem"',
         '2: [server] unknown key "certificate"; write "tls_cert" instead'),
        ("[server]\nport = 3331", '2: [server] unknown key "port"; write listen = "127.0.0.1:3331" instead'),
        ("[server]\nport = 'x'", '2: [server] unknown key "port"; write "listen" instead'),
        ("[server]\nlisten = 3331", '2: [server] listen = 3331: a port alone; write "127.0.0.1:3331"'),
        ("[server]\nstarttls = true", '2: [server] unknown key "starttls"; write tls = "may" instead'),
        ("[server]\nquiet = 'off'", '2: [server] quiet = "off": expected true or false; write false'),
        ("[server]\nquiet = 'x'", '2: [server] quiet = "x": expected true or false'),
        ("[login]\npassword = 'x'",
         '2: [login] unknown key "password"; a secret does not stand in this file: '
         'write password_file = "FILE", or set the variable SMTP_PROXY_UPSTREAM_PASSWORD'),
        ("[oauth]\nclient_secret = 'x'", '2: [oauth] unknown key "client_secret"; a secret does not stand in '
         'this file: write client_secret_file = "FILE", or set the variable SMTP_PROXY_OAUTH_CLIENT_SECRET'),
        ("port = 25", '1: unknown key "port"; write listen = "127.0.0.1:25" below [server]'),
        ("[rules]\ncert = 'x'", '2: [rules] unknown key "cert"; write "tls_cert" below [server]'),
        ("[limits]\nmessages = { minute = 3 }", '2: [limits] unknown key "messages"; the limit of messages '
         "of a client is a setting of ready:rate_limit, below [rules.rate_limit]"),
        ("[server]\nupstream = '127.0.0.1:333320'",
         '2: [server] upstream = "127.0.0.1:333320": \'333320\' is no port number (0 to 65535)'),
        ("[rules]\ngreylist = 5",
         '2: [rules] unknown key "greylist"; known: files, timeout, on_error, addresses, reload, '
         "quarantine, max_held, spool"),
    ],
)  # fmt: skip
def test_one_mistake(text: str, problem: str) -> None:
    assert problems(text) == [f"proxy.toml:{problem}"]


def test_a_misspelt_table_is_looked_into() -> None:
    assert problems("[severs]\nnul = 'x'\n[rulez]\ntimeout = 0\n[rulez.footer]\ntext = 5\n") == [
        "proxy.toml:1: unknown table [severs]; did you mean [server]?",
        'proxy.toml:2: [server] nul = "x": expected "pass" or "refuse"',
        "proxy.toml:3: unknown table [rulez]; did you mean [rules]?",
        'proxy.toml:4: [rules] timeout = 0: expected a number of seconds above 0 or a time such as "30s"',
    ]
    config, _ = read_config(Path("proxy.toml"))
    assert config is not None
    assert config.rule_settings == {"footer": RuleTable({"text": 5}, {"": 5, "text": 6}, "proxy.toml")}


@pytest.mark.parametrize(
    ("table", "meant"),
    [
        ("server.timeout", "server.timeouts"),
        ("server.time_outs", "server.timeouts"),
        ("server.timeout-s", "server.timeouts"),
        ("limits.timeouts", "server.timeouts"),
        ("timeouts", "server.timeouts"),
        ("server.rate_limit", "rules.rate_limit"),
        ("server.rate-limit", "rules.rate_limit"),
        ("limits.rate_limits", "rules.rate_limit"),
        ("rate_limit", "rules.rate_limit"),
        ("server.mine", "rules.mine"),
        ("server.limit", "limits"),
        ("login.limits", "limits"),
        ("server.oauth2", "oauth"),
        ("server.rulez", "rules"),
    ],
)
def test_a_table_that_is_meant_as_another_one_is_named(table: str, meant: str) -> None:
    text = f"[rules]\nfiles = 'mine.py'\n[{table}]\n"
    assert problems(text) == [f"proxy.toml:3: unknown table [{table}]; did you mean [{meant}]?"]


def test_tables_with_capital_letters_are_looked_into() -> None:
    assert problems("[Server]\nListen = 'a:1'\n") == [
        "proxy.toml:1: unknown table [Server]; did you mean [server]?",
        'proxy.toml:2: [server] unknown key "Listen"; did you mean "listen"?',
    ]


def test_a_route_in_another_table() -> None:
    assert problems("[[server.route]]\nupstream = 'a'\n[server]\nrecipient = 'x'\n") == [
        "proxy.toml:1: unknown table [server.route]; did you mean [[route]]?",
        'proxy.toml:4: [server] unknown key "recipient"; it is a condition of a route: write "recipient" '
        "below [[route]]",
    ]


def test_a_misspelt_table_in_another_one_is_looked_into() -> None:
    text = "[server]\nnul = 'pass'\n[server.timeout]\nidle = 'x'\nfoo = 1\nlisten = 'x:1'\nall = 5\n"
    assert problems(text) == [
        "proxy.toml:3: unknown table [server.timeout]; did you mean [server.timeouts]?",
        f'proxy.toml:4: [server] timeouts.idle = "x": expected {SOME_SECONDS}',
        f'proxy.toml:5: [server.timeouts] unknown key "foo"; known: all, {", ".join(PHASES)}',
        'proxy.toml:6: [server.timeouts] unknown key "listen"; write "listen" below [server]',
    ]


def test_a_table_in_the_wrong_place_is_looked_into() -> None:
    text = "[server.limits]\nmax_line = 5\n[server.rate_limit]\nmessages = 5\n"
    assert problems(text) == [
        "proxy.toml:1: unknown table [server.limits]; did you mean [limits]?",
        "proxy.toml:2: [limits] max_line = 5: expected 512 bytes or more",
        "proxy.toml:3: unknown table [server.rate_limit]; did you mean [rules.rate_limit]?",
    ]
    config, _ = read_config(Path("proxy.toml"))
    assert config is not None
    assert config.rule_settings == {
        "rate_limit": RuleTable({"messages": 5}, {"": 3, "messages": 4}, "proxy.toml")
    }


def test_keys_say_what_is_meant_more_clearly_than_the_name_of_the_table() -> None:
    assert problems("[server.rate_limit]\nmessage_rate = 5\n") == [
        "proxy.toml:1: unknown table [server.rate_limit]; did you mean [limits]?",
        'proxy.toml:2: [limits] message_rate = 5: expected a number in a time such as "600/60s", or "none"',
    ]


def test_a_key_of_the_service_in_a_table_of_another_kind() -> None:
    assert problems("[[route]]\nupstream = 'h'\nupstream_tls = 'may'\nclients = 'unix'\n") == [
        'proxy.toml:3: [[route]] unknown key "upstream_tls"; did you mean "upstream"? ("upstream_tls" is a '
        "key of [server])",
        'proxy.toml:4: [[route]] unknown key "clients"; did you mean "client"?',
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[rules]\nfiles = 'ready:allow-list'\n[rule.allow_list]\nrecipients = ['*']\n",
        "[rules.allow_list]\nrecipients = ['*']\n[rule]\nfiles = 'ready:allow-list'\n",
        "[rules.x]\ny = 1\n[rule]\nfiles = 'ready:allow-list'\n[rule.allow_list]\nrecipients = ['*']\n",
    ],
)
def test_what_is_meant_for_the_table_of_rules_is_added_to_it(text: str) -> None:
    config, found = read_config(written(text))
    assert [problem.text for problem in found] == ["unknown table [rule]; did you mean [rules]?"]
    assert config is not None
    assert config.values["rules"] == ("ready:allow-list",)
    allow_list = config.rule_settings["allow_list"]
    assert allow_list.table == {"recipients": ["*"]}
    line = text[: text.index("recipients")].count("\n") + 1
    assert allow_list.lines == {"": line - 1, "recipients": line}


def test_a_misspelt_table_does_not_add_to_the_right_one() -> None:
    assert problems("[server]\nnul = 'pass'\n[severs]\nnul = 'x'\n") == [
        "proxy.toml:3: unknown table [severs]; did you mean [server]?"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[server]\nlisten = 0.0.0.0:25\n', ':2: column 13: texts stand in quotes: listen = "0.0.0.0:25"'),
        ("[server]\nupstream = mail", ':2: column 12: texts stand in quotes: upstream = "mail"'),
        ("[oauth]\nsecret = geheim", ':2: column 10: texts stand in quotes: secret = "********"'),
        ('[server]\nupstream = "mail\n', ":2: column 17: the quote that ends the text is missing"),
        ("[server\n", ":1: column 8: the bracket that ends the name of the table is missing"),
        ("[server]\n[server]\n",
         ":2: column 8: [server] is written a second time (first in line 1); write its keys below the first "
         "one"),
        ("[server]\nnul = 'pass'\nnul = 'pass'",
         ": at its end: this key is written for the second time; it may be written once"),
        ("[server]\nlisten = 'a:1'\nlisten = 'b:2'\n\n",
         ":3: column 15: listen is written for the second time; "
         "write it once, several values in brackets: listen = [...]"),
        ("[rules]\na = { b = { c = 1 } }\n[rules.a.b]\nc = 1\n",
         ":3: column 11: [rules.a.b] has a value already, in a line above; leave out one of them"),
        ("[server]\nverbose = 5 grace = 3\n", ":2: column 13: each key stands on a line of its own"),
        ("[server]\nlisten = 'a:1', upstream = \"b\"\n",
         ":2: column 15: each key stands on a line of its own"),
        ("[server]\nlisten = [\n", ": at its end: the value is missing, or is none that TOML has"),
        ("[server]\ntranscript = yes\n",
         ":2: column 14: write true or false, in lower case and without quotes: transcript = true"),
        ("[server]\ntranscript = True # please\n",
         ":2: column 14: write true or false, in lower case and without quotes: transcript = true"),
        ("[server]\r\ntranscript = off\r\n",
         ":2: column 14: write true or false, in lower case and without quotes: transcript = false"),
        ("[server]\nupstream = None", ":2: column 12: TOML has no word for nothing; leave the line out"),
        ("[server]\nupstream =\n", ":2: column 11: the value after = is missing"),
        ("[server]\nmax_message_size = 25M\n",
         ':2: column 22: texts stand in quotes: max_message_size = "25M"'),
        ("[server]\nlisten = 'a:1', 'b:2'\n",
         ":2: column 15: several values stand in brackets: listen = ['a:1', 'b:2']"),
        ("server:\n  listen: a:1\n",
         ":1: column 7: this is YAML; in TOML a table stands in brackets: [server]"),
        ("[server]\nlisten: 'a:1'\n",
         ":2: column 7: write = in place of the colon: listen = 'a:1'"),
        ("server\nlisten = 'a:1'\n",
         ":1: column 7: a table stands in brackets, as in [server]; a key needs = and a value"),
        ("[server]\nlisten = \u201ca:1\u201d\n",
         ":2: column 10: these quotes are typographic; write plain ones: \" or '"),
        ("// mine\n", ":1: column 1: a comment begins with #"),
        ("[rules]\nfiles = \"C:\\Users\\ann.py\"\n",
         ":2: column 14: between two \" a backslash has a meaning of its own; write '...'"),
        ("from x import y\n",
         ":1: column 6: this is Python; a file with rules is given with --rules"),
        ('{"listen": "a:1"}\n',
         ":1: column 1: this looks like JSON; a settings file is TOML: a line [server], and below it "
         'listen = "127.0.0.1:2525"'),
        ("\0", ":1: column 1: invalid statement"),
        ("a = 1\n\0\0\0", ":2: column 1: invalid statement"),
        ("a\r= 1", ":1: column 2: expected '=' after a key in a key/value pair"),
        (b"a = 1\n\xff\xfe", ":2: not UTF-8: byte 0xff; save the file as UTF-8"),
        ("[server]\n".encode("utf-16"), ":1: not UTF-8: byte 0xff; save the file as UTF-8"),
        ("x = " + "[" * 5000, ": nested too deeply"),
        ("x = " + "9" * 5000, ": a number has too many digits"),
        (b"#" * 1_000_001, ": larger than 1,000,000 bytes; is it a settings file?"),
    ],
)  # fmt: skip
def test_what_is_no_toml(text: str | bytes, problem: str) -> None:
    path = written(text)
    config, found = read_config(path)
    assert config is None
    assert [str(p) for p in found] == [f"proxy.toml{problem}"]
    with pytest.raises(RuleError):
        load_config(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = f"there is no such file: {Path('nowhere.toml').absolute()}; correct the path"
    for name, why in [("nowhere.toml", missing), (".", "Is a directory")]:
        config, (problem,) = read_config(Path(name))
        assert config is None
        assert str(problem) == f"{name}: cannot be read: {why}"
    written("")
    config, (problem,) = read_config(Path("proxy.toml/x"))
    assert config is None
    assert str(problem) == "proxy.toml/x: cannot be read: Not a directory"


def test_a_file_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read every file
    _, (problem,) = read_config(path)
    assert str(problem) == "proxy.toml: cannot be read: Permission denied"


def test_what_could_be_read_is_known_beside_the_mistakes() -> None:
    config, found = read_config(written('[server]\nnul = "refuse"\ngrace = "x"\n[rules.a]\nx = 1\n[[x]]'))
    assert len(found) == 2
    assert config is not None
    assert config.values == {"nul": "refuse"}
    assert config.rule_settings == {"a": RuleTable({"x": 1}, {"": 4, "x": 5}, "proxy.toml")}


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        (FULL, set[str]()),
        ("[server]\nnul = 'x'\ngrace = 1", {"nul"}),
        ("[server]\nnull = 'x'", {"nul"}),
        ("[server]\ncert = 'x'", {"tls_cert"}),
        ("cert = 'x'", {"tls_cert"}),
        ("[rules]\nupstream = 'x'", {"upstream"}),
        ("[server.timeouts]\nidle = 'x'", {"timeouts"}),
        ("[server]\nidle = 'x'", {"timeouts"}),
        ("[server]\nzebra = 'x'\ngrace = 1", {*SETTINGS} - {"grace"}),
    ],
)
def test_what_may_stand_there_but_could_not_be_read(text: str, unread: set[str]) -> None:
    config, _ = read_config(written(text))
    assert config is not None
    assert config.unread == unread
    assert choose({"quiet": True}, config).unread == unread - {"quiet"}


WORDS = st.sampled_from(
    ["[server]", "[rules]", "[[rules]]", "[rules.x]", "[server.timeouts]", "listen", "idle", "files", "=",
     "\n", '"', "'", '"""', "[", "]", "{", "}", ",", ".", "1", "true", '"h:25"', "#", "\\", "\0", "\r\n",
     "é", "x", "0x"]
)  # fmt: skip


@given(st.lists(WORDS).map(" ".join) | st.lists(WORDS).map("".join) | st.binary())
def test_any_text_is_read_or_is_a_problem(text: str | bytes) -> None:
    config, found = read_config(written(text))
    assert config is not None or found
    for problem in found:
        assert str(problem).startswith("proxy.toml")
        assert problem.line <= (text if isinstance(text, bytes) else text.encode()).count(b"\n") + 1
    if config is not None and not found:
        assert choose({}, config).config == Path("proxy.toml")


@given(st.dictionaries(st.sampled_from(["all", *PHASES]), st.floats(0.001, 10**8)))
def test_timeouts_keep_their_values(seconds: dict[str, float]) -> None:
    text = "[server.timeouts]\n" + "".join(f"{phase} = {value!r}\n" for phase, value in seconds.items())
    found = choose({}, load_config(written(text))).timeouts
    rest = seconds.get("all")
    for field in attrs.fields(Timeouts):
        expected = seconds.get(field.name, field.default if rest is None else rest)
        assert getattr(found, field.name) == expected
