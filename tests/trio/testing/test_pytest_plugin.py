"""A running proxy in a test: `trio_proxy.testing.RunningProxy`, and the fixture ``smtp_proxy``."""

from __future__ import annotations

import os
import re
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import attrs
import forking
import pytest
import structlog
import trio
from drivers import DEADLINE
from each import each
from structlog.testing import capture_logs

from sansio_smtp import Config
from sansio_smtp.rules import (
    AuthAttempt,
    Connection,
    Discard,
    Hold,
    Message,
    Recipient,
    Redirect,
    Reject,
    RuleError,
    Sender,
    Transaction,
    on,
)
from trio_proxy.settings.timeouts import Timeouts
from trio_proxy.testing.running import Captured, RunningProxy

CONTENT = "Subject: hi\r\n\r\nhello\r\n"


def rcpt(tx: Transaction, to: Recipient) -> Reject | Redirect | Discard | None:
    if to.domain == "old.example":
        return Reject(550, "5.1.1 That domain has moved")
    if to.domain == "lists.example":
        return Redirect("lists.example:24")
    return Discard() if to.domain == "gone.example" else None


async def message(tx: Transaction, msg: Message) -> Hold | None:
    msg.headers.prepend("X-Scanned-By", "smtp-proxy")
    return Hold("odd") if b"HOLD" in msg.body else None


@on("mail")
def broken(tx: Transaction, sender: Sender) -> None:
    raise ZeroDivisionError(sender.address)


@contextmanager
def client(proxy: RunningProxy) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(proxy.host, proxy.port, local_hostname="me.example", timeout=DEADLINE) as smtp:
        yield smtp


def send(proxy: RunningProxy, to: str = "bob@example.com", content: str = CONTENT) -> None:
    with client(proxy) as smtp:
        smtp.sendmail("ann@example.com", [to], content)


def mail(proxy: RunningProxy, sender: str = "ann@example.com") -> int:
    """What MAIL is answered."""
    with client(proxy) as smtp:
        smtp.ehlo()
        return smtp.mail(sender)[0]


# A proxy by itself


def test_messages_come_through_the_rules() -> None:
    with RunningProxy([rcpt, message]) as proxy:
        assert proxy.messages == proxy.held == []
        with client(proxy) as smtp:
            to = ["bob@example.com", "cy@gone.example", "bob@old.example"]
            refused = smtp.sendmail("ann@example.com", to, CONTENT)
            assert refused == {"bob@old.example": (550, b"5.1.1 That domain has moved")}
            assert len(proxy.messages) == 1  # it is there before the client knows
            smtp.sendmail("", ["dee@lists.example"], CONTENT)
            smtp.sendmail("ann@example.com", ["eve@example.com"], CONTENT + "HOLD\r\n")
        first, second = proxy.messages
        assert attrs.evolve(first, envelope={}) == Captured(
            mail_from="ann@example.com",
            rcpt_to=("bob@example.com",),
            content=b"X-Scanned-By: smtp-proxy\r\nSubject: hi\r\n\r\nhello\r\n",
            envelope={},
        )
        assert first.envelope["helo"] == "me.example"
        assert (second.mail_from, second.upstream) == ("", "lists.example:24")
        [held] = proxy.held
        assert (held.rcpt_to, held.envelope["reason"]) == (("eve@example.com",), "odd")
        assert held.content.endswith(b"HOLD\r\n")


def test_the_order_of_messages_is_that_in_which_they_came() -> None:
    with RunningProxy() as proxy:
        with client(proxy) as smtp:
            for number in range(12):
                smtp.sendmail("ann@example.com", [f"bob{number}@example.com"], CONTENT)
        assert [captured.rcpt_to for captured in proxy.messages] == [
            (f"bob{number}@example.com",) for number in range(12)
        ]


def test_what_the_proxy_said_and_logged() -> None:
    with RunningProxy(rcpt) as proxy, pytest.raises(smtplib.SMTPRecipientsRefused):
        send(proxy, "bob@old.example")
    text = "\n".join(proxy.transcript)
    # The letters that smtplib sends depend on the version of Python.
    assert re.search(r"C <-  rcpt (?i:to):<bob@old\.example>", text)
    assert re.search(r"C ->  550 5\.1\.1 That domain has moved", text)
    assert re.search(r"\*\*\* .*test_pytest_plugin\.py:\d+ rcpt -> reject 550", text)
    [decided] = [entry for entry in proxy.log if entry["event"] == "rule decided"]
    assert (decided["level"], decided["verdict"]) == ("info", "reject 550 5.1.1 That domain has moved")


def test_recipients_that_the_server_refuses() -> None:
    with RunningProxy() as proxy, pytest.raises(smtplib.SMTPRecipientsRefused, match="always refused"):
        send(proxy, "refused@example.com")


def test_settings() -> None:
    config = Config(max_message_size=10)
    with (
        RunningProxy(config=config) as proxy,
        pytest.raises(smtplib.SMTPSenderRefused, match="larger than 10"),
    ):
        send(proxy)
    with RunningProxy(timeouts=Timeouts(idle=0.1)) as proxy, client(proxy) as smtp:
        assert smtp.getreply()[0] == 421  # for it says nothing
        smtp.close()


# What rules may be


def test_files_modules_classes_and_functions_in_their_order(tmp_path: Path) -> None:
    rules = """
        import attrs

        @attrs.define
        class {name}:
            text: str = "nothing"

            def message(self, tx, msg):
                msg.headers.add("X-Order", "{name} " + self.text)

        rules = [{name}]
    """
    for name in ("First", "Third"):
        (tmp_path / f"{name}.py").write_text(dedent(rules).format(name=name))
    module = ModuleType("second")
    exec(
        "async def message(tx, msg):\n    msg.headers.add('X-Order', 'second')\nrules = []\n", module.__dict__
    )

    @attrs.define
    class Fourth:
        def message(self, tx: Transaction, msg: Message) -> None:
            msg.headers.add("X-Order", "fourth")

    things = [str(tmp_path / "First.py"), module, tmp_path / "Third.py", [Fourth()]]
    with RunningProxy(things, settings={"third": {"text": "has settings"}}) as proxy:
        send(proxy)
        order = re.findall(rb"X-Order: (.*)\r\n", proxy.messages[0].content)
    assert order == [b"First nothing", b"second", b"Third has settings", b"fourth"]


def test_contexts_are_entered_and_left() -> None:
    seen: list[str] = []

    class Watching:
        @asynccontextmanager
        async def running(self) -> Any:
            async with trio.open_nursery() as nursery:
                seen.append("in")
                yield
                nursery.cancel_scope.cancel()
            seen.append("out")

        async def mail(self, tx: Transaction, sender: Sender) -> None:
            seen.append(sender.address)

    with RunningProxy([Watching()]) as proxy:
        send(proxy)
    assert seen == ["in", "ann@example.com", "out"]


def test_rules_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "rules.py"
    file.write_text("def rctp(tx, to): pass\n")
    with pytest.raises(RuleError, match=r"rules\.py:1: rctp\(\) is no phase"):
        RunningProxy(file)
    with pytest.raises(RuleError, match=r"rules: 1 is no rule"):
        RunningProxy([rcpt, 1])
    with pytest.raises(RuleError, match=r"\[rules\.x\] no rule class takes these settings"):
        RunningProxy(rcpt, settings={"x": {"y": 1}})


@attrs.define
class Moved:
    domains: tuple[str, ...]
    code: int = 550

    def rcpt(self, tx: Transaction, to: Recipient) -> Reject | None:
        return Reject(self.code, "5.1.6 moved") if to.domain in self.domains else None


@pytest.mark.parametrize("domains", [("old.example",), frozenset({"old.example"})], ids=type)
def test_settings_may_be_tuples_and_sets(domains: object) -> None:
    with (
        RunningProxy(Moved, settings={"moved": {"domains": domains}}) as proxy,
        pytest.raises(smtplib.SMTPRecipientsRefused),
    ):
        send(proxy, "bob@old.example")


def test_tuples_in_tables_and_lists_of_settings_are_lists_too() -> None:
    with pytest.raises(RuleError, match=r'unknown key "limits"') as caught:
        RunningProxy(Moved(()), settings={"moved": {"limits": {"a": [(1, 2)]}, "domains": ("a", 5)}})
    assert "[rules.moved] domains[1] = 5: expected a text in quotes" in str(caught.value)


def test_a_class_of_a_file_without_the_settings_that_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "moved.py"
    file.write_text(
        "import attrs\n\n@attrs.define\nclass Moved:\n    domains: tuple[str, ...]\n    code: int\n"
        "    text: str = 'moved'\n\n    def rcpt(self, tx, to): pass\n\nrules = [Moved]\n"
    )
    with pytest.raises(RuleError) as caught:
        RunningProxy(file)
    hint = 'give smtp_proxy(..., settings={"moved": {"domains": ..., "code": ...}})'
    assert str(caught.value).splitlines() == [
        f'{file}:11: [rules.moved] missing key "code": expected a whole number; {hint}',
        f'{file}:11: [rules.moved] missing key "domains": expected a list of texts in quotes; {hint}',
    ]


@pytest.mark.parametrize("how", ["class", "instance", "module", "list"])
def test_settings_of_a_class_that_is_given(how: str) -> None:
    module = ModuleType("moved")
    vars(module).update(Moved=Moved, rules=[Moved])
    given: object = {"class": Moved, "instance": Moved((), 551), "module": module, "list": [[Moved]]}[how]
    with (
        RunningProxy(given, settings={"moved": {"domains": ["old.example"]}}) as proxy,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refused,
    ):
        send(proxy, "bob@old.example")
    code = 551 if how == "instance" else 550
    assert refused.value.recipients == {"bob@old.example": (code, b"5.1.6 moved")}


def test_a_class_that_is_given_without_the_settings_that_it_needs() -> None:
    with pytest.raises(
        RuleError, match=r"Moved cannot be made: .*; give an instance: Moved\(domains=\.\.\.\)"
    ):
        RunningProxy(Moved)
    with pytest.raises(RuleError, match=r'settings: \[rules\.moved\] unknown key "domain"'):
        RunningProxy(Moved, settings={"moved": {"domain": ["old.example"]}})
    with pytest.raises(
        RuleError, match=r'\[rules\.move\] no rule class takes these settings; did you mean "moved"'
    ):
        RunningProxy(Moved(()), settings={"move": {}})


def test_rules_that_cannot_start() -> None:
    class Late:
        @asynccontextmanager
        async def running(self) -> Any:
            raise OSError("nobody there")
            yield

        def mail(self, tx: Transaction, sender: Sender) -> None: ...

    before = threading.active_count()
    with pytest.raises(RuleError, match=r"Late: running\(\) failed: OSError: nobody there"):
        RunningProxy(Late()).start()
    assert threading.active_count() == before


# What goes wrong


def test_what_a_rule_raises_is_raised_at_the_end() -> None:
    proxy = RunningProxy(broken).start()
    assert mail(proxy) == 451
    with pytest.raises(ZeroDivisionError, match=r"ann@example\.com"):
        proxy.stop()
    with pytest.raises(ZeroDivisionError, match=r"bob@example\.com"), RunningProxy(broken) as proxy:
        assert mail(proxy, "bob@example.com") == 451


def test_more_errors_than_one_come_as_a_group() -> None:
    proxy = RunningProxy(broken).start()
    assert (mail(proxy, "ann@example.com"), mail(proxy, "bob@example.com")) == (451, 451)
    with pytest.raises(BaseExceptionGroup, match="errors in the proxy") as raised:
        proxy.stop()
    assert [str(error) for error in raised.value.exceptions] == ["ann@example.com", "bob@example.com"]


def test_failures_that_are_intended() -> None:
    with RunningProxy(broken, on_rule_error="reject") as proxy:
        assert mail(proxy) == 550


def test_a_rule_that_is_too_late() -> None:
    @on("mail")
    async def late(tx: Transaction, sender: Sender) -> None:
        await trio.sleep_forever()

    proxy = RunningProxy(late, rule_timeout=0.05).start()
    assert mail(proxy) == 451
    with pytest.raises(TimeoutError, match=r"no verdict within 0\.05 s"):
        proxy.stop()


def test_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def connected(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("trio_proxy.driver.reports.Reports.connected", connected)
    proxy = RunningProxy().start()
    with pytest.raises(smtplib.SMTPConnectError, match="internal error"):
        send(proxy)
    with pytest.raises(KeyError, match="a bug"):
        proxy.stop()


def test_an_error_of_the_thread_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("trio_proxy.testing.RunningProxy._settings", fail)
    proxy = RunningProxy()
    with pytest.raises(KeyError, match="a bug"):
        proxy.start()


def test_an_error_of_the_test_comes_first() -> None:
    with pytest.raises(AssertionError) as raised, RunningProxy(broken) as proxy:
        assert mail(proxy) == 250
    [note] = raised.value.__notes__
    assert note.startswith("In the proxy: Traceback")
    assert note.endswith("ZeroDivisionError: ann@example.com\n")


# TLS


def test_starttls_with_a_certificate_that_is_made() -> None:
    with RunningProxy(rcpt, tls="encrypt") as proxy, client(proxy) as smtp:
        smtp.ehlo()
        assert smtp.mail("ann@example.com")[0] == 530
        smtp.starttls(context=ssl.create_default_context(cafile=proxy.ca_file))
        smtp.sendmail("ann@example.com", ["bob@example.com"], CONTENT)
        assert len(proxy.messages) == 1
        assert proxy.ca_file is not None
        assert proxy.ca_file.exists()
    assert not proxy.ca_file.exists()


def test_starttls_that_is_offered_only() -> None:
    with RunningProxy(rcpt, tls="may") as proxy:
        send(proxy)
        assert len(proxy.messages) == 1
    plain = RunningProxy(rcpt)
    assert plain.ca_file is None


def test_a_level_of_tls_that_there_is_not() -> None:
    wrong: Any = True
    with pytest.raises(
        ValueError, match=r'^tls is "may" \(clients .*\) or "encrypt" \(they must\), not True$'
    ):
        RunningProxy(tls=wrong)


# Logins


def test_any_login_is_accepted_unless_a_rule_refuses_it() -> None:
    def auth(conn: Connection, attempt: AuthAttempt) -> Reject | None:
        return None if attempt.identity == "ann" else Reject(535, "5.7.8 wrong password")

    with RunningProxy(auth) as proxy:
        with client(proxy) as smtp:
            smtp.login("ann", "secret")
        with client(proxy) as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("bob", "secret")


# A server that goes away


@pytest.mark.parametrize("tls", [None, "may"])
def test_it_hangs_up_without_a_reply(tls: Any) -> None:
    @on("rcpt")
    def crash(tx: Transaction, to: Recipient) -> None:
        if to.domain == "crash.example":
            proxy.hang_up()

    proxy = RunningProxy(crash, tls=tls)
    with proxy, client(proxy) as smtp:
        if tls:
            smtp.starttls(context=ssl.create_default_context(cafile=proxy.ca_file))
        with pytest.raises((smtplib.SMTPServerDisconnected, ssl.SSLError)):
            smtp.sendmail("ann@example.com", ["bob@crash.example"], CONTENT)
        send(proxy)
        assert len(proxy.messages) == 1
        proxy.hang_up()
    assert any(line.endswith(" c1 === hung up by the test") for line in proxy.transcript)
    # Of the client's side alone. The server that keeps the mail may hear of the end as a reset
    # of its own connection, which is a line without a side.
    lost = [entry for entry in proxy.log if entry["event"] == "connection lost"]
    errors = {entry["error"] for entry in lost if entry.get("side") == "client"}
    assert errors <= {"hung up by the test"}


# Another server


def test_the_server_can_be_another_one() -> None:
    with RunningProxy() as server, RunningProxy(rcpt, upstream=f"127.0.0.1:{server.port}") as proxy:
        with client(proxy) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("ann@example.com", ["bob@old.example"], CONTENT)
        send(proxy)
        assert proxy.messages == []
        assert [captured.rcpt_to for captured in server.messages] == [("bob@example.com",)]


def test_what_a_client_hears_of_a_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstream = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            RunningProxy(upstream=upstream, timeouts=Timeouts(greeting=0.05)) as proxy,
            pytest.raises(smtplib.SMTPConnectError, match=r"421, b'4\.4\.2 upstream server did not greet"),
            client(proxy),
        ):
            pass


@each("upstream", ["127.0.0.1", "smtps://127.0.0.1:465", "lmtp://127.0.0.1:24"])
def test_a_server_that_cannot_be_meant(upstream: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        RunningProxy(upstream=upstream)


# Its end


def test_clients_that_stay_do_not_hold_it_up() -> None:
    clients: list[smtplib.SMTP] = []
    with RunningProxy(rcpt) as proxy:
        for _ in range(3):
            smtp = smtplib.SMTP(proxy.host, proxy.port, timeout=DEADLINE)
            smtp.ehlo()
            smtp.mail("ann@example.com")
            clients.append(smtp)
        started = time.monotonic()
    assert time.monotonic() - started < DEADLINE
    for smtp in clients:
        smtp.close()
    assert not any(thread.name == "smtp-proxy" for thread in threading.enumerate())


def test_a_rule_that_blocks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_proxy.testing.running._END_SECONDS", 0.2)
    entered, release = threading.Event(), threading.Event()

    def connect(conn: Connection) -> None:
        entered.set()
        release.wait(4 * DEADLINE)

    proxy = RunningProxy(connect).start()
    with socket.create_connection((proxy.host, proxy.port), DEADLINE):
        assert entered.wait(DEADLINE)
        with pytest.raises(TimeoutError, match=r"did not stop within 0\.2 s(.|\n)* in connect\n"):
            proxy.stop()
        release.set()
    proxy._thread.join(4 * DEADLINE)
    assert not proxy._thread.is_alive()


def test_where_messages_are_kept(tmp_path: Path) -> None:
    with RunningProxy(message, directory=tmp_path) as proxy:
        send(proxy)
    assert [path.name for path in tmp_path.iterdir()] == ["messages"]
    assert len(proxy.messages) == 1  # still
    with RunningProxy(message) as proxy:
        send(proxy)
        folder = proxy._maildir.path
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_logging_of_others_is_left_as_it_is(kind: type) -> None:
    def through(_: Any, __: str, entry: Any) -> Any:
        passed.append(entry["event"])
        raise structlog.DropEvent

    passed: list[str] = []
    before = structlog.get_config()
    structlog.configure(processors=kind([through]))
    try:
        with RunningProxy(broken, on_rule_error="accept") as proxy:
            structlog.get_logger().info("of the test")
            send(proxy)
        assert list(structlog.get_config()["processors"]) == [through]
    finally:
        structlog.configure(**before)
    assert "of the test" in passed
    assert "rule failed" in passed
    events = [entry["event"] for entry in proxy.log]
    assert "rule failed" in events
    assert "of the test" not in events


def test_logging_that_is_put_back_meanwhile() -> None:
    before = list(structlog.get_config()["processors"])
    with capture_logs():
        proxy = RunningProxy(broken, on_rule_error="accept").start()
        send(proxy)
    proxy.stop()
    assert list(structlog.get_config()["processors"]) == before
    assert "rule failed" in [entry["event"] for entry in proxy.log]


# The plugin


TESTS = {
    "test_good.py": """
        import smtplib
        import bad_rules
        import my_rules

        def submit(proxy, to):
            with smtplib.SMTP(proxy.host, proxy.port, timeout=10) as client:
                return client.sendmail("ann@example.com", [to], "Subject: hi\\n\\nhello\\n")

        def test_rules_in_a_file(smtp_proxy):
            proxy = smtp_proxy("my_rules.py")
            submit(proxy, "bob@example.com")
            [message] = proxy.messages
            assert message.rcpt_to == ("bob@example.com",)
            assert message.content == b"Subject: hi\\r\\nX-Scanned-By: smtp-proxy\\r\\n\\r\\nhello\\r\\n"

        def test_rules_in_a_module_and_two_proxies(smtp_proxy, tmp_path):
            first, second = smtp_proxy(rules=my_rules), smtp_proxy()
            submit(first, "bob@example.com")
            submit(second, "cy@example.com")
            assert [len(proxy.messages) for proxy in (first, second)] == [1, 1]
            assert first.port != second.port
            assert sorted(path.name for path in tmp_path.iterdir()) == ["smtp-proxy-1", "smtp-proxy-2"]

        def test_options(smtp_proxy):
            proxy = smtp_proxy(bad_rules, on_rule_error="accept")
            submit(proxy, "bob@example.com")
            assert len(proxy.messages) == 1

        async def test_async(smtp_proxy):
            import trio
            proxy = smtp_proxy([my_rules.rcpt])
            async with await trio.open_tcp_stream(proxy.host, proxy.port) as stream:
                assert (await stream.receive_some()).startswith(b"220 ")
    """,
    "test_bad.py": """
        import smtplib
        import bad_rules

        def test_surfaces(smtp_proxy):
            proxy = smtp_proxy(bad_rules.broken)
            with smtplib.SMTP(proxy.host, proxy.port, timeout=10) as client:
                client.ehlo()
                assert client.mail("ann@example.com")[0] == 451
    """,
    "my_rules.py": """
        def rcpt(tx, to):
            pass

        def message(tx, msg):
            msg.headers.add("X-Scanned-By", "smtp-proxy")
    """,
    "bad_rules.py": """
        from sansio_smtp.rules import on

        @on("mail")
        def broken(tx, sender):
            return 1 / 0
    """,
}


def run_pytest(
    place: Path, *arguments: str, ours: bool = True, within: str = "", ini: str = ""
) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with no plugins but those that are needed, and ours."""
    (place / "pytest.ini").write_text(f"[pytest]\ntrio_mode = true\nfilterwarnings = error\n{ini}")
    chosen = ["-p", "pytest_trio.plugin", *(["-p", "trio_proxy.pytest_plugin"] if ours else [])]
    return forking.run(
        ["-m", "pytest", "-p", "no:cacheprovider", *chosen, "-q", "-rA", *arguments],
        cwd=place / within,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=12 * DEADLINE,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in TESTS.items():
        (tmp_path / name).write_text(dedent(text))
    return tmp_path


def test_the_fixture(place: Path) -> None:
    result = run_pytest(place, "test_good.py")
    assert re.search(r"^4 passed in ", result.stdout, re.M), result.stdout + result.stderr
    assert result.returncode == 0


MISTAKES = {
    "deep/test_inside.py": """
        def test_beside(smtp_proxy):
            smtp_proxy("inside.py")

        def test_below(smtp_proxy):
            smtp_proxy("my_rules.py")

        def test_nowhere(smtp_proxy):
            smtp_proxy(["my_rules.py", "insde.py"])

        def test_no_test_is_meant(smtp_proxy):
            smtp_proxy("inventory.py")

        def test_attribute(smtp_proxy):
            smtp_proxy.port

        def test_option(smtp_proxy):
            smtp_proxy(setings={})

        def test_option_of_the_core(smtp_proxy):
            smtp_proxy(max_mesage_size=5)
    """,
    "deep/inside.py": "def rcpt(tx, to): pass",
    "deep/test_inventory.py": "",
}


def test_a_mistake_is_explained(place: Path) -> None:
    (place / "deep").mkdir()
    for name, text in MISTAKES.items():
        (place / name).write_text(dedent(text))
    result = run_pytest(place, "deep/test_inside.py")
    said = re.findall(r"^E +(?:[a-zA-Z_.]+Error: )(.*)$", result.stdout, re.M)
    assert said == [
        f'insde.py: there is no such file in {place}/deep and {place}; did you mean "inside.py"?',
        f"inventory.py: there is no such file in {place}/deep and {place}",
        'smtp_proxy has no port: it starts proxies. Call it first: proxy = smtp_proxy("my_rules.py"); then '
        "write proxy.port",
        'smtp_proxy() has no option setings; did you mean "settings"?',
        "smtp_proxy() has no option max_mesage_size; write config=Config(max_message_size=...), with "
        "sansio_smtp.Config",
    ]
    assert "5 failed, 2 passed" in result.stdout


WITHOUT_PYTHONPATH = """
    import pytest

    def getini(self, name, former=pytest.Config.getini):
        if name == "pythonpath":
            raise ValueError(f"unknown configuration value: {name!r}")
        return former(self, name)

    pytest.Config.getini = getini
"""


@pytest.mark.parametrize("conftest", ["", WITHOUT_PYTHONPATH], ids=["with pythonpath", "without"])
def test_rules_are_found_from_the_folder_of_the_tests(place: Path, conftest: str) -> None:
    """They are in the root directory, and in a folder that pytest imports from."""
    (place / "conftest.py").write_text(dedent(conftest))
    (place / "deep").mkdir()
    (place / "src").mkdir()
    (place / "src" / "more.py").write_text("def mail(tx, sender): pass\n")
    (place / "deep" / "test_it.py").write_text(
        'def test_root(smtp_proxy):\n    smtp_proxy("my_rules.py")\n\n'
        'def test_source(smtp_proxy):\n    smtp_proxy("more.py")\n\n'
        'def test_nowhere(smtp_proxy):\n    smtp_proxy("moor.py")\n'
    )
    result = run_pytest(place, "test_it.py", within="deep", ini="pythonpath = src\n")
    passed = re.findall(r"^PASSED .*::(\w+)$", result.stdout, re.M)
    if conftest:
        assert passed == ["test_root"]
        return
    assert passed == ["test_root", "test_source"]
    said = f'moor.py: there is no such file in {place}/deep, {place} and {place}/src; did you mean "more.py"?'
    assert said in result.stdout


def test_what_goes_wrong_in_the_proxy_is_an_error_of_the_test(place: Path) -> None:
    result = run_pytest(place, "test_bad.py")
    assert re.search(r"^PASSED test_bad\.py::test_surfaces$", result.stdout, re.M)
    assert re.search(r"^ERROR test_bad\.py::test_surfaces - ZeroDivisionError", result.stdout, re.M)
    assert re.search(r"^1 passed, 1 error in ", result.stdout, re.M)
    assert re.search(r"^-+ Dialogues of smtp_proxy -+$", result.stdout, re.M)
    assert "bad_rules.py:6 mail failed: ZeroDivisionError" in result.stdout
    assert result.returncode == 1


SAID = """
    import smtplib

    def say(proxy, name):
        with smtplib.SMTP(proxy.host, proxy.port, local_hostname=name, timeout=10) as client:
            client.ehlo()

    def test_fails(smtp_proxy):
        first, second, _ = smtp_proxy(), smtp_proxy(), smtp_proxy()
        say(first, "one.example")
        say(second, "two.example")
        raise ValueError

    def test_passes(smtp_proxy):
        say(smtp_proxy(), "three.example")

    def test_has_no_proxy():
        raise ValueError

    def test_has_one(smtp_proxy):
        say(smtp_proxy(), "four.example")
        raise ValueError
"""


def test_a_test_that_fails_shows_what_was_said(place: Path) -> None:
    (place / "test_said.py").write_text(dedent(SAID))
    result = run_pytest(place, "test_said.py")
    said = re.findall(r"^-+ (Dialogues .*?) -+$|(?i:ehlo) (\w+\.example)", result.stdout, re.M)
    found = list(dict.fromkeys(title or name for title, name in said))
    assert found == [
        *("Dialogues of smtp_proxy 1", "one.example", "Dialogues of smtp_proxy 2", "two.example"),
        *("Dialogues of smtp_proxy", "four.example"),
    ]
    assert "3 failed, 1 passed" in result.stdout


def test_the_fixture_is_documented(place: Path) -> None:
    result = run_pytest(place, "--fixtures", "test_good.py")
    assert re.search(r"^smtp_proxy -- .*pytest_plugin\.py:\d+\n    Starts proxies: ", result.stdout, re.M)


def test_without_the_plugin_nothing_is_there(place: Path) -> None:
    result = run_pytest(place, "test_bad.py", ours=False)
    assert "fixture 'smtp_proxy' not found" in result.stdout


def test_without_the_program_it_says_what_to_install(place: Path) -> None:
    (place / "conftest.py").write_text("import sys\nsys.modules['structlog'] = None\n")
    result = run_pytest(place, "test_bad.py")
    need = "the fixture smtp_proxy needs more than the library: pip install 'sansio-smtp[proxy]'"
    assert re.search(rf"^{re.escape(need)}$", result.stdout, re.M), result.stdout
    assert "starting.py" not in result.stdout
    assert "During handling" not in result.stdout


def test_a_module_of_the_program_that_is_missing_is_an_error_of_its_own(place: Path) -> None:
    (place / "conftest.py").write_text("import sys\nsys.modules['trio_proxy.testing.running'] = None\n")
    result = run_pytest(place, "test_bad.py")
    assert "ModuleNotFoundError: import of trio_proxy.testing.running halted" in result.stdout


def test_the_plugin_alone_loads_nothing() -> None:
    """It is loaded in every run of pytest."""
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport trio_proxy.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.split() == ["trio_proxy", "trio_proxy.pytest_plugin"]
