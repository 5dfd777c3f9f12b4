"""The attributes of XCLIENT and XFORWARD."""

from __future__ import annotations

import re

import pytest
from each import each
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_smtp.wire.client_attributes import (
    LONGEST_VALUE,
    XCLIENT,
    XFORWARD,
    AttributeProblem,
    offered_attributes,
    read_attributes,
    write_attributes,
)


def test_offered_attributes() -> None:
    assert offered_attributes("NAME ADDR  proto") == {"NAME", "ADDR", "PROTO"}
    assert offered_attributes("") == frozenset()


@each(
    ("argument", "values"),
    [
        (b"NAME=mx.example.net", {"NAME": "mx.example.net"}),
        (b"  name=a  ADDR=192.0.2.1 ", {"NAME": "a", "ADDR": "192.0.2.1"}),
        (b"ADDR=IPV6:2001:DB8:0::1", {"ADDR": "2001:db8::1"}),
        (b"ADDR=ipv6:2001:db8::1", {"ADDR": "2001:db8::1"}),
        (b"ADDR=2001:db8::1", {"ADDR": "2001:db8::1"}),
        (b"ADDR=IPV6:::ffff:192.0.2.1", {"ADDR": "192.0.2.1"}),
        (b"DESTADDR=IPv6:::1 DESTPORT=25", {"DESTADDR": "::1", "DESTPORT": "25"}),
        (b"PORT=0", {"PORT": "0"}),
        (b"PORT=065", {"PORT": "65"}),
        (b"PORT=65535", {"PORT": "65535"}),
        (b"PROTO=esmtp", {"PROTO": "ESMTP"}),
        (b"PROTO=SMTP", {"PROTO": "SMTP"}),
        (b"HELO=a+3Db+2bc", {"HELO": "a=b+c"}),
        (b"LOGIN=ann+20x", {"LOGIN": "ann x"}),
        (b"NAME=[UNAVAILABLE] ADDR=[unavailable]", {"NAME": "", "ADDR": ""}),
        (b"NAME=[TEMPUNAVAIL] PROTO=[Unavailable] PORT=[UNAVAILABLE]", {"NAME": "", "PROTO": "", "PORT": ""}),
        (b"HELO=" + b"+41" * LONGEST_VALUE, {"HELO": "A" * LONGEST_VALUE}),
    ],
)
def test_reading_xclient(argument: bytes, values: dict[str, str]) -> None:
    assert read_attributes(argument, XCLIENT) == values


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        (b"IDENT=4F2B SOURCE=remote", {"IDENT": "4F2B", "SOURCE": "REMOTE"}),
        (b"SOURCE=LOCAL", {"SOURCE": "LOCAL"}),
        (b"PROTO=qmqp", {"PROTO": "QMQP"}),
    ],
)
def test_reading_xforward(argument: bytes, values: dict[str, str]) -> None:
    assert read_attributes(argument, XFORWARD) == values


@each(
    ("argument", "why"),
    [
        (b"", "No attribute; write NAME=value"),
        (b"  ", "No attribute; write NAME=value"),
        (b"NAME", "NAME has no value; write NAME=value"),
        (b"NAME=", "NAME has no value; write NAME=value"),
        (b"=a", "Unknown attribute"),
        (b"IDENT=a", "Unknown attribute IDENT"),
        (b"FOO=a", "Unknown attribute FOO"),
        (b"foo", "Unknown attribute FOO"),
        (b"F\r\nO=a", "Unknown attribute"),
        (b"\xc3\xa4=a", "Unknown attribute"),
        (b"N" * 21 + b"=a", "Unknown attribute"),
        (b"NAME=a name=a", "NAME is repeated"),
        (b"NAME=[UNAVAILABLE] NAME=a", "NAME is repeated"),
        (b"NAME=a=b", "The value of NAME is not xtext (RFC 3461)"),
        (b"NAME=a\tADDR=192.0.2.1", "The value of NAME is not xtext (RFC 3461)"),
        (b"NAME=\xe4", "The value of NAME is not xtext (RFC 3461)"),
        (b"NAME=a\r", "The value of NAME is not xtext (RFC 3461)"),
        (b"NAME=a\n", "The value of NAME is not xtext (RFC 3461)"),
        (b"HELO=+4", "The value of HELO is not xtext (RFC 3461)"),
        (b"HELO=+4G", "The value of HELO is not xtext (RFC 3461)"),
        (b"HELO=a+0D+0Ab", "The value of HELO holds octets that are not printable ASCII"),
        (b"HELO=a+0A", "The value of HELO holds octets that are not printable ASCII"),
        (b"HELO=+00", "The value of HELO holds octets that are not printable ASCII"),
        (b"HELO=+7F", "The value of HELO holds octets that are not printable ASCII"),
        (b"HELO=+E4", "The value of HELO holds octets that are not printable ASCII"),
        (b"HELO=" + b"a" * 256, "The value of HELO is longer than 255 octets"),
        (b"ADDR=IPV6:192.0.2.1", "The value of ADDR is no IP address"),
        (b"ADDR=192.0.2.256", "The value of ADDR is no IP address"),
        (b"ADDR=fe80::1%25", "The value of ADDR is no IP address"),
        (b"ADDR=3221225985", "The value of ADDR is no IP address"),
        (b"DESTADDR=mx", "The value of DESTADDR is no IP address"),
        (b"PORT=65536", "The value of PORT is no port; write 0 to 65535"),
        (b"PORT=000001", "The value of PORT is no port; write 0 to 65535"),
        (b"PORT=-1", "The value of PORT is no port; write 0 to 65535"),
        (b"DESTPORT=smtp", "The value of DESTPORT is no port; write 0 to 65535"),
        (b"PROTO=QMQP", "The value of PROTO is neither SMTP nor ESMTP"),
        (b"ADDR=192.0.2.1 " + b" ".join(b"A%d=1" % n for n in range(100)), "Unknown attribute A0"),
    ],
)
def test_wrong_attributes(argument: bytes, why: str) -> None:
    with pytest.raises(AttributeProblem) as problem:
        read_attributes(argument, XCLIENT)
    assert str(problem.value) == why


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        (b"SOURCE=OUTSIDE", "The value of SOURCE is neither LOCAL nor REMOTE"),
        (b"PROTO=a+20b", "The value of PROTO is no name of a protocol"),
        (b"PROTO=" + b"a" * 65, "The value of PROTO is no name of a protocol"),
        (b"LOGIN=a", "Unknown attribute LOGIN"),
    ],
)
def test_wrong_attributes_of_xforward(argument: bytes, why: str) -> None:
    with pytest.raises(AttributeProblem) as problem:
        read_attributes(argument, XFORWARD)
    assert str(problem.value) == why


@each(
    ("values", "argument"),
    [
        ({"HELO": "me", "NAME": "mx", "ADDR": "192.0.2.1"}, b"NAME=mx ADDR=192.0.2.1 HELO=me"),
        ({"ADDR": "2001:db8::1", "DESTADDR": "::1"}, b"ADDR=IPV6:2001:db8::1 DESTADDR=IPV6:::1"),
        ({"NAME": "", "ADDR": "", "PORT": ""}, b"NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]"),
        ({"ADDR": "mx", "PORT": "x"}, b"ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE]"),
        ({"PORT": "51000", "PROTO": "esmtp"}, b"PORT=51000 PROTO=ESMTP"),
        ({"PROTO": "QMQP"}, b"PROTO=[UNAVAILABLE]"),
        ({"HELO": "a b=c+d\r\nMAIL\0\xe9\u20ac"}, b"HELO=a+20b+3Dc+2Bd??MAIL???"),
        ({"LOGIN": "a" * 255}, b"LOGIN=" + b"a" * 255),
        ({"LOGIN": "a" * 256}, b"LOGIN=[UNAVAILABLE]"),
        ({"HELO": "[tempunavail]"}, b"HELO=[UNAVAILABLE]"),
        ({"IDENT": "1", "FOO": "2"}, b""),
        ({}, b""),
    ],
)
def test_writing(values: dict[str, str], argument: bytes) -> None:
    assert write_attributes(values, XCLIENT) == argument


def test_writing_what_is_offered() -> None:
    values = {"NAME": "mx", "ADDR": "192.0.2.1", "PROTO": "QMQP", "SOURCE": "LOCAL"}
    assert write_attributes(values, {"ADDR"}) == b"ADDR=192.0.2.1"
    assert write_attributes(values, {"PROTO", "SOURCE"}) == b"PROTO=QMQP SOURCE=LOCAL"
    assert write_attributes(values, {"FOO"}) == b""


_chosen = st.one_of(
    st.text(),
    st.text("[]UNAVAILABLE+=0D0A \r\n\0:"),
    st.sampled_from(["smtp", "LOCAL", "25", "fe80::1%1", "::ffff:192.0.2.1", "[UNAVAILABLE]", "IPV6:::1"]),
)


@pytest.mark.parametrize("attributes", [XCLIENT, XFORWARD])
@given(data=st.data())
def test_what_a_client_chose_never_breaks_a_line(attributes: tuple[str, ...], data: st.DataObject) -> None:
    values = data.draw(st.dictionaries(st.sampled_from(attributes), _chosen, min_size=1))
    argument = write_attributes(values, attributes)
    assert re.fullmatch(rb"[!-~]+(?: [!-~]+)*", argument)
    back = read_attributes(argument, attributes)
    assert list(back) == [name for name in attributes if name in values]
    assert write_attributes(back, attributes) == argument


@given(st.binary())
@example(b"NAME=+0D+0A250")
def test_reading_any_octets(argument: bytes) -> None:
    try:
        values = read_attributes(argument, XCLIENT)
    except AttributeProblem as problem:
        said = [str(problem)]
    else:
        said = list(values.values())
    assert all(re.fullmatch(r"[ -~]{0,255}", text) for text in said)
