"""What the built-in server has kept is found once, by the queue id in its reply."""

from __future__ import annotations

from trio_proxy.account.kept import Kept, KeptMail


def test_it_is_found_once() -> None:
    mail, kept = KeptMail(), Kept("new/1.eml", "a@x", "hi")
    mail.add("1.eml", kept)
    assert mail.take("2.eml") is None
    assert mail.take("1.eml") is kept
    assert mail.take("1.eml") is None


def test_what_nobody_asks_for_takes_little_memory() -> None:
    mail = KeptMail()
    for number in range(1_500):
        mail.add(str(number), Kept(f"new/{number}", "", ""))
    found = [number for number in range(1_500) if mail.take(str(number)) is not None]
    assert found == list(range(500, 1_500))
