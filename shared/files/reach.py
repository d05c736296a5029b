"""Own which addresses may be reached on behalf of others: public ones, and what the operator allowed."""

from __future__ import annotations

import ipaddress
import socket

from shared.errors import Forbidden, JobError
from shared.files.base import Network

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_NEVER_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carriers' own; one cloud's metadata service too
        "168.63.129.16/32",  # a cloud's platform service at a public address
        "192.0.0.0/24",  # one more metadata service
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_NEVER_V6 = tuple(ipaddress.IPv6Network(network) for network in ("2001::/23", "3fff::/20"))


def is_public(address: IpAddress) -> bool:
    """Tell whether an address is anybody's on the internet; one that carries an IPv4 address counts as that one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NEVER_V4)
    inner = embedded_v4(address)
    if inner is not None:
        return is_public(inner)
    return address in _GLOBAL_V6 and address.is_global and not any(address in network for network in _NEVER_V6)


def embedded_v4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Give the IPv4 address that a mapped, NAT64 or 6to4 address leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[12:])
    if address in _SIX_TO_FOUR:
        return address.sixtofour
    return None


def is_allowed(address: IpAddress, allow: tuple[Network, ...]) -> bool:
    """Tell whether an address is public or in a network that the operator allowed."""
    inner = embedded_v4(address) if isinstance(address, ipaddress.IPv6Address) else None
    candidates = (address, inner) if inner is not None else (address,)
    return is_public(address) or any(one in network for one in candidates for network in allow)


def resolve(host: str, port: int, allow: tuple[Network, ...]) -> list[str]:
    """Look a host up once and give the addresses that may be connected to, in order.

    Raises: JobError for an unknown name, Forbidden where no address may be reached.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise JobError("the host's name cannot be resolved") from error
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    allowed = [text for text in texts if is_allowed(ipaddress.ip_address(text), allow)]
    if not allowed:
        raise Forbidden("the address is not public, and this node's operator has not allowed it (C2D_FETCH_ALLOW)")
    return allowed
