"""aiosmtpd with its own `Proxy` handler: `python aiosmtpd_proxy.py LISTEN_PORT UPSTREAM_PORT`."""

from __future__ import annotations

import asyncio
import logging
import sys

from aiosmtpd.handlers import Proxy
from aiosmtpd.smtp import SMTP


async def main(listen: int, upstream: int) -> None:
    logging.disable()  # the others do not log either
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Proxy("127.0.0.1", upstream), hostname="proxy.example"),
        "127.0.0.1",
        listen,
        backlog=1024,
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
