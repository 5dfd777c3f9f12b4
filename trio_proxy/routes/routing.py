"""The rule that turns ``[[route]]`` tables into `Redirect`: the first route that fits names the server. A
route is checked when all values of its conditions are known, and again at each later point::

    listen, client          when the client connects, and when XCLIENT has said who it is
    tls_name                the same if TLS begins with the first octet; at MAIL if it begins with STARTTLS
    login, sender           at MAIL
    recipient               at RCPT

The rule is asked after all others, so a `Redirect` of another rule wins.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from sansio_smtp.networks import Networks
from sansio_smtp.rules import (
    Connection,
    ConnectVerdict,
    MailVerdict,
    RcptVerdict,
    Recipient,
    Redirect,
    Sender,
    Transaction,
)
from sansio_smtp.rules.loading import rules_of
from sansio_smtp.rules.patterns import AddressPatterns, patterns_of
from sansio_smtp.rules.ruleset import Rule, RuleSet
from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.settings.route_tables import RouteTable

__all__ = ["Routing", "with_routes"]


def with_routes(loaded: LoadedRules, tables: Iterable[RouteTable]) -> LoadedRules:
    """The same rules, and after them those of the routes."""
    return attrs.evolve(loaded, ruleset=RuleSet((*loaded.ruleset.rules, *Routing(tables).rules)))


@attrs.frozen
class _Route:
    """A route, ready to be compared."""

    verdict: Redirect
    listen: frozenset[str]
    client: Networks | None
    tls_name: frozenset[str]
    login: tuple[str, ...]
    sender: AddressPatterns | None
    recipient: AddressPatterns | None

    @classmethod
    def of(cls, table: RouteTable) -> _Route:
        return cls(
            Redirect(table.name),
            frozenset(str(address) for address in table.listen),
            Networks.parse(table.client) if table.client else None,
            frozenset(name.lower() for name in table.tls_name),
            table.login,
            patterns_of(table.sender) if table.sender else None,
            patterns_of(table.recipient) if table.recipient else None,
        )

    @property
    def is_late(self) -> bool:
        """True if it cannot fit when the client connects."""
        return bool(self.login) or self.sender is not None or self.recipient is not None

    def fits(self, conn: Connection, sender: str | None, recipient: str | None) -> bool:
        """``sender`` and ``recipient`` are None where they are not known yet."""
        return (
            (not self.listen or conn.client.listener in self.listen)
            and (self.client is None or conn.client in self.client)
            and (not self.tls_name or (conn.tls is not None and self._is_asked(conn.tls.server_name)))
            and (not self.login or any(map(conn.is_login, self.login)))
            and (self.sender is None or (sender is not None and self.sender.fits(sender)))
            and (self.recipient is None or (recipient is not None and self.recipient.fits(recipient)))
        )

    def _is_asked(self, name: str) -> bool:
        """Returns True if the client asks for one of the names; ``*`` matches the first label."""
        _, _, parent = name.partition(".")
        return bool(name) and not self.tls_name.isdisjoint((name, f"*.{parent}"))


class Routing:
    """The rule."""

    def __init__(self, tables: Iterable[RouteTable]) -> None:
        self._routes = tuple(_Route.of(table) for table in tables)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules for the phases in which a route may begin to fit."""
        routes = self._routes
        phases: list[object] = [self.connect] if any(not route.is_late for route in routes) else []
        if any(route.tls_name or route.login or route.sender for route in routes):
            phases.append(self.mail)
        if any(route.recipient for route in routes):
            phases.append(self.rcpt)
        return tuple(rules_of(phases).rules)

    def connect(self, conn: Connection) -> ConnectVerdict:
        return self._first(conn)

    def mail(self, tx: Transaction, sender: Sender) -> MailVerdict:
        return self._first(tx.conn, sender.address)

    def rcpt(self, tx: Transaction, to: Recipient) -> RcptVerdict:
        return self._first(tx.conn, "" if tx.mail_from is None else tx.mail_from.address, to.address)

    def _first(
        self, conn: Connection, sender: str | None = None, recipient: str | None = None
    ) -> Redirect | None:
        fitting = (route.verdict for route in self._routes if route.fits(conn, sender, recipient))
        return next(fitting, None)
