"""A real Rspamd of our own, without its many rules: GTUBE is left, and some Lua that does as a message says.

It resolves nothing and downloads nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from interop_daemon import Daemon, need
from interop_postfix import free_port

_GTUBE = "{}JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
REJECT = _GTUBE.format("X").encode()
ADD_HEADER = _GTUBE.format("Y").encode()
REWRITE_SUBJECT = _GTUBE.format("Z").encode()
"""Texts of a message that make Rspamd say so."""

CONF = """
options {{
    pidfile = "{directory}/rspamd.pid";
    filters = "";
    dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }}
    tempdir = "{directory}";
    control_socket = "{directory}/control.sock mode=0600";
    hs_cache_dir = "{directory}/";
    url_tld = "{directory}/tld.dat";
    enable_test_patterns = true;
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
worker "rspamd_proxy" {{
    bind_socket = "127.0.0.1:{milter_port}";
    count = 1;
    milter = yes;
    timeout = 10s;
    upstream "local" {{ default = yes; self_scan = yes; }}
    spam_header = "X-Spam";
}}
lua = "{directory}/rules.lua";
"""

LUA = """
rspamd_config:register_symbol{
  name = 'TEST_ORDERS',
  score = 0,
  callback = function(task)
    local order = task:get_header('X-Order')
    if order == 'soft reject' then
      task:set_pre_result('soft reject', 'Come back later')
    elseif order == 'edit' then
      task:set_milter_reply({
        add_headers = {['X-Added'] = 'one', ['X-Valued'] = {value = 'two;\\n\\tthree', order = 1}},
        remove_headers = {['X-Order'] = 0},
      })
    elseif order == 'envelope' then
      local seen = {}
      local function see(value) table.insert(seen, tostring(value or '-')) end
      see(task:get_from('smtp')[1].addr)
      for _, to in ipairs(task:get_recipients('smtp')) do see(to.addr) end
      see(task:get_from_ip())
      see(task:get_helo())
      task:set_milter_reply({add_headers = {['X-Seen'] = table.concat(seen, ' ')}})
    end
  end,
}
"""


@attrs.define
class RspamdServer:
    port: int
    milter_port: int
    daemon: Daemon


@contextmanager
def running_rspamd(directory: Path) -> Iterator[RspamdServer]:
    need("rspamd", "rspamd")
    port, milter_port = free_port(), free_port()
    config = directory / "rspamd.conf"
    config.write_text(CONF.format(directory=directory, port=port, milter_port=milter_port))
    (directory / "rules.lua").write_text(LUA)
    (directory / "tld.dat").write_text("com\norg\nexample\n")  # the real list takes seconds to compile
    command = ["rspamd", "-f", "-c", str(config)]
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(directory, "_rspamd", "_rspamd")
        command += ["-u", "_rspamd", "-g", "_rspamd"]
    daemon = Daemon(command, directory / "rspamd.log", ("127.0.0.1", port))
    daemon.start()
    try:
        yield RspamdServer(port, milter_port, daemon)
    finally:
        daemon.stop()
