from __future__ import annotations

from core.login_talk import log_in, scene


def test_replies_to_the_login_of_the_proxy_are_not_the_clients() -> None:
    one = scene("inject")
    one.client("MAIL FROM:<a@me>")
    assert log_in(one, "LOGIN | - | ann") == ["S: AUTH LOGIN"]
    assert one.server("334 VXNlcg==") == ["S: YW5u"]
    assert one.server("235 ok") == ["S: MAIL FROM:<a@me>"]
