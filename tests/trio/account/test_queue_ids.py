"""Queue ids in the words of the servers that give them."""

from __future__ import annotations

from each import each

from trio_proxy.account.queue_ids import queue_id


@each(
    ("text", "found"),
    [
        ("2.0.0 Ok: queued as 4dJ1Pq2XkYz9", "4dJ1Pq2XkYz9"),
        ("2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4F1B2", "4F1B2"),
        ("OK id=1vOzQx-00000001abc-2DfG", "1vOzQx-00000001abc-2DfG"),
        ("2.0.0 5AS0bCdE012345 Message accepted for delivery", "5AS0bCdE012345"),
        ("2.0.0 <ann@lmtp.test> oFAbCdEfGh9sAAAA Saved", "oFAbCdEfGh9sAAAA"),
        (
            "2.6.0 <1@me.example> [InternalId=12345678, Hostname=EX1.example] Queued mail for delivery",
            "12345678",
        ),
        (
            "2.0.0 OK  1764374400 d2e1a72fcca58-7d15e7db5c9si123.76 - gsmtp",
            "d2e1a72fcca58-7d15e7db5c9si123.76",
        ),
        ("ok 1764374400 qp 23456", "23456"),
        ("Ok 0102018f0a1b2c3d-4e5f-000000", "0102018f0a1b2c3d-4e5f-000000"),
        ("Message Queued (1F2E3D4C-5B6A.1)", "1F2E3D4C-5B6A.1"),
        ("2.0.0 kept as 1795910985.251371.P32193Q0.vm.eml", "1795910985.251371.P32193Q0.vm.eml"),
        ("2.0.0 ok", ""),
        ("ok", ""),
        ("2.0.0 Ok: queued as " + "A" * 300, "A" * 100),
        ("queued as \udcff\x1b[2J", "\\xff\x1b[2J"),
    ],
)
def test_queue_id(text: str, found: str) -> None:
    raw = f"250 {text}\r\n".encode("utf-8", "surrogateescape")
    assert queue_id(raw) == found
