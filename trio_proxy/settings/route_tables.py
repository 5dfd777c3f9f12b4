"""Reads the ``[[route]]`` tables of a settings file: which servers a client, a login or an address gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from sansio_smtp.errors import MailboxError
from sansio_smtp.rules.lint.problems import Problem, did_you_mean
from sansio_smtp.rules.patterns import patterns_of
from sansio_smtp.wire.login_names import prepared
from trio_proxy.text.addresses import Address
from trio_proxy.text.destinations import Destination
from trio_proxy.text.masking import is_list, is_table

from .kinds import LISTENERS, NETWORKS, UPSTREAMS

__all__ = ["ROUTE", "RouteTable", "read_routes", "route_problems"]

ROUTE: Final = "route"
"""The name of the tables."""


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _not_empty(_: object, attribute: attrs.Attribute[Any], value: Sequence[Any]) -> None:
    if not value:
        raise ValueError(f"an empty list fits no client; leave {attribute.name} out, or name one")


def _are_patterns(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    _not_empty(_, attribute, value)
    try:
        patterns_of(tuple(value))
    except MailboxError as error:
        raise ValueError(str(error)) from None


def _are_logins(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    _not_empty(_, attribute, value)
    for name in value:
        if prepared(name) is None:
            raise ValueError(f"no client can log in as {name!r}")


def _are_hosts(_: object, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    _not_empty(_, attribute, value)
    for name in value:
        if not _HOST.fullmatch(name) or name.rpartition(".")[2].isdigit():
            raise ValueError(
                f"{name!r} is no name that a client asks for; write one such as mail.example.com, or "
                "*.example.com for all names with one label more"
            )


def _is_name(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not value.isprintable() or not value or set(value) & set(" :/@[],"):
        raise ValueError('a name is one word, such as "lists"')


_LABEL: Final = "[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_NETWORKS: Final[Any] = NETWORKS.toml
_TEXTS: Final[Any] = str | list[str]


def _condition(kind: Any, check: Callable[[Any, attrs.Attribute[Any], Any], None]) -> Any:
    optional = attrs.converters.optional(_texts)
    return attrs.field(
        type=kind, default=None, converter=optional, validator=attrs.validators.optional(check)
    )


_TABLE: Final[type[Any]] = attrs.make_class(
    "_TABLE",
    {
        "upstream": attrs.field(type=UPSTREAMS.toml),
        "name": attrs.field(type=str, default=None, validator=attrs.validators.optional(_is_name)),
        "listen": attrs.field(type=LISTENERS.toml, default=None),
        "client": _condition(_NETWORKS, _not_empty),
        "tls_name": _condition(_TEXTS, _are_hosts),
        "login": _condition(_TEXTS, _are_logins),
        "sender": _condition(_TEXTS, _are_patterns),
        "recipient": _condition(_TEXTS, _are_patterns),
    },
    frozen=True,
)
"""A table, as written in the file."""


@attrs.frozen(kw_only=True)
class RouteTable:
    """One route. It fits if each condition holds for one of its values. An empty condition always holds."""

    name: str
    """The name for `Redirect` in rules; by default ``"route-2"`` for the second table."""
    upstream: tuple[Destination, ...]
    listen: tuple[Address, ...] = ()
    client: tuple[str, ...] = ()
    """Networks."""
    tls_name: tuple[str, ...] = ()
    """Names that a client asks for in its TLS handshake (SNI); the first label may be ``*``."""
    login: tuple[str, ...] = ()
    sender: tuple[str, ...] = ()
    """Patterns, like those of ``@on``."""
    recipient: tuple[str, ...] = ()
    file: str = attrs.field(default="", eq=False)
    line: int = attrs.field(default=0, eq=False)

    @property
    def is_open(self) -> bool:
        """True if it fits every client and message, so that no later route is ever used."""
        conditions = (self.listen, self.client, self.tls_name, self.login, self.sender, self.recipient)
        return not any(conditions)

    def problem(self, text: str) -> Problem:
        """A mistake in this table."""
        return Problem(self.file, self.line, f"[[{ROUTE}]] {text}")


def read_routes(
    tables: object,
    lines: Mapping[tuple[str, ...], int],
    file: str,
    other_place: Callable[[str], str],
) -> tuple[tuple[RouteTable, ...], list[Problem]]:
    """Returns the routes that could be read, and all mistakes. ``lines``: see `lines_of`; ``other_place``:
    see `structure`."""
    first = lines.get((ROUTE,), 0)
    if not is_list(tables) or not all(map(is_table, tables)):
        return (), [Problem(file, first, f"routes are tables; write [[{ROUTE}]], with two brackets")]
    from .tables import structure  # imported late: cattrs takes 1 MB, and most services have no routes

    routes: list[RouteTable] = []
    problems: list[Problem] = []
    for number, table in enumerate(tables, 1):
        prefix = (ROUTE, str(number - 1))
        here = {".".join(path[2:]): line for path, line in lines.items() if path[:2] == prefix}
        made, mistakes = structure(
            _TABLE, table, file=file, table_name=f"[{ROUTE}]", lines=here, other_place=other_place
        )
        problems += mistakes
        if made is None:
            continue
        try:
            routes.append(_route(made, number, file, here.get("", 0)))
        except ValueError as error:
            problems.append(Problem(file, here.get("", 0), f"[[{ROUTE}]] {error}"))
    return tuple(routes), [*problems, *_useless(routes)]


def _route(made: Any, number: int, file: str, line: int) -> RouteTable:
    folder = Path(file).parent
    try:
        upstream = UPSTREAMS.from_toml(made.upstream, folder)
    except ValueError as error:
        raise ValueError(f"upstream: {error}") from None
    return RouteTable(
        name=made.name or f"{ROUTE}-{number}",
        upstream=upstream,
        listen=LISTENERS.from_toml(made.listen, folder) if made.listen is not None else (),
        **{key: getattr(made, key) or () for key in ("client", "tls_name", "login", "sender", "recipient")},
        file=file,
        line=line,
    )


def _useless(routes: Sequence[RouteTable]) -> Iterator[Problem]:
    """Names that two routes have, and routes that are never used."""
    named: dict[str, RouteTable] = {}
    for route in routes:
        if route.name in named:
            yield route.problem(f'name = "{route.name}": the route in line {named[route.name].line} has it')
        named.setdefault(route.name, route)
    for index, route in enumerate(routes[:-1]):
        if route.is_open:
            after = routes[index + 1]
            yield after.problem(
                f"is never used: the route in line {route.line} before it fits everything. Give that a "
                "condition, or put it last; if no route fits, [server] upstream is used"
            )


def route_problems(
    routes: Iterable[RouteTable], listeners: Sequence[Address], *, has_certificate: bool = True
) -> Iterator[Problem]:
    """Routes for a listener that does not exist, and routes by TLS name if no client can use TLS."""
    known = {each.endpoint for each in listeners}
    texts = [str(each) for each in listeners]
    for route in routes:
        for address in route.listen:
            if address.endpoint not in known:
                hint = did_you_mean(str(address), texts) or f"; there are: {', '.join(texts)}"
                yield route.problem(f'listen = "{address}": nothing listens there{hint}')
        if route.tls_name and not has_certificate:
            yield route.problem("tls_name: no client can begin TLS here; name a certificate with tls_cert")
