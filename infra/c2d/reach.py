"""Own asking, from inside a container, whether an address is reached: the only way to know what a firewall does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from engines.drivers.docker_network import DEFAULT_NAME
from infra.c2d.docker_here import run_container
from infra.c2d.failures import Failure

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"


def from_container(connection: Mapping[str, Any], image: str, network: str, target: str) -> bool:
    """Whether a container on this network can open a connection to host:port."""
    host, _, port = target.rpartition(":")
    return run_container(connection, image, ["python", "-c", CONNECT, host.strip("[]"), port], network) == 0


def reach_node(connection: Mapping[str, Any], image: str, pod_api_url: str | None, gateway: str) -> str:
    """Let a container call the node's address for pods, or a listener where `c2d up` would have it. Raises: Failure."""
    network = str(connection.get("podNetwork", DEFAULT_NAME))
    with listener(gateway) if pod_api_url is None else contextlib.nullcontext(target_of(str(pod_api_url))) as target:
        if from_container(connection, image, network, target):
            return target
    hint = "is the node up?" if pod_api_url else f"let the firewall pass what comes from the network {network}"
    raise Failure(f"no container on {network} reaches {target}", hint)


def target_of(url: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@contextlib.contextmanager
def listener(host: str) -> Iterator[str]:
    """Listen on a free port of the address for as long as the block lasts; gives host:port."""
    with socket.create_server((host, 0)) as server:
        thread = threading.Thread(target=accept_one, args=(server,), daemon=True)
        thread.start()
        yield f"{host}:{server.getsockname()[1]}"


def accept_one(server: socket.socket) -> None:
    """Take one connection, or none if the listener is closed before."""
    with contextlib.suppress(OSError):
        server.accept()[0].close()
