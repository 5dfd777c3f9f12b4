"""What a wrong type raises."""

from __future__ import annotations

from email.message import Message

import pytest

from sansio_smtp.arguments import check_number, check_type, named, octets, wrong_type


@pytest.mark.parametrize(
    ("value", "name"), [(7, "int"), (None, "None"), ("x", "str"), (int, "the class int"), (b"", "bytes")]
)
def test_an_error_names_the_type(value: object, name: str) -> None:
    assert named(value) == name
    assert str(wrong_type("it is a float", value)) == f"it is a float, not {name}"


def test_an_error_may_say_what_to_write() -> None:
    assert str(wrong_type("it is a float", 7, "such as 7.0")) == "it is a float, not int; such as 7.0"


def test_a_type_is_checked() -> None:
    check_type(7, int, "a number is an int")
    check_type(7, (str, int), "a number is a str or int")
    with pytest.raises(TypeError, match="a number is an int, not str; such as 7"):
        check_type("7", int, "a number is an int", "such as 7")


def test_a_number_is_checked() -> None:
    check_number("size", 1)
    check_number("size", 0, 0)
    for value, least, text in (
        ("25M", 1, "size is a number such as 4096, not '25M'"),
        (True, 1, "size is a number such as 4096, not True"),
        (None, 1, "size is a number such as 4096, not None"),
        (0, 1, "size must be positive, not 0"),
        (-1, 0, "size must be 0 or more, not -1"),
    ):
        with pytest.raises(ValueError, match=text):
            check_number("size", value, least)


def test_octets_cannot_change_later() -> None:
    given = b"NOOP\r\n"
    assert octets(given, "it") is given
    for buffer in (bytearray(given), memoryview(bytearray(given))):
        taken = octets(buffer, "it")
        buffer[:4] = b"QUIT"
        assert taken == given


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("NOOP", "it takes bytes, not str; encode the text first"),
        (None, "it takes bytes, not None"),
        (Message(), "it takes bytes, not Message; give what its method as_bytes() returns"),
        ([78], "it takes bytes, not list"),
    ],
)
def test_what_holds_no_octets(value: object, text: str) -> None:
    with pytest.raises(TypeError) as raised:
        octets(value, "it")
    assert str(raised.value) == text
