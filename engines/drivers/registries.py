"""Own which registries images may come from: public addresses, and those the operator allows.

The engine pulls from inside; without this a job could make it talk to what only the inside can reach.
"""

from __future__ import annotations

import ipaddress
import socket

from shared.errors import JobError, Unavailable

PUBLIC_HUB = "docker.io"


def split_reference(reference: str) -> tuple[str, str]:
    """An image's name, and its tag (`latest` where none is given) or digest."""
    name, at, digest = reference.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, "latest"
    return head, digest if at else tag


def host_of(name: str) -> str:
    """The registry's `host[:port]`; the public hub's where the name has none."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first
    return PUBLIC_HUB


def check_host(host: str, allowed: tuple[str, ...]) -> None:
    """Refuse a registry at an address that is neither public nor allowed. Raises: JobError, Unavailable."""
    if host == PUBLIC_HUB:
        return
    bare = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    networks = [ipaddress.ip_network(text) for text in allowed]
    for address in addresses_of(bare.strip("[]")):
        if not is_public(address) and not any(address in network for network in networks):
            raise JobError(f"The image's registry {host} has an address that is not public; this node does not use it.")


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the internet at large has this address; one that wraps an IPv4 address is judged by that."""
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_global and not address.is_multicast


def addresses_of(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """All addresses of a host. Raises: JobError where there is no such host, Unavailable where nobody can tell now."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Unavailable(f"The address of the registry {host} cannot be looked up now.") from error
        raise JobError(f"The image's registry {host} is not known: its name may be misspelt.") from error
    except UnicodeError as error:
        raise JobError(f"The image's registry {host} is not a host's name.") from error
    return [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
