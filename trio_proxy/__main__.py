"""``python -m trio_proxy`` is ``smtp-proxy``."""

from .cli import main

if __name__ == "__main__":
    main()
