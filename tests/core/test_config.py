from __future__ import annotations

import attrs
import pytest

from sansio_smtp.config import BareNewline, Config, Nul, Tap

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


@pytest.mark.parametrize("name", SIZES)
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
