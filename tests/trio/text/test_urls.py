"""URLs to which secrets are sent."""

from __future__ import annotations

import pytest
from each import each

from trio_proxy.text.urls import secret_url


@pytest.mark.parametrize(
    "url", ["https://login.example/token", "https://h:8443/", "http://127.0.0.1:8080/t", "http://localhost/t"]
)
def test_urls(url: str) -> None:
    assert secret_url(url) == url


@each(
    "url",
    [
        "http://login.example/token",
        "login.example/token",
        "ftp://x/",
        "https://",
        "https:///x",
        "",
        "https://u:p@h/",
        "https://h/#x",
        "http://127.0.0.1.evil.example/",
        "https://h:99999/",
        "https://[::1/",
        "https://h/\n",
    ],
)
def test_urls_that_would_lose_secrets(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a URL with TLS|has no user"):
        secret_url(url)
