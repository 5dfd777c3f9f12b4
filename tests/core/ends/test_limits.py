"""What a server says of its limits is read strictly: what is no number limits nothing."""

from __future__ import annotations

import pytest

from sansio_smtp.ends.limits import limits


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1", {"MAILMAX": 20, "RCPTMAX": 100, "RCPTDOMAINMAX": 1}),
        ("mailmax=20", {"MAILMAX": 20}),
        ("RCPTMAX=999999", {"RCPTMAX": 999_999}),
        ("RCPTMAX=1 RCPTMAX=2", {"RCPTMAX": 1}),
        ("RCPTMAX=0 MAILMAX=-1 A=1000000 B= C =1 D=x E=1=2 F=+1 G=\u0661", {}),
        ("", {}),
    ],
)
def test_limits(said: str, found: dict[str, int]) -> None:
    assert limits({"LIMITS": said}) == found


def test_a_server_that_does_not_say_them() -> None:
    assert limits({"SIZE": "MAILMAX=1"}) == {}
