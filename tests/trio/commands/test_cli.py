"""The executable: what it prints, how it exits, what it does with signals."""

from __future__ import annotations

import base64
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from commands import COMMAND, Proxy, connect, deliver, environment, once, proxy, say_hello, submit, upstream
from drivers import Peer, closed_port

from sansio_smtp import __version__
from trio_proxy.commands.cli import cli

OPTIONS = [
    "--listen", "--upstream", "--capture", "--transcript", "--bare-newline", "--nul", "--chunking",
    "--max-message-size",
    "--max-connections", "--timeout", "--io", "--grace", "--log-format", "--log-addresses",
    "--log-key-file", "--verbose", "--quiet", "--version", "--help",
    "--config", "--rules", "--rule-timeout", "--on-rule-error", "--addresses", "--quarantine", "--max-held",
    "--spool", "--reload", "--no-reload", "--open-relay-warning", "--no-open-relay-warning",
    "--case-sensitive-logins", "--tls-cert", "--tls-key", "--self-signed", "--tls", "--tls-client-ca",
    "--auth-without-tls", "--upstream-tls", "--upstream-ca", "--upstream-tls-name", "--upstream-cert",
    "--upstream-key", "--accept-proxy", "--accept-xclient", "--accept-xforward", "--send-client",
    "--oauth-url", "--oauth-client-id", "--oauth-client-secret-file", "--oauth-refresh-token-file",
    "--oauth-scope", "--oauth-timeout", "--login", "--upstream-user", "--upstream-password-file",
    "--upstream-keep", "--upstream-keep-time", "--upstream-keep-uses", "--headroom",
    "--admin", "--otel",
    "--workers", "--control", "--user",
    "--max-network-connections", "--connection-rate", "--message-rate", "--command-rate", "--min-rate",
    "--max-errors", "--soft-errors", "--error-delay", "--max-refusals", "--max-junk", "--early-talkers",
    "--max-recipients", "--max-line", "--max-header-section", "--max-reply",
    "--max-held-total", "--network-prefix-v4", "--network-prefix-v6", "--exempt-networks",
]  # fmt: skip
TEXT = b"Subject: hi\r\n\r\n..one\r\n"
STOPPED = b"421 4.3.2 service is shutting down, try again later\r\n"
SOME_SECONDS = 'expected a number of seconds above 0 or a time such as "30s"'
SOON = 20.0
"""Seconds within which a service ends: less than the grace period, and far more than it needs."""
ANY = ("--listen", "127.0.0.1:0")
HAS_IPV6 = socket.has_dualstack_ipv6()


# What it says


def started(command: list[str]) -> tuple[subprocess.CompletedProcess[str], float]:
    """A program from the start of its Python to its end, and the seconds of the processor that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_names_every_option_and_is_fast() -> None:
    result, seconds = started([*COMMAND, "--help"])
    assert seconds < 1.5  # of the processor: alone it is a tenth of a second
    assert (result.returncode, result.stderr) == (0, "")
    for option in OPTIONS:
        assert option in result.stdout
    assert re.search(r"^  check  ", result.stdout, re.M)
    assert re.search(r"^  demo  ", result.stdout, re.M)
    assert set(re.findall(r"--[a-z0-9-]+", result.stdout)) == set(OPTIONS)
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["demo", "--help"], ["check", "--help"], ["--timeut", "1"]]
)
def test_what_needs_no_network_imports_none(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom trio_proxy.commands.cli import main\n"
        f"sys.argv[1:] = {arguments}\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "unwanted = {'trio', 'structlog', 'asyncio', 'cattrs', 'sansio_smtp', 'ssl', 'cryptography'}\n"
        "sys.exit(sorted(unwanted & set(sys.modules)) or 0)\n"
    )
    result, _ = started([sys.executable, "-c", code])
    assert result.returncode == 0, result.stderr


def test_what_no_session_needs_is_not_loaded() -> None:
    """The service with a server, without rules, TLS and a settings file."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ["--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--upstream", "127.0.0.1:25"]
        code = (
            f"import sys\nfrom trio_proxy.__main__ import main\nsys.argv[1:] = {arguments}\n"
            "try:\n    main()\nexcept SystemExit as status: assert status.code == 69, status\n"
            "unwanted = {'asyncio.base_events', 'cryptography', 'email', 'trio_proxy.driver.capture'}\n"
            "unwanted |= {'prometheus_client', 'h11', 'opentelemetry', 'cattrs', 'tomllib'}\n"
            "unwanted |= {'_ssl', '_hashlib'}  # which load OpenSSL\n"
            "sys.exit(sorted(unwanted & set(sys.modules)) or 0)\n"
        )
        result, _ = started([sys.executable, "-c", code])
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--bare-newline ", "plain,normalize plain,reject"), ("--on-rule-error r", "plain,reject"),
        ("--quarantine some", "dir,some"), ("--config p", "file,p"), ("--rules r", "file,r"),
        ("--grace ", ""),
    ],
)  # fmt: skip
def test_what_a_shell_completes(words: str, found: str) -> None:
    result = once(_SMTP_PROXY_COMPLETE="bash_complete", COMP_WORDS=f"smtp-proxy {words}", COMP_CWORD="2")
    assert result.stdout.split() == found.split()


def test_check_takes_the_options_of_the_service() -> None:
    assert set(re.findall(r"--[a-z0-9-]+", once("check", "--help").stdout)) == {*OPTIONS} - {"--version"}


def test_version() -> None:
    assert once("--version").stdout == f"smtp-proxy, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--upstraem", "x"], "No such option '--upstraem'. (Did you mean one of: '--upstream', '--up"),
        (["dmeo"], "No such command 'dmeo'. Did you mean 'demo'?"),
        (["chekc"], "No such command 'chekc'. Did you mean 'check'?"),
        (["run"], "No such command 'run'. To start the service, give no command: smtp-proxy"),
        (["strat"], "No such command 'strat'. To start the service, give no command: smtp-proxy"),
        (["my.py"], "No such command 'my.py'. Is it a file with rules? Write --rules my.py."),
        (["p.toml"], "No such command 'p.toml'. Is it a settings file? Write --config p.toml."),
        (["a.eml"], "No such command 'a.eml'. Is it a message? Write smtp-proxy test --rules FILE.py a.eml."),
        (["--port", "25"], "No such option '--port'. Use --listen to say where the proxy listens, such as"),
        (["--rule_timeout", "5"], "No such option '--rule_timeout'. Write --rule-timeout."),
        (["--relay", "h"], "No such option '--relay'. Use --upstream mail.example.net:25 to name"),
        (["--script", "h"], "No such option '--script'. Use --rules FILE.py for a file with rules"),
        (["--upstream", "ann@example.com"], "'ann@example.com': a mailbox (it has an @) is no server; write"),
        (["--upstream", "smtp://ann:pw@mx"], "'smtp://********@mx': a login does not stand in the address"),
        (["--upstream", "mx 25"], "'mx 25': no host name holds a blank; write HOST:PORT, such as mail"),
        (["--upstream", ""], "'': the name of the server is missing; write HOST:PORT"),
        (["--upstream", "mx:smtp"], "'mx:smtp': 'smtp' is no port number (0 to 65535); the port of smtp is"),
        (["xyzzy"], "No such command 'xyzzy'. Commands: check, completion, demo, reload, show, test."),
        (["--listen", "2525"], "'2525' has no host; write 127.0.0.1:2525"),
        (["--listen", "127.0.0.1"], "'127.0.0.1' has no port; write HOST:PORT, such as 127.0.0.1:2525"),
        (["--listen", "::1:25"], "'::1:25' cannot be read; an IPv6 address needs brackets: [::1]:25 or"),
        (["--listen", "[::1:25"], "'[::1:25' cannot be read; an IPv6 address is written [::1]:2525"),
        (["--listen", "h:65536"], "'h:65536': '65536' is no port number (0 to 65535)"),
        (["--listen", "h:x"], "'h:x': 'x' is no port number (0 to 65535)"),
        (["--listen", "unix:"], "'unix:' names no path; write unix:/run/smtp-proxy.sock"),
        (["--accept-proxy", "here"], "'here' is no network; write 192.0.2.0/24, 2001:db8::/32, an address"),
        (["--accept-xclient", "10.0.0.1/8"], "'10.0.0.1/8' has bits set after its prefix; write 10.0.0.0/8"),
        (["--accept-xforward", "10.0.0.0/33"], "'10.0.0.0/33' is no network; write 192.0.2.0/24, 2001:db8"),
        (["--tls", "maybe"], '\'maybe\': expected "none", "may" or "encrypt"; did you mean "may"?'),
        (["--upstream-tls", "force"], '\'force\': expected "none", "may", "encrypt" or "verify"'),
        (["--upstream-tls-name", "a:25"], "'a:25': expected a host name such as \"mx.example.net\""),
        (["--send-client", "proxy1"], 'expected "none", "proxy", "proxy2", "xclient", "xforward" or "auto"'),
        (["--upstream", "http://h"], "'http://h': unknown scheme 'http'; use smtp://HOST:PORT, smtps://HOST"),
        (["--max-message-size", "big"], "'big': expected a number of bytes or a size such as \"25M\""),
        (["--max-message-size", "0"], "'0': expected a number of bytes or a size such as \"25M\""),
        (["--max-message-size", "9" * 5000], "expected a number of bytes or a size such as \"25M\""),
        (["--max-connections", "0"], "'0': expected a whole number of clients, 1 or more"),
        (["--bare-newline", "keep"], '\'keep\': expected "normalize" or "reject"'),
        (["--bare-newline", "rejekt"], 'expected "normalize" or "reject"; did you mean "reject"?'),
        (["--timeout", "x"], f"'x': {SOME_SECONDS}, or one phase and its seconds such as reply=120"),
        (["--timeout", "nan"], f"'nan': {SOME_SECONDS}, or one phase and its seconds such as reply=120"),
        (["--timeout", "reply=0"], f"'reply=0': {SOME_SECONDS}"),
        (["--timeout", "repyl=3"], "'repyl=3': no phase 'repyl'; did you mean reply=3?"),
        (["--timeout", "zzz=3"], "'zzz=3': no phase 'zzz'; phases: connect, proxy-header, handshake"),
        (["--grace", "nan"], "'nan': expected a number of seconds or a time such as \"30s\" or \"5m\""),
        (["--grace", "-1"], "'-1': expected a number of seconds or a time"),
        (["--rule-timeout", "soon"], f"'soon': {SOME_SECONDS}"),
        (["--rule-timeout", "0"], f"'0': {SOME_SECONDS}"),
        (["--on-rule-error", "drop"], '\'drop\': expected "defer", "reject" or "accept"'),
        (["--quarantine", __file__], "is a file, not a directory"),
        (["--max-held", "much"], "'much': expected a number of bytes or a size"),
        (["--capure", "x"], "No such option '--capure'. Did you mean '--capture'?"),
        (["--capture", "x", "--upstream", "h"], "--capture is for the built-in server; with an upstream"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, arguments, prog_name="smtp-proxy")
    assert result.exit_code == 2
    assert result.stdout == ""
    *usage, error = result.stderr.splitlines()
    assert message in error
    assert usage == [
        "Usage: smtp-proxy [OPTIONS] [COMMAND] [ARGS]...",
        "Try 'smtp-proxy --help' for help.",
        "",
    ]
    assert list(tmp_path.iterdir()) == []


def test_port_of_five_thousand_digits() -> None:
    result = once("--listen", "h:" + "1" * 5000)
    assert result.returncode == 2
    assert "is no port number (0 to 65535)" in result.stderr.splitlines()[-1]


def test_all_wrong_timeouts_are_told_at_once() -> None:
    result = once("--timeout", "repyl=3", "--timeout", "idle=0", "--timeout", "30", "--timeout", "soon")
    assert result.returncode == 2
    assert [line for line in result.stderr.splitlines() if "'" in line][1:] == [
        "Error: Invalid value for '--timeout': 'repyl=3': no phase 'repyl'; did you mean reply=3?",
        f"'idle=0': {SOME_SECONDS}",
        f"'soon': {SOME_SECONDS}, or one phase and its seconds such as reply=120",
    ]


def test_all_wrong_addresses_are_told_at_once() -> None:
    result = once("--listen", "2525", "--listen", "127.0.0.1:0", "--listen", "h:x")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-2:] == [
        "Error: Invalid value for '-l' / '--listen': '2525' has no host; write 127.0.0.1:2525",
        "'h:x': 'x' is no port number (0 to 65535)",
    ]


@pytest.mark.parametrize(
    ("listen", "to"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("0.0.0.0", "127.0.0.1")]
    + ([("[::]", "[::1]")] if HAS_IPV6 else []),
)
def test_it_does_not_connect_to_itself(listen: str, to: str) -> None:
    with closed_port(listen.strip("[]")) as port:
        result = once("--listen", f"{listen}:{port}", "--upstream", f"{to}:{port}")
    assert result.returncode == 78
    assert f"--upstream {to}:{port} is where this proxy listens itself" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_capture_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = once(*ANY, "--capture", "file/mail", directory=tmp_path)
    assert result.returncode == 78
    assert result.stderr == (
        "--capture file/mail: file is no directory; choose a directory that can be made and written\n"
    )


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = once("--listen", f"127.0.0.1:{port}", "--upstream", "127.0.0.1:1")
    assert (result.returncode, result.stdout) == (69, "")
    assert result.stderr == (
        f"smtp-proxy: cannot listen on 127.0.0.1:{port}: it is in use; stop what listens there, "
        "or choose another port (0 takes a free one)\n"
    )


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_an_address_that_is_named_twice(workers: tuple[str, ...]) -> None:
    with closed_port() as port:
        address = f"127.0.0.1:{port}"
        result = once("--listen", address, "--listen", address, *workers)
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr == f"--listen names {address} twice; leave out one of them\n"


def test_a_socket_of_the_service_manager_that_no_setting_names() -> None:
    """The status is one that the unit excludes from restarts."""
    main = (
        "import os, sys; os.dup2(int(sys.argv.pop()), 3)\n"
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
        "from trio_proxy.commands.cli import main; main()"
    )
    with socket.create_server(("127.0.0.1", 0)) as given:
        result = subprocess.run(
            [sys.executable, "-c", main, *ANY, "--upstream", "127.0.0.1:1", str(given.fileno())],
            pass_fds=[given.fileno()],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert (result.returncode, "which no --listen names" in result.stderr) == (78, True), result.stderr


# A request to a running service


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        (
            'tls_cert = "$CREDENTIALS_DIRECTORY/cert"\ncontrol = "here"\n',
            69,
            "is a service with this --control",
        ),
        ("workers = 0\ncontrol = 5\n", 78, "[server] control"),
        ("workers = 0\n", 2, "This command is for a service with --workers"),
        ("workers\n", 78, "proxy.toml:2:"),
    ],
)
def test_a_reload_complains_only_of_what_it_needs(
    tmp_path: Path, settings: str, status: int, said: str
) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(f"[server]\n{settings}")
    result = once("reload", "--config", str(file))
    assert result.returncode == status
    assert said in result.stderr
    assert "CREDENTIALS" not in result.stderr
    assert "workers = 0" not in result.stderr


def test_a_reload_with_control_reads_no_file(tmp_path: Path) -> None:
    result = once("reload", "--config", "missing.toml", "--control", "here", directory=tmp_path)
    assert (result.returncode, "missing" in result.stderr) == (69, False)
    assert once("reload", "--config", "missing.toml", directory=tmp_path).returncode == 78
    assert once("reload", directory=tmp_path).returncode == 2


# Where it listens


def test_every_kind_of_listener(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    listen = [*ANY, "--listen", f"unix:{path}"] + (["--listen", "[::1]:0"] if HAS_IPV6 else [])
    with upstream() as server, proxy(tmp_path, *listen, "-u", f"smtp://127.0.0.1:{server.port}") as process:
        assert process.addresses[1] == f"unix:{path}"
        ports = [int(address.rpartition(":")[2]) for address in process.addresses[::2]]
        for address in (path, *zip(("127.0.0.1", "::1"), ports, strict=False)):
            with connect(address) as client:
                say_hello(client)
                assert submit(client, TEXT) == b"250 2.0.0 kept"
        process.signal(signal.SIGTERM)
        assert process.ends(SOON) == 0
    assert not Path(path).exists()


def test_both_protocols_on_both_sides(tmp_path: Path) -> None:
    """An SMTP client and an LMTP client in front of an LMTP server."""

    def server(peer: Peer) -> None:
        peer.send(b"220 mx.example")
        peer.expect(b"LHLO me.example")
        peer.send(b"250 mx.example")
        for reply in (b"250 ok", b"250 ok", b"250 ok", b"354 go"):
            peer.line()
            peer.send(reply)
        peer.message()
        peer.send(b"250 2.0.0 b has it", b"552 5.2.2 c is full")
        peer.expect(b"QUIT")
        peer.send(b"221 bye")

    with upstream(server) as real:
        listen = ("-l", "127.0.0.1:0", "-l", "lmtp+unix:in.sock")
        with proxy(tmp_path, *listen, "-u", f"lmtp://127.0.0.1:{real.port}") as running:
            assert running.addresses[1] == "lmtp+unix:in.sock"
            for hello, address in ((b"EHLO", ("127.0.0.1", running.port)), (b"LHLO", "in.sock")):
                with connect(address if isinstance(address, tuple) else str(tmp_path / address)) as client:
                    client.expect(b"220 ...")
                    client.send(hello + b" me.example")
                    assert client.reply()[-1][:4] == b"250 "
                    client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>")
                    client.send(b"RCPT TO:<c@mx.example>", b"DATA")
                    client.expect(b"250 ...", b"250 ...", b"250 ...", b"354 ...")
                    client.raw(b"hi\r\n.\r\n")
                    replies = [client.reply()] if hello == b"EHLO" else [client.reply(), client.reply()]
                    client.send(b"QUIT")
                    client.expect(b"221 ...")
                if hello == b"EHLO":
                    assert [line[:9] for line in replies[0]] == [b"552-5.2.2", b"552 5.2.2"]
                else:
                    assert replies == [[b"250 2.0.0 b has it"], [b"552 5.2.2 c is full"]]


def test_the_upstream_server_from_the_environment(tmp_path: Path) -> None:
    with upstream() as server:
        variables = {"SMTP_PROXY_UPSTREAM": f"127.0.0.1:{server.port}", "SMTP_PROXY_LISTEN": "127.0.0.1:0"}
        with proxy(tmp_path, **variables) as process, connect(("127.0.0.1", process.port)) as client:
            assert f"upstream    127.0.0.1:{server.port}" in process.said()
            say_hello(client)
            assert submit(client, TEXT) == b"250 2.0.0 kept"


def test_timeouts_from_the_environment() -> None:
    result = once(*ANY, SMTP_PROXY_TIMEOUT="idle=5 soon", SMTP_PROXY_UPSTREAM="h")
    assert result.returncode == 2
    assert "'soon': expected a number of seconds" in result.stderr


def test_without_a_server_messages_are_kept(tmp_path: Path) -> None:
    with proxy(tmp_path, *ANY) as process:
        assert "upstream    none: messages are kept in captured-mail (Maildir)" in process.said()
        with connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            name = submit(client, TEXT).removeprefix(b"250 2.0.0 kept as ").decode()
        process.wait_for(f'^kept new/{name}  a@me.example → b@mx.example  "hi"  21 B$')
        assert "message relayed" not in process.said()
        process.signal(signal.SIGTERM)
        assert process.ends(SOON) == 0
    (message,) = (tmp_path / "captured-mail" / "new").iterdir()
    assert message.read_bytes() == b"Subject: hi\r\n\r\n.one\r\n"


def test_the_transcript_shows_both_legs_and_no_secret(tmp_path: Path) -> None:
    secret = base64.b64encode(b"\0me\0correct horse")
    with upstream() as server:
        options = ["--transcript", "-vv", "-u", f"127.0.0.1:{server.port}"]
        with proxy(tmp_path, *ANY, *options) as process, connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            client.send(b"AUTH PLAIN " + secret)
            client.expect(b"235 2.7.0 welcome")
            assert submit(client, TEXT) == b"250 2.0.0 kept"
            client.send(b"QUIT")
            client.expect(b"221 2.0.0 bye")
            assert client.rest() == b""
            process.wait_for(r"=== closed after")
            said = process.said()
    for mark, text in [
        ("U <-", "220 mx.example ESMTP"), ("C ->", "220 mx.example ESMTP"), ("C <-", "EHLO me.example"),
        ("U ->", "EHLO me.example"), ("U ->", "MAIL FROM:<a@me.example>"), ("C ->", "250 2.0.0 kept"),
        ("C <-", "[message 21 bytes]"), ("C ->", "221 2.0.0 bye"),
    ]:  # fmt: skip
        assert re.search(rf"^[\d:.]{{12}} c1 {re.escape(mark)}  {re.escape(text)}$", said, re.M), (mark, text)
    assert re.search(r"C <-  AUTH PLAIN \S", said)
    assert secret.decode() not in said
    assert "correct horse" not in said


def test_demo() -> None:
    result = once("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert "All 5 messages arrived: every octet compared." in lines
    assert [line[8:20] for line in lines if line.startswith("        ")] == ["arrived for "] * 5
    assert "arrived for bob and carol" in result.stdout
    assert lines[-4] == "What to do next:"
    assert len(lines) <= 20
    assert " C <-" not in result.stdout
    assert result.stderr == ""


def test_demo_with_its_dialogues() -> None:
    result = once("demo", "-v")
    assert result.returncode == 0
    assert result.stderr.count("message relayed") == 5
    for line in (" c1 C <-  EHLO client.demo.example", " U <-  550 5.1.1 this recipient is always refused"):
        assert line in result.stdout
    assert result.stdout.count("=== closed after") == 5


@pytest.mark.usefixtures("configured_anew")
def test_a_demo_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from trio_proxy.commands import demo

    sample = demo._SAMPLES[0]

    async def changes(proxy: Any, message: bytes) -> None:
        await sample.send(proxy, message + b"more\r\n")

    monkeypatch.setattr(demo, "_SAMPLES", [attrs.evolve(sample, send=changes)])
    assert demo.run_demo() == 1
    said = capsys.readouterr().out
    assert "        FAILED: the message arrived changed\n" in said
    assert said.endswith("\nFAILED: 1 of 1: one command at a time\n")


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_client_is_told_when_the_service_stops(number: int, tmp_path: Path) -> None:
    with upstream() as server, proxy(tmp_path, *ANY, "-u", f"127.0.0.1:{server.port}") as process:
        with connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            process.signal(number)
            assert client.rest() == STOPPED
        assert process.ends(SOON) == 0


def until_refused(port: int) -> None:
    """The line of the log comes a moment before the listener is closed."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        try:
            connect(("127.0.0.1", port)).sock.close()
        except ConnectionError:
            return
    raise AssertionError("the service still accepts connections")


def stop_in_mid_message(process: Proxy, release: threading.Event) -> None:
    with connect(("127.0.0.1", process.port)) as client:
        say_hello(client)
        client.send(b"MAIL FROM:<a@me.example>", b"RCPT TO:<b@mx.example>", b"DATA")
        client.expect(b"250 ...", b"250 ...", b"354 ...")
        process.signal(signal.SIGTERM)
        process.wait_for("stopping; a second signal quits at once")
        until_refused(process.port)
        client.raw(TEXT + b".\r\n")
        time.sleep(0.2)
        assert process.process.poll() is None
        release.set()
        assert client.rest() == b"250 2.0.0 kept\r\n" + STOPPED


def cut_off_at_the_end(process: Proxy) -> int:
    """What the last line of the log says."""
    last = process.err.read_text().splitlines()[-1]
    found = re.fullmatch(r".* \[warning +\] stopped cut_off=(\d+) seconds=(\d+\.\d+)", last)
    assert found is not None, last
    assert 0 < float(found[2]) < SOON
    return int(found[1])


def test_a_message_in_flight_is_finished(tmp_path: Path) -> None:
    release = threading.Event()
    try:
        with (
            upstream(deliver(release)) as server,
            proxy(tmp_path, *ANY, "-u", f"localhost:{server.port}") as p,
        ):
            stop_in_mid_message(p, release)
            assert p.ends(SOON) == 0
            assert cut_off_at_the_end(p) == 0
    finally:
        release.set()


def test_the_grace_period_ends(tmp_path: Path) -> None:
    with upstream() as server:
        options = ["--grace", "0.3", "-u", f"127.0.0.1:{server.port}"]
        with proxy(tmp_path, *ANY, *options) as process, connect(("127.0.0.1", process.port)) as client:
            say_hello(client)
            client.send(b"MAIL FROM:<a@me.example>")
            client.expect(b"250 ...")
            process.signal(signal.SIGTERM)
            assert client.rest() == STOPPED
            client.sock.close()
            assert process.ends(SOON) == 0
            assert cut_off_at_the_end(process) == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_quits_at_once(second: int, tmp_path: Path) -> None:
    with (
        upstream() as server,
        proxy(tmp_path, *ANY, "-u", f"127.0.0.1:{server.port}") as process,
        connect(("127.0.0.1", process.port)) as client,
    ):
        say_hello(client)
        client.send(b"MAIL FROM:<a@me.example>")
        client.expect(b"250 ...")
        process.signal(signal.SIGTERM)
        process.wait_for("stopping; a second signal quits at once")
        process.signal(second)
        assert process.ends(SOON) == 130
        assert client.rest() == b""
        assert cut_off_at_the_end(process) == 1


def test_a_wrong_variable_is_named_and_an_unknown_one_is_warned_of(tmp_path: Path) -> None:
    result = once("check", directory=tmp_path, SMTP_PROXY_UPSTREAM="mx:x")
    assert "Invalid value for SMTP_PROXY_UPSTREAM in the environment: 'mx:x': 'x' is no port" in result.stderr
    result = once("check", "--listen", "127.0.0.1:0", directory=tmp_path, SMTP_PROXY_UPSTREEM="mx")
    assert result.returncode == 0
    warning = "warning: SMTP_PROXY_UPSTREEM in the environment is no setting; did you mean "
    assert result.stderr == f'{warning}"SMTP_PROXY_UPSTREAM"?\n'


@pytest.mark.parametrize("secret", ["UPSTREAM_PASSWORD", "OAUTH_CLIENT_SECRET", "OAUTH_REFRESH_TOKEN"])
def test_a_variable_with_a_secret_is_not_warned_of(secret: str, tmp_path: Path) -> None:
    result = once("check", "--listen", "127.0.0.1:0", directory=tmp_path, **{f"SMTP_PROXY_{secret}": "x"})
    assert (result.returncode, result.stderr) == (0, "")
