"""Each recipe of docs/how-to works as it stands; only addresses, names and paths are others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest
from interop_certificates import Certificates
from interop_clamd import EICAR, running_clamd
from interop_daemon import need, open_directory
from interop_haproxy import running_haproxy
from interop_lmtp import running_dovecot_lmtp
from interop_oauth import running_oauth_peers
from interop_peers import PASSWORD, Peers, running_dovecot
from interop_postfix import Postfix, free_port, prepare
from interop_proxy import Proxy
from interop_recipes import RECIPES, SCANNERS, Recipe, recipe, titles
from interop_redis import running_redis
from interop_rspamd import running_rspamd
from pages import ROOT

pytestmark = pytest.mark.interop

CLIENT = "127.0.0.9"
CERTIFICATES = "/etc/letsencrypt/live/mail.example.com"


TRUSTS_NOBODY = """
mynetworks =
smtpd_authorized_xclient_hosts =
smtpd_authorized_xforward_hosts =
"""
"""What the Postfix of the other tests allows, and a recipe has to allow itself."""


@attrs.define
class Kitchen:
    """Runs one recipe."""

    recipe: Recipe
    directory: Path
    stack: ExitStack

    def postfix(self, port: int, *, main: str = "", services: str = "") -> Postfix:
        root = self.stack.enter_context(open_directory("recipe"))
        main = TRUSTS_NOBODY + main + self.recipe.files.get("postfix/main.cf", "")
        services = services + self.recipe.files.get("postfix/master.cf", "")
        server = prepare(root, main=main, services=services, port=port)
        server.start()
        self.stack.callback(server.stop)
        return server

    def proxy(self, *options: str) -> Proxy:
        proxy = Proxy.run(self.directory, *self.recipe.program, *options)
        self.stack.callback(proxy.stop)
        proxy.wait_for("Press Ctrl-C")
        assert proxy.stderr.read_text() == "", "a recipe is to start without a warning"
        return proxy

    def check(self, *options: str) -> str:
        """What all the commands print that show that it works."""
        need("swaks", "swaks")
        printed = ""
        for command in self.recipe.checks:
            done = subprocess.run([*command, *options], check=False, capture_output=True, timeout=60)
            printed += (done.stdout + done.stderr).decode("utf-8", "replace")
        return printed

    def is_found(self, printed: str, server: Postfix) -> None:
        """All that the page shows was printed, or is in the log."""
        for line in self.recipe.shown:
            if line not in printed:
                assert not line.startswith("<"), f"{line!r} was not printed:\n{printed}"
                server.log_until(line, 0, 10)


@contextmanager
def cooking(
    title: str, directory: Path, substitutions: dict[str, str], page: Path = RECIPES
) -> Iterator[Kitchen]:
    TESTED.add(title)
    with ExitStack() as stack:
        yield Kitchen(recipe(title, substitutions, page), directory, stack)


TESTED: set[str] = set()


def addresses(*shown: str) -> tuple[dict[str, str], list[int]]:
    """Free ports of 127.0.0.1 in place of these addresses of the page."""
    ports = [free_port() for _ in shown]
    return {address: f"127.0.0.1:{port}" for address, port in zip(shown, ports, strict=True)}, ports


def shown_certificates(certificates: Certificates) -> dict[str, str]:
    return {
        f"{CERTIFICATES}/fullchain.pem": str(certificates.certificate),
        f"{CERTIFICATES}/privkey.pem": str(certificates.key),
    }


MAILBOX = "box0@interop.test"
POSTFIX = """
127.0.0.1:{}  inet  n  -  n  -  -  smtpd
    -o smtpd_authorized_xclient_hosts=127.0.0.1
"""
"""A Postfix that trusts the proxy, as a recipe has it that is named in another one."""


def test_filter_in_postfix(tmp_path: Path) -> None:
    places, (front, *_) = addresses("mail.example.com:25", "127.0.0.1:10025", "127.0.0.1:10026")
    substitutions = {
        **places,
        "smtp            inet": f"127.0.0.1:{front} inet",
        "ann@example.com": MAILBOX,
        "192.0.2.7": CLIENT,
    }
    with cooking("Filter in Postfix", tmp_path, substitutions) as kitchen:
        kitchen.proxy()
        postfix = kitchen.postfix(front)
        printed = kitchen.check("--local-interface", CLIENT)
        kitchen.is_found(printed, postfix)
        assert printed.count("queued as") == 1, printed


def test_in_front_of_postfix(tmp_path: Path, certificates: Certificates) -> None:
    places, (front, back) = addresses("0.0.0.0:25", "127.0.0.1:10025")
    substitutions = {
        **places,
        **shown_certificates(certificates),
        "mail.example.com:25": f"127.0.0.1:{front}",
        "ann@example.com": MAILBOX,
        "192.0.2.7": CLIENT,
    }
    with cooking("In front of Postfix", tmp_path, substitutions) as kitchen:
        postfix = kitchen.postfix(back)
        kitchen.proxy()
        kitchen.is_found(kitchen.check("--local-interface", CLIENT), postfix)


def test_after_haproxy(tmp_path: Path) -> None:
    places, (front, *_) = addresses("10.0.0.1:25", "10.0.0.11:25", "127.0.0.1:10025")
    substitutions = {
        **places,
        "10.0.0.1": "127.0.0.1",
        "ann@example.com": MAILBOX,
        "192.0.2.7": CLIENT,
    }
    with cooking("After HAProxy", tmp_path, substitutions) as kitchen:
        postfix = kitchen.postfix(0)
        kitchen.proxy()
        configuration = kitchen.recipe.files["haproxy/haproxy.cfg"]
        kitchen.stack.enter_context(running_haproxy(tmp_path, configuration, front))
        kitchen.is_found(kitchen.check("--local-interface", CLIENT), postfix)


def test_two_machines(tmp_path: Path) -> None:
    title = "Two machines"
    places, (front, _) = addresses("10.0.0.1:25", "127.0.0.1:10025")
    machines = {f"10.0.0.1{number}:25 port 9025": (free_port(), free_port()) for number in (1, 2)}
    servers = {shown: f"127.0.0.1:{port} port {pages}" for shown, (port, pages) in machines.items()}
    configuration = recipe(title, {"bind 10.0.0.5": "bind 127.0.0.1"}).files["redis/redis.conf"]
    with running_redis(tmp_path, configuration) as redis, ExitStack() as stack:
        substitutions = {
            **places,
            **servers,
            "10.0.0.1": "127.0.0.1",
            "10.0.0.5:6379": f"127.0.0.1:{redis.port}",
            "ann@example.com": MAILBOX,
            "192.0.2.7": CLIENT,
        }
        proxies: list[Proxy] = []
        for port, pages in machines.values():
            folder = tmp_path / str(port)
            folder.mkdir()
            own = {
                "0.0.0.0:25": f"127.0.0.1:{port}",
                "0.0.0.0:9025": f"127.0.0.1:{pages}",
                "--config /etc/smtp-proxy": f"--config {folder}",
            }
            kitchen = stack.enter_context(cooking(title, folder, substitutions | own))
            (folder / "proxy.toml").write_text(kitchen.recipe.files["smtp-proxy/proxy.toml"])
            proxies.append(kitchen.proxy())
        postfix = kitchen.postfix(0)
        configuration = kitchen.recipe.files["haproxy/haproxy.cfg"]
        stack.enter_context(running_haproxy(tmp_path, configuration, front))
        for _ in range(3):
            kitchen.is_found(kitchen.check("--local-interface", CLIENT), postfix)
        assert all("message relayed" in proxy.log() for proxy in proxies)
        assert redis.command("DBSIZE") == b":1\r\n", "both count the client in one place"


@pytest.mark.any_io
def test_files_of_deploy_are_those_of_the_recipe() -> None:
    files = recipe("Two machines", {}).files
    for name in ("haproxy/haproxy.cfg", "postfix/master.cf"):
        assert (ROOT / "deploy" / name).read_text() == f"# /etc/{name}\n{files[name]}"


def test_submission(tmp_path: Path, certificates: Certificates) -> None:
    places, (starttls, implicit, back) = addresses("0.0.0.0:587", "0.0.0.0:465", "127.0.0.1:10587")
    substitutions = {
        **places,
        **shown_certificates(certificates),
        "mail.example.com:587": f"127.0.0.1:{starttls}",
        "mail.example.com:465": f"127.0.0.1:{implicit}",
        "ann@example.com": MAILBOX,
        "secret": PASSWORD,
        "192.0.2.7": CLIENT,
    }
    with running_dovecot() as socket:
        substitutions["private/auth"] = str(socket)
        with cooking("Submission", tmp_path, substitutions) as kitchen:
            postfix = kitchen.postfix(back)
            kitchen.proxy()
            printed = kitchen.check("--local-interface", CLIENT)
            kitchen.is_found(printed, postfix)
            assert printed.count("queued as") == 2, printed


def test_in_front_of_a_smarthost(tmp_path: Path, peers: Peers) -> None:
    places, (proxy_port, front) = addresses("127.0.0.1:2525", "127.0.0.1:25")
    mailbox = peers.new_mailbox()
    substitutions = {
        **places,
        "[127.0.0.1]:2525": f"[127.0.0.1]:{proxy_port}",
        "texthash:/etc/postfix/smarthost": f"texthash:{tmp_path}/smarthost",
        "smtp.example.net:587": f"127.0.0.1:{peers.ports['required']}",
        "bob@example.net": mailbox.address,
        "ann:secret": f"ann:{PASSWORD}",
    }
    # So that mail leaves this Postfix, which the others do not let go anywhere.
    main = "virtual_mailbox_domains =\ndefault_transport = smtp\nmynetworks = 127.0.0.1\n"
    main += "smtpd_relay_restrictions = permit_mynetworks, reject\n"
    services = f"127.0.0.1:{front} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n"
    with cooking("In front of a smarthost", tmp_path, substitutions) as kitchen:
        (tmp_path / "smarthost").write_text(kitchen.recipe.files["postfix/smarthost"])
        kitchen.proxy("--upstream-ca", str(peers.ca))
        postfix = kitchen.postfix(front, main=main, services=services)
        kitchen.is_found(kitchen.check(), postfix)
    message = mailbox.message()
    assert b"TLSv1.3" in message.trace


def test_old_devices_and_oauth(tmp_path: Path) -> None:
    places, _ = addresses("10.0.0.11:25")
    with running_oauth_peers() as peers:
        mailbox = peers.new_mailbox()
        substitutions = {
            **places,
            "192.0.2.7": CLIENT,
            "smtp.office365.com:587": f"127.0.0.1:{peers.ports['xoauth2, TLS']}",
            "https://login.microsoftonline.com/TENANT/oauth2/v2.0": peers.provider.url,
            "scanner@example.com": peers.provider.account,
            "bob@example.net": mailbox.address,
            "--rules /etc/smtp-proxy": f"--rules {tmp_path}",
            "/var/lib/smtp-proxy": str(tmp_path),
        }
        with cooking("Old devices and OAuth", tmp_path, substitutions) as kitchen:
            (tmp_path / "devices.py").write_text(kitchen.recipe.files["smtp-proxy/devices.py"])
            (tmp_path / "refresh-token").write_text("refresh-token\n")
            kitchen.proxy("--upstream-ca", str(peers.ca))
            kitchen.is_found(kitchen.check("--local-interface", CLIENT), peers.postfix)
            assert "554 5.7.1 this is for our devices only" in kitchen.check()
        message = mailbox.message()
        assert b"TLSv1.3" in message.trace
        peers.postfix.log_until(f"sasl_method=XOAUTH2, sasl_username={peers.provider.account}", 0)


WHO = """
def mail(tx, sender):
    print("client", tx.conn.ip, flush=True)
"""


def test_in_front_of_dovecot(tmp_path: Path) -> None:
    title = "In front of Dovecot"
    places, (proxy_port, front) = addresses("127.0.0.1:10024", "mail.example.com:25")
    more = recipe(title, places).files["dovecot/local.conf"]
    with running_dovecot_lmtp(more) as dovecot:
        substitutions = {
            **places,
            "]:10024": f"]:{proxy_port}",
            "/run/dovecot": str(dovecot.root / "run"),
            "ann@example.com": "ann@lmtp.test",
        }
        # What a Postfix has that delivers to Dovecot.
        main = "virtual_mailbox_domains = lmtp.test\nvirtual_mailbox_maps = static:all\n"
        services = f"127.0.0.1:{front} inet n - n - - smtpd\nlmtp unix - - n - - lmtp\n"
        with cooking(title, tmp_path, substitutions) as kitchen:
            (tmp_path / "who.py").write_text(WHO)
            proxy = kitchen.proxy("--rules", str(tmp_path / "who.py"))
            postfix = kitchen.postfix(front, main=main, services=services)
            kitchen.is_found(kitchen.check("--local-interface", CLIENT), postfix)
            assert f"client {CLIENT}" in proxy.log()
        assert len(dovecot.messages("ann")) == 1


def test_rspamd(tmp_path: Path) -> None:
    with open_directory("rspamd") as directory, running_rspamd(directory) as rspamd:
        check_scanner("Rspamd", tmp_path, {"127.0.0.1:11333": f"127.0.0.1:{rspamd.port}"})


def test_clamav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "eicar.com").write_bytes(EICAR)
    with open_directory("clamd") as directory, running_clamd(directory) as clamd:
        check_scanner("ClamAV", tmp_path, {"/run/clamav/clamd.ctl": str(clamd.socket)})


def check_scanner(title: str, folder: Path, scanner: dict[str, str]) -> None:
    places, (front, back) = addresses("0.0.0.0:25", "127.0.0.1:10025")
    substitutions = {
        **places,
        **scanner,
        "--config /etc/smtp-proxy": f"--config {folder}",
        "mail.example.com:25": f"127.0.0.1:{front}",
        "ann@example.com": MAILBOX,
    }
    with cooking(title, folder, substitutions, SCANNERS) as kitchen:
        for name, content in kitchen.recipe.files.items():
            (folder / Path(name).name).write_text(content)
        kitchen.postfix(back, services=POSTFIX.format(back))
        kitchen.proxy()
        printed = kitchen.check()
        for line in kitchen.recipe.shown:
            assert line in printed, printed
        assert printed.count("queued as") == 1, printed


def test_every_recipe_is_tested() -> None:
    assert {*titles(), *titles(SCANNERS)} - {"Both"} == TESTED
