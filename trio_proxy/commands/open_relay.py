"""Detects a possible open relay: strangers can reach this service, and the server trusts its address.

To the upstream server every client comes from the address of the proxy. Most servers send mail of clients on
their own machine or network to anywhere (Postfix's ``mynetworks``), so all who reach the proxy may relay::

    a listener that is not loopback  ──▶  proxy  ──▶  an upstream server on this machine or in a private
                                                      network, which takes the proxy for a trusted client

Rules that allow only certain recipients prevent that. A server that is told who the client is, in a PROXY
header or with XCLIENT, prevents it too: it judges that client. XFORWARD is only for the server's log, and
``auto`` does not guarantee XCLIENT.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from trio_proxy.rulebook.load import LoadedRules
from trio_proxy.settings.options import Options
from trio_proxy.settings.route_tables import RouteTable
from trio_proxy.text.addresses import Address

__all__ = ["exposed_listeners", "is_on_this_machine", "is_trusting", "open_relay_warning", "route_warning"]

_REMEDY: Final = (
    "Tell the server who the client is (--send-client xclient, proxy or proxy2), or take the proxy's address "
    "off the server's list of clients that may relay (in Postfix mynetworks), or limit recipients with "
    "ready:allow_list, or listen on 127.0.0.1. If that is done, say open_relay_warning = false in [server]"
)
_SAYS_WHO: Final = ("proxy", "proxy2", "xclient")
"""With these values of ``--send-client`` the server judges the client's own address, or gets no mail."""


def open_relay_warning(options: Options, rules: LoadedRules | None) -> str:
    """Returns the warning to print before the service starts; empty if it cannot be an open relay in this
    way, or if the warning is turned off. ``rules`` are None if they could not be loaded. Looks up the names
    of hosts, so it blocks."""
    if rules is not None and rules.limit_recipients:
        return ""
    if text := _login_for_all(options, rules):
        return text
    exposed = _listeners_in_doubt(options)
    for server in options.upstream if exposed else ():
        if where := is_trusting(server.address):
            return _warning(exposed, f"the upstream server {server.address}", where)
    for route in options.routes if exposed else ():
        reached = _listeners_of(route, exposed)
        for server in route.upstream if reached else ():
            if where := is_trusting(server.address):
                return _warning(reached, f"the server {server.address} of the route {route.name}", where)
    return ""


def _listeners_of(route: RouteTable, exposed: list[Address]) -> list[Address]:
    """The listeners from which any client can reach the servers of this route, with mail to anybody."""
    if route.client or route.login or route.recipient:
        return []
    named = [each.endpoint for each in route.listen]
    return [each for each in exposed if not named or each.endpoint in named]


def _login_for_all(options: Options, rules: LoadedRules | None) -> str:
    """Returns the warning if the proxy logs in for strangers; empty if it does not, or if a rule checks who
    they are. It makes no difference here what the server is told about the client."""
    checked = rules is None or rules.ruleset.by_phase["login"]
    if options.login_mode != "inject" or checked or not options.open_relay_warning:
        return ""
    listeners = ", ".join(map(str, exposed_listeners(options)))
    if not listeners:
        return ""
    servers = " or ".join(str(each.address) for each in options.upstream)
    return (
        f"this may be an open relay: {listeners} can be reached from elsewhere, and the proxy logs in to "
        f"{servers} as {options.upstream_user} for all who come. Let them log in, with a rule "
        "login, or limit recipients with ready:allow_list, or listen on 127.0.0.1. If only the right ones "
        "can come, say open_relay_warning = false in [server]"
    )


def route_warning(options: Options, upstream: Address) -> str:
    """The same for a server to which a rule redirects clients."""
    exposed = _listeners_in_doubt(options)
    where = is_trusting(upstream) if exposed else ""
    return _warning(exposed, f"the server {upstream}, to which a rule redirects,", where) if where else ""


def _warning(exposed: list[Address], server: str, where: str) -> str:
    listeners = ", ".join(map(str, exposed))
    return (
        f"this may be an open relay: {listeners} can be reached from elsewhere, and {server} is {where}, "
        f"where it takes every client for this machine. {_REMEDY}"
    )


def _listeners_in_doubt(options: Options) -> list[Address]:
    """The listeners whose clients a server may trust wrongly; empty if the warning is turned off."""
    silent = not options.open_relay_warning or options.send_client in _SAYS_WHO
    return [] if silent else exposed_listeners(options)


def exposed_listeners(options: Options) -> list[Address]:
    """The listeners that clients on other machines can reach: by themselves, or through a proxy on this
    machine that says who they are."""
    if options.accept_proxy or options.accept_xclient:
        return list(options.listen)
    return [each for each in options.listen if _is_exposed(each)]


def _is_exposed(address: Address) -> bool:
    if address.path is not None:
        return False
    return not address.host or not all(each.is_loopback for each in _resolved(address.host))


def is_on_this_machine(server: Address) -> bool:
    """Returns True if a server is known to run on this machine; False if it does not, or if that is not
    known."""
    return server.is_local or any(map(_is_here, _resolved(server.host)))


def is_trusting(server: Address) -> str:
    """Says where a server is that may trust the proxy's address; empty if it is elsewhere, or if that is not
    known."""
    if server.is_local:
        return "on this machine"
    found = _resolved(server.host)
    if any(map(_is_here, found)):
        return "on this machine"
    return "in a private network" if any(each.is_private or each.is_link_local for each in found) else ""


IP = ipaddress.IPv4Address | ipaddress.IPv6Address


def _resolved(host: str) -> list[IP]:
    """The addresses of a host; none if they cannot be found."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = {str(where[0]).partition("%")[0] for *_, where in found}
    return [_plain(ipaddress.ip_address(text)) for text in sorted(texts)]


def _plain(ip: IP) -> IP:
    """The IPv4 address in an IPv4-mapped IPv6 address; other addresses unchanged."""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return ip if mapped is None else mapped


def _is_here(ip: IP) -> bool:
    return ip.is_loopback or ip.is_unspecified or _is_ours(ip)


def _is_ours(ip: IP) -> bool:
    """Returns True if this machine has the address."""
    with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
        return True
