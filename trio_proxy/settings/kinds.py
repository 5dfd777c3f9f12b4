"""Kinds of settings: how a value is read from a text and from TOML, and how it is shown.

A text comes from the command line or from the environment. A text and a TOML value that are wrong get the
same explanation. ``--help`` imports this module, so it needs nothing but the standard library and attrs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import attrs

from trio_proxy.limits.rates import A_RATE, NO_RATE, Rate
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination, distinct
from trio_proxy.text.units import A_DURATION, A_SIZE, Reads, parse_duration, size_text
from trio_proxy.text.urls import A_SECRET_URL

from .credentials import file_named

__all__ = [
    "ADMIN",
    "COUNT",
    "DIRECTORY",
    "DIRECTORY_OR_NONE",
    "DURATION",
    "FILE",
    "FILES",
    "FLAG",
    "HOST_NAME",
    "LISTENERS",
    "NETWORKS",
    "RATE",
    "RULE_FILES",
    "SECRET_URL",
    "SIZE",
    "SOME_SECONDS",
    "SOME_TIME",
    "SWITCH",
    "TEXT",
    "UPSTREAMS",
    "WORKERS",
    "Kind",
    "number_of",
    "one_of",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Shape = Literal["value", "list", "flag", "switch", "count"]


def _as_it_is(value: Any, folder: Path) -> Any:
    return value


def _last(values: Sequence[Any]) -> Any:
    return values[-1]


@attrs.frozen(kw_only=True)
class Kind(Generic[T_co]):
    """What the values of a setting are."""

    toml: Any
    """The annotation that `settings.tables` checks a TOML value by."""
    shape: Shape = "value"
    """How the option is given: ``value`` once; ``list`` repeatedly, and the items of all add up; ``flag``
    without a value; ``switch`` as ``--x`` or ``--no-x``; ``count`` repeatedly without a value."""
    read: Callable[[str], Any] = str
    """Makes a value of a text; for the shape ``list`` a tuple of items. Raises ValueError with the text that
    the user is to read. Not used for flags, switches and counts, which have no text."""
    from_toml: Callable[[Any, Path], Any] = _as_it_is
    """Makes the value that ``read`` would give of a TOML value that fits; the path is the file's folder.
    Raises ValueError as ``read`` does."""
    combine: Callable[[Sequence[Any]], T_co] = _last
    """Makes the setting of what the settings file, then the command line or the environment say. There is at
    least one value; the last is the strongest."""
    show: Callable[[Any], str] = str
    """A default for the help and the documentation, as it could be given."""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    """All the texts that there are; empty: there are others."""
    completes: Literal["", "file", "directory"] = ""
    """What a shell may complete."""


def one_of(*choices: T) -> Kind[T]:
    """One of these words."""
    words = tuple(str(choice) for choice in choices)
    *most, last = (f'"{word}"' for word in words)
    expected = f"{', '.join(most)} or {last}"

    def parse(value: Any) -> Any:
        if isinstance(value, str) and value in words:
            return value
        # Only now: the library takes longer to import than --help may take.
        from sansio_smtp.rules.lint.problems import did_you_mean

        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        raise ValueError(f"expected {expected}{hint}")

    return Kind(
        toml=Annotated[str, Reads(expected, parse)],
        read=parse,
        metavar=f"[{'|'.join(words)}]",
        choices=words,
    )


def _whole_number(smallest: int, what: str, largest: int = 2**31 - 1) -> Reads:
    most = "or more" if largest == 2**31 - 1 else f"to {largest}"
    expected = f"a whole number of {what}, {smallest} {most}"

    def parse(value: Any) -> int:
        if type(value) is not int or not smallest <= value <= largest:
            raise ValueError(f"expected {expected}")
        return value

    return Reads(expected, parse)


def number_of(what: str, *, smallest: int = 1, largest: int = 2**31 - 1) -> Kind[int]:
    """A whole number of something; ``what`` is a plural."""
    reads = _whole_number(smallest, what, largest)

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) <= 10
        return int(reads.parse(int(text) if is_number else None))

    return Kind(toml=Annotated[int, reads], read=read, metavar="N")


def size_from(smallest: int) -> Kind[int]:
    """A number of octets, so many or more."""

    def parse(value: Any) -> int:
        size: int = A_SIZE.parse(value)
        if size < smallest:
            raise ValueError(f"expected {smallest} bytes or more")
        return size

    reads = Reads(A_SIZE.expected, parse)
    return Kind(toml=Annotated[int, reads], read=parse, show=size_text, metavar="SIZE")


def _workers(value: Any) -> int | str:
    if value == "auto" or (type(value) is int and 1 <= value <= _MOST_WORKERS):
        return value  # type: ignore[no-any-return]  # as the line above says
    raise ValueError(f"expected {_SOME_WORKERS}")


def _read_workers(text: str) -> int | str:
    is_number = text.isascii() and text.isdecimal() and len(text) <= 10
    return _workers(int(text) if is_number else text)


def _some_seconds(value: Any) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 10**9:
        raise ValueError(f"expected {SOME_SECONDS.expected}")
    return seconds


def _seconds_text(seconds: float) -> str:
    return f"{seconds:g}s"


_LAST_PORT: Final = 65_535


def _address(expected: str) -> Reads:
    def parse(value: Any) -> Address:
        if type(value) is int and 0 <= value <= _LAST_PORT:
            raise ValueError(f'a port alone; write "127.0.0.1:{value}"')
        if not isinstance(value, str):
            raise ValueError(f"expected {expected}")  # noqa: TRY004 - Reads asks for it
        return Address.parse(value)

    return Reads(expected, parse)


def _admin(value: Any) -> Address:
    """People paste the URL of a page."""
    text = value.removeprefix("http://").removesuffix("/") if isinstance(value, str) else value
    address: Address = _A_PAGE_ADDRESS.parse(text)
    if address.tls or address.lmtp:
        raise ValueError(
            f"{value!r}: the pages are served as plain HTTP; expected {_A_PAGE_ADDRESS.expected}"
        )
    return address


def _directory(text: str) -> Path:
    path = Path(text)
    if path.is_file():
        raise ValueError("is a file, not a directory")
    return path


def _items(values: Sequence[Any]) -> str:
    return " ".join(str(value) for value in values)


def _listeners(value: Address | list[Address], folder: Path) -> tuple[Address, ...]:
    if value == []:
        raise ValueError("expected an address")
    addresses = value if isinstance(value, list) else [value]
    return tuple(address.below(folder) for address in addresses)


def _destination(value: Any) -> Destination:
    if not isinstance(value, str):
        raise ValueError(f"expected {_A_DESTINATION}")  # noqa: TRY004 - Reads asks for it
    return Destination.parse(value)


def _destinations(value: Destination | list[Destination], folder: Path) -> tuple[Destination, ...]:
    return distinct(each.below(folder) for each in (value if isinstance(value, list) else [value]))


def _files(value: Path | list[Path], folder: Path) -> tuple[Path, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _host_name(value: Any) -> str:
    if not (isinstance(value, str) and value.isprintable() and value and not set(value) & set(" :/[]@,")):
        raise ValueError(f"expected {_A_HOST_NAME}")
    return value


def _network(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected {_A_NETWORK}")  # noqa: TRY004 - Reads asks for it
    # Only now: the library takes longer to import than --help may take.
    from sansio_smtp.networks import Networks

    Networks.parse([value])
    return value


def _networks(value: str | list[str], folder: Path) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _rule_files(value: str | list[str], folder: Path) -> tuple[str, ...]:
    specs = [value] if isinstance(value, str) else value
    return tuple(spec if spec.startswith("ready:") else str(folder / spec) for spec in specs)


def _text(value: Any) -> str:
    if not (isinstance(value, str) and value.strip() and value.isprintable()):
        raise ValueError(f"expected {_A_TEXT}")
    return value


_MOST_WORKERS: Final = 1_000
_SOME_WORKERS: Final = f'a whole number of processes, 1 to {_MOST_WORKERS}, or "auto"'
_A_TEXT: Final = "a text in quotes, of one line and not empty"
_A_HOST_NAME: Final = 'a host name such as "mx.example.net"'
_A_NETWORK: Final = 'a network such as "192.0.2.0/24", an address, or "unix"'
SOME_SECONDS: Final = Reads('a number of seconds above 0 or a time such as "30s"', _some_seconds)
_LISTENER: Final = _address('an address such as "127.0.0.1:2525"')
_A_DESTINATION: Final = 'an address such as "mail.example.net:25"'
_SERVER: Final[Any] = Annotated[Destination, Reads(_A_DESTINATION, _destination)]

_A_PAGE_ADDRESS: Final = _address('an address such as "127.0.0.1:9025"')
ADMIN: Final[Kind[Address]] = Kind(
    toml=Annotated[Address, Reads(_A_PAGE_ADDRESS.expected, _admin)],
    read=_admin,
    from_toml=lambda value, folder: value.below(folder),
    metavar="ADDRESS",
)
FLAG: Final[Kind[bool]] = Kind(toml=bool, shape="flag")
SWITCH: Final[Kind[bool]] = Kind(toml=bool, shape="switch")
COUNT: Final[Kind[int]] = Kind(toml=Annotated[int, _whole_number(0, "v's as in -vv")], shape="count")
SIZE: Final[Kind[int]] = Kind(toml=Annotated[int, A_SIZE], read=A_SIZE.parse, show=size_text, metavar="SIZE")
WORKERS: Final[Kind[Any]] = Kind(
    toml=Annotated[int | str, Reads(_SOME_WORKERS, _workers)], read=_read_workers, metavar="N|auto"
)
DURATION: Final[Kind[float]] = Kind(
    toml=Annotated[float, A_DURATION], read=A_DURATION.parse, show=_seconds_text, metavar="SECONDS"
)
SOME_TIME: Final[Kind[float]] = Kind(
    toml=Annotated[float, SOME_SECONDS], read=SOME_SECONDS.parse, show=_seconds_text, metavar="SECONDS"
)
"""A duration that is not 0."""
RATE: Final[Kind[Rate | None]] = Kind(
    toml=Annotated[Any, A_RATE],
    read=A_RATE.parse,
    show=lambda rate: NO_RATE if rate is None else str(rate),
    metavar="N/SECONDS",
)
FILE: Final[Kind[Path]] = Kind(toml=Path, read=file_named, metavar="FILE", completes="file")
FILES: Final[Kind[tuple[Path, ...]]] = Kind(
    toml=Path | list[Path],
    shape="list",
    read=lambda text: (file_named(text),),
    from_toml=_files,
    show=_items,
    metavar="FILE",
    completes="file",
)
DIRECTORY: Final[Kind[Path]] = Kind(toml=Path, read=_directory, metavar="DIR", completes="directory")
DIRECTORY_OR_NONE: Final[Kind[Path | None]] = Kind(
    toml=Literal[""] | Path,
    read=lambda text: _directory(text) if text else None,
    from_toml=lambda value, folder: value or None,
    metavar="DIR",
    completes="directory",
)
"""An empty text means none."""
LISTENERS: Final[Kind[tuple[Address, ...]]] = Kind(
    toml=Annotated[Address, _LISTENER] | list[Annotated[Address, _LISTENER]],
    shape="list",
    read=lambda text: (_LISTENER.parse(text),),
    from_toml=_listeners,
    show=_items,
    metavar="ADDRESS",
)
UPSTREAMS: Final[Kind[tuple[Destination, ...]]] = Kind(
    toml=_SERVER | list[_SERVER],
    shape="list",
    read=lambda text: (Destination.parse(text),),
    from_toml=_destinations,
    show=_items,
    metavar="ADDRESS",
)
HOST_NAME: Final[Kind[str]] = Kind(
    toml=Annotated[str, Reads(_A_HOST_NAME, _host_name)], read=_host_name, metavar="NAME"
)
TEXT: Final[Kind[str]] = Kind(toml=Annotated[str, Reads(_A_TEXT, _text)], read=_text, metavar="TEXT")
SECRET_URL: Final[Kind[str]] = Kind(toml=Annotated[str, A_SECRET_URL], read=A_SECRET_URL.parse, metavar="URL")
_NETWORK: Final[Any] = Annotated[str, Reads(_A_NETWORK, _network)]
NETWORKS: Final[Kind[tuple[str, ...]]] = Kind(
    toml=_NETWORK | list[_NETWORK],
    shape="list",
    read=lambda text: (_network(text),),
    from_toml=_networks,
    show=_items,
    metavar="NETWORK",
)
"""Texts of which `sansio_smtp.Networks.parse` makes networks."""
RULE_FILES: Final[Kind[tuple[str, ...]]] = Kind(
    toml=str | list[str],
    shape="list",
    read=lambda text: (text,),
    from_toml=_rule_files,
    show=_items,
    metavar="FILE.py",
    completes="file",
)
