"""Own which registries images may come from: public addresses, and those the operator allows.

The engine pulls from inside; without this a job could make it talk to what only the inside can reach.
"""

from __future__ import annotations

import ipaddress
import socket

from shared.errors import JobError, Unavailable
from shared.files.base import Network
from shared.files.reach import IpAddress, is_allowed

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


def check_host(host: str, allowed: tuple[Network, ...]) -> None:
    """Refuse a registry at an address that is neither public nor allowed. Raises: JobError, Unavailable.

    The engine looks the name up again by itself, so every address it could get must do.
    """
    if host == PUBLIC_HUB:
        return
    bare = host if host.endswith("]") else host.rsplit(":", 1)[0]
    if not all(is_allowed(address, allowed) for address in addresses_of(bare.strip("[]"))):
        raise JobError(f"The image's registry {host} has an address that is not public; this node does not use it.")


def addresses_of(host: str) -> list[IpAddress]:
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
