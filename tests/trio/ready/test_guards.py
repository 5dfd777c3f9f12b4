"""A ready rule that guards fails closed, whatever ``on_error`` says."""

from __future__ import annotations

import pytest
from each import each
from harness import loaded

from sansio_smtp.rules import RcptVerdict, Recipient, Transaction
from sansio_smtp.testing import session
from trio_proxy.ready.staging import Staging

GUARDS = {
    "allow_list": 'recipients = ["*"]',
    "archive": 'address = "archive@example.com"',
    "attachments": "",
    "match_login": "",
    "rate_limit": "messages = { minute = 30 }",
    "secret_scan": "",
    "staging": 'mailbox = "staging@example.com"',
    # While their service is down mail waits; with on_down = "accept" it need not.
    "clamd": "",
    "milter": 'address = "127.0.0.1:1"',
    "rspamd": "",
    "shared_rate_limit": 'messages = { minute = 30 }\non_down = "defer"',
}
OTHERS = {
    "clamd": 'on_down = "accept"',
    "milter": 'address = "127.0.0.1:1"\non_down = "accept"',
    "rspamd": 'on_down = "accept"',
    "shared_rate_limit": "messages = { minute = 30 }",
    "footer": 'text = "x"',
    "header_fields": 'remove = ["X-Mailer"]',
    "rewrite_map": 'map = { "*" = "a@b.example" }',
}


@each("name", GUARDS)
def test_rules_that_guard(name: str) -> None:
    rules = loaded(f"[rules.{name}]\n{GUARDS[name]}").ruleset.rules
    assert rules
    assert all(rule.guards for rule in rules)


@pytest.mark.parametrize("name", OTHERS)
def test_rules_that_do_not(name: str) -> None:
    assert not any(rule.guards for rule in loaded(f"[rules.{name}]\n{OTHERS[name]}").ruleset.rules)


def test_mail_is_not_delivered_past_a_guard_that_fails() -> None:
    class Broken(Staging):
        def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
            raise OSError("no more memory")

    s = session(Broken("staging@example.com"), on_error="accept")
    s.mail("ann@example.com")
    s.rcpt("bob@real.example")
    assert s.reply.code == 451
