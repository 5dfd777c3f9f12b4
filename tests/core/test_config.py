from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import attrs
import pytest
from each import each

from sansio_smtp.config import BareNewline, ClientTls, Config, Nul, SendClient, Tap, UpstreamTls
from sansio_smtp.networks import Networks

SIZES = [name for name in attrs.fields_dict(Config) if name.startswith(("max_", "read_"))]


def test_defaults_are_transparent() -> None:
    """What is not asked for changes nothing, but bare newlines, which are never passed on."""
    config = Config()
    assert (config.bare_newline, config.nul, config.tap) == (BareNewline.NORMALIZE, Nul.PASS, Tap.OFF)
    assert not config.trace
    assert config.max_message_size is None
    assert config.relay_keywords == frozenset()


def test_an_auth_line_fits() -> None:
    """RFC 4954 §4: 12288 octets with the CRLF."""
    assert Config().max_line >= 12_288 - 2


@each("name", SIZES)
def test_sizes_are_positive(name: str) -> None:
    values: list[int] = [0, -1]
    for value in values:
        with pytest.raises(ValueError, match=name):
            Config(**{name: value})  # type: ignore[arg-type]
    assert getattr(Config(**{name: 1}), name) == 1  # type: ignore[arg-type]


def test_only_the_message_size_may_be_unlimited() -> None:
    assert Config(max_message_size=None).max_message_size is None
    assert [name for name in SIZES if getattr(Config(), name) is None] == ["max_message_size"]


def test_settings_are_named_and_frozen() -> None:
    with pytest.raises(TypeError):
        Config(BareNewline.REJECT)  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Config().trace = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ({"bare_newline": "reject"}, BareNewline.REJECT),
        ({"nul": "refuse"}, Nul.REFUSE),
        ({"tap": "lines"}, Tap.LINES),
        ({"tap": Tap.CHUNKS}, Tap.CHUNKS),
    ],
)
def test_a_choice_may_be_given_by_its_value(given: dict[str, Any], member: object) -> None:
    """A text that is none of the members must not mean the default: what it asks for would be off."""
    (name,) = given
    assert getattr(Config(**given), name) is member


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"bare_newline": "rejekt"}, 'did you mean "reject"'),
        ({"nul": "REFUSE"}, 'did you mean "refuse"'),
        ({"tap": True}, '^tap: this is "off", "chunks" or "lines", not True$'),
        ({"relay_keywords": "x-fine"}, 'relay_keywords: this is a set of names: write {"X-FINE"}'),
    ],
)
def test_a_wrong_choice_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Config(**given)


def test_case_does_not_matter_in_keywords() -> None:
    assert Config(relay_keywords=frozenset({"x-fine"})).relay_keywords == {"X-FINE"}


@pytest.mark.parametrize("level", UpstreamTls)
def test_levels_that_allow_no_plain_text(level: UpstreamTls) -> None:
    assert level.required is (level in (UpstreamTls.ENCRYPT, UpstreamTls.VERIFY))


@pytest.mark.parametrize("send", SendClient)
def test_ways_to_name_the_client_before_the_dialogue(send: SendClient) -> None:
    assert send.in_header is (send in (SendClient.PROXY, SendClient.PROXY2))


def test_choices_of_tls_and_identity_may_be_words() -> None:
    config = Config(tls="may", upstream_tls="verify", send_client="auto")  # type: ignore[arg-type]
    assert (config.tls, config.upstream_tls, config.send_client) == (
        ClientTls.MAY,
        UpstreamTls.VERIFY,
        SendClient.AUTO,
    )


def test_a_number_of_servers_is_not_negative() -> None:
    assert Config(failover=0).failover == 0
    with pytest.raises(ValueError, match="failover must be 0 or more, not -1"):
        Config(failover=-1)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"max_line": "5"}, "max_line is a number such as 4096, not '5'"),
        ({"max_line": None}, "max_line is a number such as 4096, not None"),
        ({"max_message_size": True}, "max_message_size is a number such as 4096, not True"),
        ({"headroom": -1}, "headroom must be 0 or more, not -1"),
        ({"trace": "no"}, "trace is True or False, not 'no'"),
        (
            {"accept_xclient": "10.0.0.0/8"},
            'accept_xclient: this is a list of networks: write ."10.0.0.0/8".',
        ),
        ({"accept_xforward": 10}, "accept_xforward: this is a list of networks such as .*, not 10"),
        ({"accept_xforward": ["10.0.0.1/8"]}, "bits set after its prefix"),
        ({"ehlo_name": ""}, "ehlo_name is a name such as \"proxy.example.com\", not ''"),
        ({"ehlo_name": None}, "ehlo_name is a name"),
        ({"ehlo_name": "a\r\nQUIT"}, "ehlo_name is a name"),
        ({"relay_keywords": None}, 'relay_keywords: this is a set of names such as {"X-FINE"}, not None'),
        ({"relay_keywords": {b"X-A"}}, "relay_keywords: this is a set of names"),
    ],
)
def test_what_a_setting_cannot_be(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Config(**given)


def test_networks_may_be_given_as_texts() -> None:
    networks = Networks.parse(["10.0.0.0/8", "unix"])
    assert Config(accept_xclient=["10.0.0.0/8", "unix"]) == Config(accept_xclient=networks)
    assert Config(accept_xclient=iter(["10.0.0.0/8", "unix"])) == Config(accept_xclient=networks)
    assert Config(relay_keywords=iter(["x-a"])).relay_keywords == {"X-A"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_mesage_size", "Config has no setting 'max_mesage_size'; did you mean \"max_message_size\"?"),
        ("starttls", "Config has no setting 'starttls'; did you mean \"tls\"?"),
        ("dkim", "Config has no setting 'dkim'$"),
        ("timeout", "Config has no setting 'timeout'; addresses, timeouts and certificates are for the code"),
    ],
)
def test_a_setting_that_there_is_not(name: str, text: str) -> None:
    with pytest.raises(TypeError, match=re.sub(r"[?]", "[?]", text)):
        Config(**{name: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("require_starttls", "tls"),
        ("auth_require_tls", "auth_without_tls"),
        ("data_size_limit", "max_message_size"),
        ("command_size_limit", "max_line"),
        ("lmtp", "client_dialect"),
        ("hostname", "ehlo_name"),
        ("xclient", "accept_xclient"),
        ("xforward", "accept_xforward"),
        ("proxy_protocol", "send_client"),
    ],
)
def test_names_of_other_programs_lead_to_settings(name: str, setting: str) -> None:
    with pytest.raises(TypeError, match=f'did you mean "{setting}"'):
        Config(**{name: 1})  # type: ignore[arg-type]


def test_settings_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="Config takes settings by their names"):
        Config("reject")  # type: ignore[misc]


def test_a_config_can_be_copied_changed_and_pickled() -> None:
    config = Config(tls="may")  # type: ignore[arg-type]
    assert copy.copy(config) == pickle.loads(pickle.dumps(config)) == config
    assert attrs.evolve(config, max_line=5).max_line == 5
