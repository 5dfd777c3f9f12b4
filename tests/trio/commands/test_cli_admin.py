"""``--admin`` of the executable: a message through real sockets, and what the pages say of it."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest
from commands import connect, proxy, say_hello, submit, upstream
from drivers import DEADLINE
from io_modes import MODES

RULES = """
def rcpt(tx, to):
    return None
"""


def get(path: Path, page: str) -> tuple[int, str]:
    """The status and the text of a page."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(path))
        sock.sendall(f"GET {page} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        said = b""
        while data := sock.recv(65_536):
            said += data
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def counted(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(smtp_proxy_\S+) (\S+)$", text, re.M)}


@pytest.mark.parametrize(("mode", "rules"), [(MODES[0], False), (MODES[-1], True)])
def test_a_message_is_counted(mode: str, rules: bool, tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULES)
    pages = tmp_path / "admin.sock"
    arguments = ["--listen", "127.0.0.1:0", "--io", mode, "--admin", f"unix:{pages}"]
    arguments += ["--rules", "rules.py", "--self-signed"] if rules else []
    with upstream() as server, proxy(tmp_path, *arguments, "-u", f"127.0.0.1:{server.port}") as running:
        assert get(pages, "/healthz") == (200, "ok\n")
        assert get(pages, "/readyz") == (200, "ready\n")
        client = connect(("127.0.0.1", running.port))
        say_hello(client)
        assert submit(client, b"Subject: x\r\n\r\nhi\r\n")[:4] == b"250 "
        found = counted(get(pages, "/metrics")[1])
        assert found["smtp_proxy_sessions_open"] == 1
        client.send(b"QUIT")
        client.expect(b"221 ...")
        client.close()
        found = counted(get(pages, "/metrics")[1])
        assert found["smtp_proxy_sessions_total"] == 1
        codes = {"220": 1, "250": 4, "354": 1, "221": 1}
        for code, number in codes.items():
            name = f'smtp_proxy_replies_total{{class="{code[0]}xx",code="{code}",origin="server"}}'
            assert found[name] == number, name
        assert found['smtp_proxy_messages_total{by="server",fate="relayed"}'] == 1
        assert found["smtp_proxy_held_bytes"] == 0
        where = f'upstream="127.0.0.1:{server.port}"'
        assert found[f"smtp_proxy_upstream_up{{{where}}}"] == 1
        octets = [value for name, value in found.items() if name.startswith("smtp_proxy_network_bytes")]
        assert len(octets) == 4
        assert min(octets) >= 100
        calls = [value for name, value in found.items() if name.startswith("smtp_proxy_rule_seconds_count")]
        assert calls == [1] * rules
        assert len([name for name in found if "_certificate_expires_" in name]) == int(rules)
        running.signal(signal.SIGTERM)
        assert running.ends(4 * DEADLINE) == 0


def test_a_server_that_a_reload_has_added_is_named_by_its_address(tmp_path: Path) -> None:
    pages, file = tmp_path / "admin.sock", tmp_path / "proxy.toml"

    def served_by(port: int) -> None:
        where = f'listen = "127.0.0.1:0"\nupstream = "127.0.0.1:{port}"\nadmin = "unix:{pages}"\n'
        file.write_text(f"[server]\n{where}")

    with upstream() as one, upstream() as two:
        served_by(one.port)
        with proxy(tmp_path, "-c", "proxy.toml") as running:
            for server in (one, two, two):
                client = connect(("127.0.0.1", running.port))
                say_hello(client)
                client.close()
                if server is one:
                    served_by(two.port)
                    running.signal(signal.SIGHUP)
                    running.wait_for("upstream servers reloaded")
                    running.wait_for("rules reloaded")
            file.write_text("[server]\nlisten = 5\n")
            running.signal(signal.SIGHUP)
            running.wait_for("reload refused")
            found = counted(get(pages, "/metrics")[1])
        assert found['smtp_proxy_reloads_total{result="done"}'] == 1
        assert found['smtp_proxy_reloads_total{result="refused"}'] == 1
        up = {name: value for name, value in found.items() if name.startswith("smtp_proxy_upstream_up")}
        assert up == {f'smtp_proxy_upstream_up{{upstream="127.0.0.1:{two.port}"}}': 1}
        for server, number in ((one, 1), (two, 2)):
            labels = f'result="connected",upstream="127.0.0.1:{server.port}"'
            assert found[f"smtp_proxy_upstream_connects_total{{{labels}}}"] == number
