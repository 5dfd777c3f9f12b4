from __future__ import annotations

from sansio_smtp.sasl_client import LoginAttempt, SaslClient


class Plain:
    name = "PLAIN"
    initial: bytes | None = b"\0ann\0secret"
    complete = True

    def respond(self, challenge: bytes) -> bytes:
        raise ValueError(challenge)

    def forget(self) -> None:
        self.initial = None


def test_any_object_with_these_members_is_a_client() -> None:
    client: SaslClient = Plain()
    assert client.initial is not None
    client.forget()
    assert client.initial is None


def test_an_attempt_shows_its_name_and_not_its_password() -> None:
    attempt = LoginAttempt("PLAIN", "ann", b"hunter22")
    assert repr(attempt) == "LoginAttempt(PLAIN, 'ann')"
    assert attempt.password() == "hunter22"


def test_a_password_of_any_octets_comes_back() -> None:
    octets = bytes(range(1, 256))
    assert LoginAttempt("LOGIN", "ann", octets).password().encode("utf-8", "surrogateescape") == octets


def test_wiping_overwrites_the_password() -> None:
    attempt = LoginAttempt("PLAIN", "ann", b"hunter22")
    kept = attempt._password
    attempt.wipe()
    assert attempt.password() == ""
    assert not kept
