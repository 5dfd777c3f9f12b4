"""``smtp-proxy check`` and settings files, as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import write_rules
from click.testing import CliRunner
from commands import connect, once, proxy, say_hello, submit, upstream

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.commands.cli import cli
from trio_proxy.commands.problem_order import in_order


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rules()


CONFIG = """
[server]
listen = "127.0.0.1:0"
upstream = "127.0.0.1:{port}"
[rules]
files = ["good.py", "greylist.py"]
[rules.greylist]
host = "h"
delay = {delay}
"""


def test_check_from_the_command_line(tmp_path: Path) -> None:
    with upstream() as server:
        Path("proxy.toml").write_text(CONFIG.format(port=server.port, delay='"5m"'))
        result = once("check", "-c", "proxy.toml", directory=tmp_path)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == (
            "  config      proxy.toml ok\n"
            "  rules       good.py: rcpt, message\n"
            "  rules       greylist.py: rcpt\n"
            "  listen      127.0.0.1:0 is free\n"
            f"  upstream    127.0.0.1:{server.port}: 220 mx.example ESMTP; AUTH PLAIN\n"
        )
    assert {path.name for path in tmp_path.iterdir()} == {
        "proxy.toml",
        "good.py",
        "misspelt.py",
        "greylist.py",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[rules]\nfiles = "ready:rate_limit"\n[rules.rate_limit]\nmessages = 5\n',
            "proxy.toml:4: [rules.rate_limit] messages = 5: expected a table such as { minute = 30 }\n",
        ),
        (
            '[rules]\nfiles = "good.py"\n[rules.grylist]\ndelay = 5\n',
            "proxy.toml:3: [rules.grylist] no rule class takes these settings\n",
        ),
    ],
)
def test_a_settings_file_is_not_ok_if_its_rule_settings_are_wrong(text: str, problem: str) -> None:
    Path("proxy.toml").write_text(f'[server]\nlisten = "127.0.0.1:0"\n{text}')
    result = CliRunner().invoke(cli, ["check", "-c", "proxy.toml"])
    assert (result.exit_code, result.stderr) == (
        78,
        problem.replace(problem[11], str(int(problem[11]) + 2), 1),
    )
    assert "proxy.toml ok" not in result.stdout


def test_options_before_and_behind_the_word(tmp_path: Path) -> None:
    """What comes after it wins; rules add up."""
    with upstream() as server:
        where = f"127.0.0.1:{server.port}"
        result = once(
            "-u", "127.0.0.1:1", "-r", "good.py", "-l", "127.0.0.1:0", "check", "--upstream", where, "-r",
            "greylist.py", directory=tmp_path, SMTP_PROXY_UPSTREAM="127.0.0.1:2",
        )  # fmt: skip
        assert result.returncode == 78
        assert result.stderr.startswith("greylist.py:14: [rules.greylist] missing key")
        result = once("--rules", "good.py", "-u", where, "check", "-l", "127.0.0.1:0", directory=tmp_path)
        assert result.returncode == 0
        assert "rules       good.py: rcpt, message\n" in result.stdout
        assert f"upstream    {where}: 220" in result.stdout
        environment = {"SMTP_PROXY_UPSTREAM": where, "SMTP_PROXY_LISTEN": "127.0.0.1:0"}
        result = once("check", directory=tmp_path, **environment)
        assert (result.returncode, result.stderr) == (0, "")
        assert f"upstream    {where}: 220" in result.stdout


def test_problems_everywhere(tmp_path: Path) -> None:
    Path("proxy.toml").write_text(
        CONFIG.format(port=1, delay="true") + "[sever]\n[server.timeouts]\nidel = 1\n"
    )
    result = once("check", "--config", "proxy.toml", directory=tmp_path)
    assert result.returncode == 78
    assert result.stderr.splitlines() == [
        "proxy.toml:9: [rules.greylist] delay = true: expected a number of seconds or a time such as "
        '"30s" or "5m"',
        "proxy.toml:10: unknown table [sever]; did you mean [server]?",
        'proxy.toml:12: [server.timeouts] unknown key "idel"; did you mean "idle"?',
        "upstream 127.0.0.1:1: cannot be reached: Connection refused; is it running, and the address right?",
    ]
    assert result.stdout == "  listen      127.0.0.1:0 is free\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["-u", "127.0.0.1:1"], 69, "cannot be reached"),
        (["-r", "misspelt.py"], 78, "misspelt.py:1: "),
        (["-r", "ready:nothing"], 78, "ready:nothing: "),
        (["-c", "nowhere.toml"], 78, "nowhere.toml: cannot be read: there is no such file: /"),
        (["-c", "."], 78, ".: cannot be read: Is a directory"),
        (["--quarantin", "x"], 2, "Did you mean '--quarantine'?"),
        (["--timeout", "idel=3"], 2, "did you mean idle=3?"),
        (["--capture", "x", "-u", "h"], 2, "--capture is for the built-in server"),
        (["good.py"], 2, "unexpected extra argument (good.py)"),
    ],
)  # fmt: skip
def test_exit_statuses(arguments: list[str], status: int, words: str) -> None:
    result = CliRunner().invoke(cli, ["check", "-l", "127.0.0.1:0", *arguments])
    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_the_service_does_not_start_with_a_broken_file(tmp_path: Path) -> None:
    Path("proxy.toml").write_text("[server]\nlistn = 1\n[rulse]\n")
    for arguments in (["-c", "proxy.toml"], ["--config=proxy.toml", "-l", "127.0.0.1:0", "-v"]):
        result = once(*arguments, directory=tmp_path)
        assert (result.returncode, result.stdout) == (78, "")
        assert result.stderr == (
            'proxy.toml:2: [server] unknown key "listn"; did you mean "listen"?\n'
            "proxy.toml:3: unknown table [rulse]; did you mean [rules]?\n"
        )
    result = once(directory=tmp_path, SMTP_PROXY_CONFIG="proxy.toml")
    assert result.returncode == 78


def test_the_service_starts_with_a_file(tmp_path: Path) -> None:
    with upstream() as server:
        text = f'[server]\nlisten = "127.0.0.1:0"\nupstream = "127.0.0.1:{server.port}"\n'
        Path("proxy.toml").write_text(text)
        with proxy(tmp_path, "-c", "proxy.toml") as process, connect(("127.0.0.1", process.port)) as client:
            assert f"upstream    127.0.0.1:{server.port}" in process.said()
            say_hello(client)
            assert submit(client, b"Subject: x\r\n\r\n") == b"250 2.0.0 kept"


def test_the_service_and_test_say_every_mistake_as_check_does(tmp_path: Path) -> None:
    """Those of [server], of the rule files, and of the tables of rules."""
    toml = CONFIG.format(port=1, delay="true").replace('"greylist.py"', '"greylist.py", "misspelt.py"')
    Path("proxy.toml").write_text(toml + "[sever]\n")
    Path("mail.eml").write_text("Subject: x\n\nhello\n")
    said, _, server = once("check", "--config", "proxy.toml", directory=tmp_path).stderr.partition(
        "upstream "
    )
    assert "cannot be reached" in server
    assert len(said.splitlines()) >= 4
    assert "[sever]" in said
    assert "misspelt.py:1" in said
    assert "delay" in said
    trial = ("test", "--config", "proxy.toml", "mail.eml", "--from", "a@b.example", "--to", "c@d.example")
    for arguments in (("--config", "proxy.toml"), trial):
        result = once(*arguments, directory=tmp_path)
        assert (result.returncode, result.stdout, result.stderr) == (78, "", said)


def test_mistakes_of_options_variables_file_and_rules_are_said_together(tmp_path: Path) -> None:
    Path("proxy.toml").write_text('[server]\nlisten = "x"\n[rules]\nfiles = "misspelt.py"\n')
    result = once(
        "-c", "proxy.toml", "-l", "here", "-l", "there:x", "-u", ":::", directory=tmp_path,
        SMTP_PROXY_GRACE="soon",
    )  # fmt: skip
    assert result.returncode == 2
    for text in (
        "'here' has no port",
        "'x' is no port",
        "'soon'",
        "':::'",
        "proxy.toml:2:",
        "misspelt.py:1:",
    ):
        assert text in result.stderr
    result = once("-c", "proxy.toml", "-u", "a", "--capture", "b", directory=tmp_path)
    assert result.returncode == 2
    assert "--capture is for the built-in server" in result.stderr
    assert "proxy.toml:2:" in result.stderr


MISTAKES = """\
[server]
listen = "127.0.0.1:2599"
upstream = "127.0.0.1:2599"
tls_cert = "nomail.pem"
self_signed = true
tls_kye = "x"
transcript = 5

[rules]
files = "gone-away.py"
"""


@pytest.mark.parametrize("command", [("check",), ()])
def test_all_mistakes_are_said_at_once_each_with_its_line(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MISTAKES)
    result = once(*command, "--config", "m.toml", directory=tmp_path)
    assert result.returncode == 78
    assert "config" not in result.stdout
    assert [line for line in result.stderr.splitlines() if not line.startswith("upstream ")] == [
        'm.toml:3: [server] upstream = "127.0.0.1:2599" is where this proxy listens itself: it cannot be its '
        "upstream server; name the server that mail goes to",
        'm.toml:4: [server] tls_cert = "nomail.pem": cannot be read: '
        f"there is no such file: {tmp_path}/nomail.pem; correct the path",
        "m.toml:5: [server] self_signed = true makes a certificate, and tls_cert gives one: leave out one of "
        "them",
        'm.toml:6: [server] unknown key "tls_kye"; did you mean "tls_key"?',
        "m.toml:7: [server] transcript = 5: expected true or false",
        'm.toml:10: [rules] files = "gone-away.py": cannot be read: '
        f"there is no such file: {tmp_path}/gone-away.py; correct the path",
    ]


def test_a_file_is_not_ok_if_a_file_that_it_names_is_missing(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[rules]\nfiles = "gone-away.py"\n')
    result = once("check", "--config", "m.toml", directory=tmp_path)
    assert "m.toml ok" not in result.stdout
    assert result.stderr.splitlines()[0].startswith(
        'm.toml:2: [rules] files = "gone-away.py": cannot be read'
    )


def test_a_variable_that_is_neither_true_nor_false() -> None:
    result = CliRunner().invoke(cli, ["check"], env={"SMTP_PROXY_TRANSCRIPT": "perhaps"})
    assert result.exit_code == 2
    assert "value for SMTP_PROXY_TRANSCRIPT in the environment: 'perhaps': expected true or false" in (
        result.stderr
    )


def test_reload_of_a_service_without_workers_says_what_does_it() -> None:
    Path("one.toml").write_text("[server]\n")
    result = CliRunner().invoke(cli, ["reload", "--config", "one.toml"])
    assert result.exit_code == 2
    assert "This command is for a service with --workers" in result.stderr
    assert "kill -HUP PID" in result.stderr


MISSPELT = """\
[rules]
files = ["ready:allowlist", "ready:rate-limits"]
[rules.allow_list]
code = "x"
[rules.rate_limit]
per = "user"
"""


def test_what_a_misspelt_name_names_is_looked_into_in_the_same_run() -> None:
    Path("m.toml").write_text(MISSPELT)
    result = CliRunner().invoke(cli, ["check", "--config", "m.toml"])
    assert [line for line in result.stderr.splitlines() if line.startswith("m.toml")] == [
        'm.toml:2: [rules] files = "ready:allowlist": there is no such rule; did you mean "allow_list"?',
        'm.toml:2: [rules] files = "ready:rate-limits": there is no such rule; did you mean "rate_limit"?',
        'm.toml:3: [rules.allow_list] missing key "recipients": expected a list of texts in quotes',
        'm.toml:4: [rules.allow_list] code = "x": expected a whole number',
        "m.toml:5: [rules.rate_limit] neither messages nor recipients have a limit, as in messages = "
        "{ minute = 30 }",
        'm.toml:6: [rules.rate_limit] per = "user": expected "ip", "login" or "sender"; did you mean '
        '"login"?',
    ]


def test_mistakes_are_sorted_by_file_and_line() -> None:
    problems = [Problem("b", 3, "b3"), Problem("", 0, "x"), Problem("a", 0, "a0"), Problem("b", 1, "b1")]
    assert [each.text for each in in_order(problems)] == ["b1", "b3", "x", "a0"]
