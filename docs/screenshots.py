"""Takes pictures of the built site in headless Chromium: wide and narrow, light and dark, to be looked at.

python docs/screenshots.py docs/_build OUT index how-to/recipes reference/api/proxy
"""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

WIDTHS = {"wide": 1280, "phone": 390}
SCHEMES = {"dark": 0, "light": 1}
"""As Chromium counts them."""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site, and a page that shows one of its pages in a frame: windows cannot be so narrow."""

    def do_GET(self) -> None:
        if not self.path.startswith("/framed/"):
            super().do_GET()
            return
        _, _, width, page = self.path.split("/", 3)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        frame = f"<body style='margin:0'><iframe src='/{page}' width={width} height=1600 style='border:0'>"
        self.wfile.write(frame.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def main(site: str, out: str, *pages: str) -> None:
    Path(out).mkdir(parents=True, exist_ok=True)
    handler = functools.partial(Handler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for page in pages:
            for kind, width in WIDTHS.items():
                for scheme, number in SCHEMES.items():
                    file = Path(out, f"{page.replace('/', '-')}-{kind}-{scheme}.png")
                    address = f"http://127.0.0.1:{server.server_port}/framed/{width}/{page}.html"
                    take(address, file, width, number)
        server.shutdown()


def take(address: str, file: Path, width: int, scheme: int) -> None:
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--window-size={max(width, 500)},1600",
        f"--screenshot={file.resolve()}",
    ]
    subprocess.run(["chromium", *options, address], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main(*sys.argv[1:])
