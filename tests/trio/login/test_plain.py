"""PLAIN and LOGIN."""

from __future__ import annotations

import pytest

from sansio_smtp import SaslClient
from trio_proxy.login.plain import Login, Plain


def test_plain() -> None:
    client: SaslClient = Plain("ann", "sésame")
    assert (client.name, client.complete) == ("PLAIN", True)
    assert client.initial == "\0ann\0sésame".encode()
    assert client.respond(b"") == client.initial
    for challenge in (b"", b"more"):
        with pytest.raises(ValueError, match="one message"):
            client.respond(challenge)


def test_login() -> None:
    client: SaslClient = Login("ann", "sesame")
    assert (client.name, client.initial, client.complete) == ("LOGIN", None, False)
    assert client.respond(b"Username:") == b"ann"
    assert not client.complete
    assert client.respond(b"anything") == b"sesame"
    assert client.complete
    with pytest.raises(ValueError, match="two answers"):
        client.respond(b"more")


@pytest.mark.parametrize("kind", [Plain, Login])
def test_octets_that_are_no_text_go_as_they_came(kind: type[Plain | Login]) -> None:
    client = kind("ann", b"\xff".decode("utf-8", "surrogateescape"))
    said = client.initial if isinstance(client, Plain) else (client.respond(b""), client.respond(b""))[1]
    assert said is not None
    assert said.endswith(b"\xff")
    with pytest.raises(ValueError, match="NUL"):
        kind("ann\0bob", "x")


@pytest.mark.parametrize("kind", [Plain, Login])
def test_no_repr_shows_a_password_and_nothing_is_left_of_it(kind: type[Plain | Login]) -> None:
    client = kind("ann", "sesame")
    assert "sesame" not in repr(client)
    client.forget()
    assert b"sesame" not in b"".join(
        bytes(each) for value in vars(client).values() for each in (value if isinstance(value, list) else [])
    )
    assert not client.initial
