"""Names that a caller gives are checked, and the one that was meant is suggested."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from sansio_smtp.errors import LocalProtocolError
from sansio_smtp.names import checked_names, closest, did_you_mean

KNOWN = ("RCPT", "HEADERS")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("recpt", '; did you mean "rcpt"?'),
        ("mails", '; did you mean "mail"?'),
        ("RCPT", '; did you mean "rcpt"?'),
        ("xyz", ""),
        ("", ""),
    ],
)
def test_did_you_mean(name: str, hint: str) -> None:
    assert did_you_mean(name, iter(["mail", "rcpt"])) == hint


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rctp", "rcpt"),
        ("hello", "helo"),
        ("rcpt_to", "rcpt"),
        ("MAILFROM", "mail"),
        ("mial", "mail"),
        ("rde", "red"),
        ("non", "none"),
        ("dkim", "dkim_sign"),
        ("dkim-sign", "dkim_sign"),
        ("rate", "rate_limit"),
        ("header", "header_fields"),
        ("size", "max_size"),
        ("max_size", "max_message_size"),
        ("timeout", "timeouts"),
        ("footr", "footer"),
        ("client close", "client closed"),
    ],
)
def test_names_that_are_meant(name: str, meant: str) -> None:
    assert closest(name, ["quite_another", meant, "zebra"]) == meant


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("log", "login"),
        ("tls", "tls_key"),
        ("no", "none"),
        ("blocklist", "allow_list"),
        ("greylist", "allow_list"),
        ("tarpit", "staging"),
        ("sender", "sends"),
        ("strip", "strict"),
        ("bounce", "announce"),
        ("abort", "port"),
        ("server lost", "client lost"),
        ("", "mail"),
    ],
)
def test_names_that_are_not_meant(name: str, other: str) -> None:
    assert closest(name, ["quite_another", other]) == ""


@pytest.mark.parametrize("names", [(), {"RCPT"}, ["HEADERS", "RCPT", "RCPT"], iter(["RCPT"]), {"X-MORE"}])
def test_known_names_become_a_set(names: Iterable[str]) -> None:
    names = list(names)
    found = checked_names("ask", iter(names), KNOWN, what="place", example='{"RCPT"}', prefix="X")
    assert found == frozenset(names)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("RCPT", "ask takes a set such as {\"RCPT\"}, not 'RCPT'"),
        (b"RCPT", "ask takes a set such as {\"RCPT\"}, not b'RCPT'"),
        (None, 'ask takes a set such as {"RCPT"}, not None'),
        ({"rcpt"}, "ask: 'rcpt' is no place; did you mean \"RCPT\"?"),
        ({"RCTP"}, "ask: 'RCTP' is no place; did you mean \"RCPT\"?"),
        ({"RCPT", "HEADER"}, "ask: 'HEADER' is no place; did you mean \"HEADERS\"?"),
        ({"X-MORE"}, "ask: 'X-MORE' is no place"),
        ({b"RCPT"}, "ask: b'RCPT' is no place; write {\"RCPT\"}"),
    ],
)
def test_other_names_are_the_callers_mistake(names: object, text: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        checked_names("ask", names, KNOWN, what="place", example='{"RCPT"}')
    assert str(caught.value) == text
