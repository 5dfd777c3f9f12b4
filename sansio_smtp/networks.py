"""`Networks`: a set of clients by address, such as those that may name the real client."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import attrs

from .arguments import wrong_type
from .client_info import ClientInfo

__all__ = ["NO_NETWORKS", "Networks"]

_UNIX: Final = "unix"


def _are_networks(_: object, __: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if type(value) is not tuple or not all(isinstance(each, IPv4Network | IPv6Network) for each in value):
        raise TypeError(
            'Networks takes a tuple of networks; Networks.parse takes texts, such as ["192.0.2.0/24"]'
        )


@attrs.frozen
class Networks:
    """IP networks, and unix sockets, made with `parse`. ``client in networks`` is True for a client of one of
    them."""

    networks: tuple[IPv4Network | IPv6Network, ...] = attrs.field(default=(), validator=_are_networks)
    unix: bool = False
    """True if clients on unix sockets are included."""

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Networks:
        """Reads ``"192.0.2.0/24"``, ``"2001:db8::/32"``, ``"192.0.2.1"`` and ``"unix"``. Raises ValueError
        with a text that says what is wrong and what would be right."""
        if isinstance(texts, str):
            raise wrong_type("Networks.parse takes a list of networks", texts, f'write ["{texts}"]')
        given = [_text(text).strip() for text in texts]
        found = [_network(text) for text in given if text != _UNIX]
        return cls(tuple(found), _UNIX in given)

    def __contains__(self, client: object) -> bool:
        if not isinstance(client, ClientInfo):
            raise wrong_type(
                "a client in networks is a ClientInfo", client, 'such as ClientInfo(ip="192.0.2.1")'
            )
        if client.unix and not client.ip:
            return self.unix
        if not self.networks:
            return False  # avoids reading the address, the slowest step here
        try:
            address = ip_address(client.ip)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.networks)

    def __bool__(self) -> bool:
        return bool(self.networks) or self.unix

    def __str__(self) -> str:
        return " ".join([*map(str, self.networks), *([_UNIX] if self.unix else [])])


def _text(network: object) -> str:
    if not isinstance(network, str):
        raise wrong_type("a network is a str", network, 'such as "192.0.2.0/24"')
    return network


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        hint = "write 192.0.2.0/24, 2001:db8::/32, an address, or unix"
        raise ValueError(f"{text!r} is no network; {hint}") from None
    raise ValueError(f"{text!r} has bits set after its prefix; write {meant}")


NO_NETWORKS: Final = Networks()
