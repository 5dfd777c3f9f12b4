"""``python -m trio_proxy`` is ``smtp-proxy``."""

from __future__ import annotations

import logging
import sys

__all__ = ["main"]


def main() -> None:
    """The executable. Says what to install if the extra that it needs is missing."""
    try:
        from trio_proxy.text import output

        output.take_over()
        from trio_proxy.commands.cli import main as run
        from trio_proxy.commands.lazy_imports import delay_import
    except ModuleNotFoundError as error:
        if error.name not in ("attr", "click"):
            raise
        sys.exit("smtp-proxy: the program needs more than the library: pip install 'sansio-smtp[proxy]'")
    delay_import("asyncio")  # structlog imports it, which takes 2.6 MB
    delay_import("ssl", "hmac")  # Trio imports them, and they OpenSSL: 5 MB, which TLS alone needs
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False  # else each record would load asyncio to get the name of its task
    try:
        run()
    finally:
        output.finish()


if __name__ == "__main__":
    main()
