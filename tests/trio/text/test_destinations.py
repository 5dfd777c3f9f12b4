"""Servers as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_proxy.text.addresses import Address, AddressError
from trio_proxy.text.destinations import Destination, distinct


@pytest.mark.parametrize(
    ("text", "address", "weight"),
    [
        ("mx1.example", Address("mx1.example", 25), None),
        ("mx1.example:26,weight=3", Address("mx1.example", 26), 3),
        ("smtps://mx1.example,weight=9999", Address("mx1.example", 465, tls=True), 9999),
        ("unix:/run/x,y", Address(path="/run/x,y"), None),
        ("unix:/run/x,y,weight=1", Address(path="/run/x,y"), 1),
    ],
)
def test_read_and_written(text: str, address: Address, weight: int | None) -> None:
    found = Destination.parse(text)
    assert found == Destination(address, weight)
    assert Destination.parse(str(found)) == found


@pytest.mark.parametrize("weight", ["0", "-1", "x", "", "10000", "1.5", "0000"])
def test_a_weight_is_a_positive_number(weight: str) -> None:
    with pytest.raises(AddressError, match=f"from 1 to 9999, not '{weight}'"):
        Destination.parse(f"mx1.example,weight={weight}")


def test_an_address_with_a_mistake() -> None:
    with pytest.raises(AddressError, match="no port number"):
        Destination.parse("mx1.example:x,weight=1")


def test_paths_are_relative_to_a_folder() -> None:
    assert str(Destination.parse("unix:x,weight=2").below(Path("/etc"))) == "unix:/etc/x,weight=2"


def test_a_list_names_each_server_once() -> None:
    one, same, other = (Destination.parse(text) for text in ("a", "a:25,weight=2", "b"))
    assert distinct([one, other]) == (one, other)
    with pytest.raises(ValueError, match="names a:25 twice"):
        distinct([one, other, same])
    with pytest.raises(ValueError, match="at least one"):
        distinct([])
