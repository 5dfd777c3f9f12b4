"""``smtp-proxy check``: rules, listeners and directories."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from checks import Capture, Said, checked, write_rules
from drivers import closed_port
from settings_files import written

from sansio_smtp.rules.lint.problems import Problem
from trio_proxy.commands import check
from trio_proxy.driver import listening
from trio_proxy.process.user import User
from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.settings.choose import choose
from trio_proxy.settings.config_file import read_config
from trio_proxy.settings.options import Options
from trio_proxy.settings.tables import RuleTable
from trio_proxy.text.addresses import Address


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the folders of rule files come to it
    write_rules()


# Rules


NONE = "  upstream    none: messages are kept in captured-mail"


def test_rules_and_their_phases(capsys: Capture) -> None:
    Path("empty.py").write_text("")
    said = checked(capsys, rules=("good.py", "empty.py"))
    warning = (
        "warning: empty.py: there is no rule in it; a rule is a function that is named after a phase, such "
        "as def rcpt(tx, to)"
    )
    assert said == Said(0, ["  rules       good.py: rcpt, message", NONE], [warning])


def test_all_that_is_wrong_with_rules_and_server(capsys: Capture) -> None:
    table = RuleTable({"delay": "soon"}, {"": 3, "delay": 4}, "proxy.toml")
    nobody = RuleTable({}, {"": 9}, "proxy.toml")
    said = checked(
        capsys,
        Problem("proxy.toml", 1, "config problem"),
        config=Path("proxy.toml"),
        rules=("misspelt.py", "greylist.py", "nowhere.py"),
        rule_settings={"greylist": table, "graylist": nobody},
        upstream=Address("a..b", 25),
    )
    assert said.status == 78
    assert said.out == []
    assert [line.split(" ")[0] for line in said.err] == [
        "proxy.toml:1:", "proxy.toml:3:", "proxy.toml:4:", "misspelt.py:1:", "misspelt.py:4:", "nowhere.py:",
        "warning:", "upstream",
    ]  # fmt: skip
    assert 'did you mean "rcpt"?' in said.err[3]
    assert 'did you mean "mail"?' in said.err[4]
    assert 'missing key "host"' in said.err[1]
    assert "delay" in said.err[2]


def test_settings_that_could_not_be_read_are_not_missed(capsys: Capture) -> None:
    """The file has one mistake; that rules lack what stands in it is none of its own."""
    said = checked(capsys, Problem("proxy.toml", 1, "no TOML"), rules=("greylist.py", "misspelt.py"))
    assert said.status == 78
    assert [line.split(":")[0] for line in said.err] == ["proxy.toml", "misspelt.py", "misspelt.py"]
    assert "missing key" in checked(capsys, rules=("greylist.py",)).err[0]


def test_a_problem_is_one_line(capsys: Capture) -> None:
    assert checked(capsys, Problem("f", 1, "a\nb\x1b")).err == ["f:1: a\\nb\\x1b"]


def test_a_config_that_is_right(capsys: Capture) -> None:
    assert checked(capsys, config=Path("conf/proxy.toml")).out[0] == "  config      conf/proxy.toml ok"


# Listeners


def test_addresses_that_are_free_and_that_are_not(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = Address("127.0.0.1", taken.getsockname()[1])
        said = checked(capsys, listen=(Address("127.0.0.1", 0), used, Address(path="s.sock")))
    assert said == Said(
        0,
        ["  listen      127.0.0.1:0 is free", "  listen      unix:s.sock is free", NONE],
        [f"warning: {used} is in use, {check._MAYBE_BY_US}"],
    )
    assert not Path("s.sock").exists()


@contextmanager
def service_that_says(line: bytes) -> Iterator[None]:
    """Answers one question on the socket ``control``."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("control")
        listener.listen()

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                assert b'"status"' in sock.recv(1000)
                sock.sendall(line)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            thread.join(20)
            Path("control").unlink()


def test_an_address_of_the_running_service_is_not_warned_of(capsys: Capture) -> None:
    """At an upgrade the new version checks while the old one serves."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        for named in ({"listen": (address,)}, {"admin": address}):
            with service_that_says(b'{"listen": ["unix:in.sock", "%s"]}\n' % str(address).encode()):
                said = checked(capsys, control=Path("control"), workers=2, **named)
            (name,) = named
            assert f"  {name:<11} {address} is in use by this service, which is running" in said.out
            assert said.err == []


@pytest.mark.parametrize("line", [b'{"status": "old"}\n', b'{"listen": ["127.0.0.1:1"]}\n', b"220 mx\n", b""])
def test_an_address_that_another_service_has(capsys: Capture, line: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, service_that_says(line):
        used = Address("127.0.0.1", taken.getsockname()[1])
        said = checked(capsys, control=Path("control"), workers=2, listen=(used,))
    (warning,) = said.err
    assert warning.startswith(f"warning: {used} is in use, which is right if this service is running")


def test_a_transcript_is_told(capsys: Capture) -> None:
    assert checked(capsys, transcript=True).out == ["  transcript  on, to standard output", NONE]


def test_an_address_that_is_named_twice(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    path = written(f'[server]\nlisten = ["127.0.0.1:{port}", "127.0.0.1:{port}"]\n')
    config, _ = read_config(path)
    assert config is not None
    places = config.places
    twice = (Address("127.0.0.1", port),) * 2
    said = checked(capsys, listen=twice, named=frozenset({"listen"}), places=places)
    assert said == Said(
        78,
        [f"  listen      127.0.0.1:{port} is free", NONE],
        [f"proxy.toml:2: [server] listen names 127.0.0.1:{port} twice; leave out one of them"],
    )


def test_addresses_that_cannot_be_listened_on(capsys: Capture) -> None:
    said = checked(
        capsys,
        listen=(Address("192.0.2.1", 2525), Address("a..b", 25), Address(path="no/such/dir")),
        auth_without_tls=True,
    )
    assert said == Said(78, [NONE], [
        "--listen: cannot listen on 192.0.2.1:2525: this machine has no such address; use 127.0.0.1, [::1] "
        "or one of its own",
        "--listen: cannot listen on a..b:25: 'a..b' cannot be resolved; use an address of this machine",
        f"--listen: cannot listen on unix:no/such/dir: there is no directory {Path('no/such').absolute()}; "
        "make it",
    ])  # fmt: skip


def test_a_missing_permission_is_not_said_to_be_wrong(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may have it, and the user who checks may not."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(listening, "_listener", refuse)
    said = checked(capsys, listen=(Address("127.0.0.1", 25),))
    assert said == Said(0, [NONE], [
        "warning: cannot listen on 127.0.0.1:25: permission denied; use a port above 1023, or grant "
        "CAP_NET_BIND_SERVICE"
    ])  # fmt: skip


def test_a_proxy_in_front_of_itself(capsys: Capture) -> None:
    with closed_port() as port:
        here = Address("127.0.0.1", port)
        said = checked(capsys, listen=(here,), upstream=here)
    assert said.status == 78
    assert any(
        line.startswith(f"--upstream {here} is where this proxy listens itself: ") for line in said.err
    )


def test_defaults_are_not_looked_at_when_the_file_may_have_said_otherwise(capsys: Capture) -> None:
    wrong = Problem("proxy.toml", 2, "[server] listen")
    for options in (Options(), Options(config=Path("proxy.toml"))):
        assert check.run_check(options, [wrong]) == 78
        assert capsys.readouterr().out == ""
    assert (
        check.run_check(Options(listen=(Address("127.0.0.1", 0),), named=frozenset(["listen"])), [wrong])
        == 78
    )
    assert capsys.readouterr().out == "  listen      127.0.0.1:0 is free\n"


# Credentials

NO_CREDENTIALS = (
    '[server]\nlisten = "127.0.0.1:0"\ntls_cert = "$CREDENTIALS_DIRECTORY/cert"\n'
    'tls_key = "$CREDENTIALS_DIRECTORY/key"\n'
)


def test_credentials_that_only_the_service_has_are_no_mistake(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(sys, "argv", ["/opt/smtp-proxy/bin/smtp-proxy", "check"])
    file = Path("my proxy.toml")
    file.write_text(NO_CREDENTIALS)
    config, problems = read_config(file)
    assert check.run_check(choose({}, config), problems) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[:4] == [
        "  config      my proxy.toml ok",
        "  credentials not checked, as only the service has them: cert, key; as root:",
        "    systemd-run --pipe --wait --same-dir -p LoadCredential=cert:FILE -p LoadCredential=key:FILE "
        "/opt/smtp-proxy/bin/smtp-proxy check --config 'my proxy.toml'",
        "    checks them too; FILE is what LoadCredential= in the unit names",
    ]
    file.write_text(NO_CREDENTIALS + 'lisen = "127.0.0.1:25"\n')
    config, problems = read_config(file)
    assert check.run_check(choose({}, config), problems) == 78
    said = capsys.readouterr()
    assert said.err == 'my proxy.toml:5: [server] unknown key "lisen"; did you mean "listen"?\n'
    assert "config      " not in said.out


# Directories


def test_directories_that_are_there_or_can_be_made(capsys: Capture) -> None:
    Path("there").mkdir()
    Path("link").symlink_to("there")
    said = checked(
        capsys,
        rules=("good.py",),
        capture=Path("link/x/y"),
        quarantine=Path("there"),
        spool=Path("there/spool"),
    )
    assert (said.status, said.err) == (0, [])
    assert list(Path("there").iterdir()) == []


def test_directories_that_cannot_be_made(capsys: Capture) -> None:
    Path("link").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    said = checked(
        capsys,
        rules=("good.py",),
        capture=Path("good.py"),
        quarantine=Path("good.py/x/y"),
        spool=Path("link/x"),
    )
    assert said.status == 78
    hint = "choose a directory that can be made and written"
    assert said.err == [
        f"--capture good.py: good.py is no directory; {hint}",
        f"--quarantine good.py/x/y: good.py is no directory; {hint}",
        f"--spool link/x: link is a link that leads nowhere; {hint}",
    ]
    assert checked(capsys, capture=Path("loop")).err == [
        f"--capture loop: Too many levels of symbolic links; {hint}"
    ]


def test_directories_that_are_named_and_the_control_socket(capsys: Capture) -> None:
    said = checked(
        capsys,
        rules=("good.py",),
        quarantine=Path("held"),
        named=frozenset(["quarantine"]),
        workers=2,
        control=Path("control"),
    )
    assert said.out[1:3] == ["  quarantine  held can be written", "  control     control can be made"]
    assert said.err == []
    missing = Path("nowhere/control").absolute()
    said = checked(capsys, workers=2, control=missing)
    assert said.status == 0
    assert said.err == [
        f"warning: --control {missing}: there is no directory {missing.parent}, and without it the service "
        "does not start; with systemd, RuntimeDirectory= in the unit makes it"
    ]
    said = checked(capsys, workers=2, control=Path("good.py/control"))
    assert said.err == [
        f"warning: --control good.py/control: {Path('good.py').absolute()} is no directory; the user of the "
        "service needs it"
    ]


def test_rules_that_the_user_of_the_service_cannot_read(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "cannot_read", lambda self, files: [*files])
    monkeypatch.setattr(User, "cannot_run", lambda self: "")
    said = checked(capsys, rules=("good.py",), user=getuser())
    assert said.status == 78
    text = f"good.py: cannot be read by the user {getuser()}, as whom the service runs"
    assert [line.rpartition("/")[2] for line in said.err] == [text]


@pytest.mark.parametrize(("mistake", "is_said"), [('send_clint = "proxy"', False), ("gracee = 5", True)])
def test_an_open_relay_beside_a_mistake_in_the_file(mistake: str, is_said: bool, capsys: Capture) -> None:
    with closed_port() as port:
        server = f'listen = "0.0.0.0:0"\nupstream = "127.0.0.1:{port}"\n{mistake}\n'
        config, problems = read_config(written(f"[server]\n{server}"))
        assert len(problems) == 1
        assert check.run_check(choose({}, config), problems) == 78
    assert ("this may be an open relay" in capsys.readouterr().err) == is_said


def test_a_file_with_an_unknown_user_is_not_ok(capsys: Capture) -> None:
    server = '[server]\nlisten = "127.0.0.1:0"\nuser = "no-such-user"\n'
    config, problems = read_config(written(server))
    assert check.run_check(choose({}, config), problems) == 78
    said = capsys.readouterr()
    assert said.err == "proxy.toml:3: [server] user = \"no-such-user\": there is no user 'no-such-user'\n"
    assert "ok" not in said.out


def test_a_program_that_the_user_of_the_service_cannot_read(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "cannot_run", lambda self: f"{self.name} cannot read os.py")
    said = checked(capsys, user=getuser())
    assert (said.status, said.err) == (78, [f"--user {getuser()}: {getuser()} cannot read os.py"])


@pytest.mark.parametrize(
    ("mode", "group", "warns"), [(0o600, 0, True), (0o640, 0, True), (0o640, 5, False), (0o644, 0, False)]
)
def test_root_is_warned_of_files_that_the_service_cannot_read(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, mode: int, group: int, warns: bool
) -> None:
    real = Path.stat

    def of_root(self: Path, **options: Any) -> Any:
        kind = real(self, **options).st_mode & ~0o777
        return SimpleNamespace(st_mode=kind | mode, st_uid=0, st_gid=group)

    loaded = cast("LoadedRules", SimpleNamespace(files=(Path("good.py"), Path("gone.py"))))
    options = Options(config=Path("good.py"), tls_key=(Path("good.py").with_name("key.pem"),))
    monkeypatch.setattr(Path, "stat", of_root)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert check._only_for_root(options, loaded) == [Path("good.py")] * warns
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert check._only_for_root(options, loaded) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what others cannot")
def test_check_says_which_files_only_root_can_read(capsys: Capture) -> None:
    Path("good.py").chmod(0o600)
    (line,) = checked(capsys, rules=("good.py",)).err
    assert line.startswith("warning: ")
    assert line.endswith("/good.py: only root can read it; let the user of the service read it too")


def test_a_directory_without_permission(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert checked(capsys, capture=Path("sub/mail")).err == [
        "--capture sub/mail: no permission to write in .; choose a directory that can be made and written"
    ]


def test_directories_that_are_not_needed(capsys: Capture) -> None:
    bad = Path("good.py")
    said = checked(capsys, upstream=Address("127.0.0.1", 1), capture=bad, quarantine=bad, spool=bad)
    assert said.status == 69
    assert [line.split()[0] for line in said.err] == ["upstream"]
