"""``python -m trio_proxy`` is ``smtp-proxy``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The executable. Without the extra that it needs, it says so."""
    try:
        from trio_proxy.commands.cli import main as run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("smtp-proxy: the program needs more than the library: pip install 'sansio-smtp[proxy]'")
    run()


if __name__ == "__main__":
    main()
