"""Own the look at the Docker Engine: whether there is one, where pods reach this machine, which images it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.drivers.base import Capabilities
from infra.c2d.failures import Failure
from shared.errors import SettingsError, Unavailable

try:
    from engines.drivers.docker_driver import DockerDriver, connect
except ImportError:  # the extra `docker` is not installed
    connect = None  # type: ignore[assignment]


def docker_capabilities(name: str, connection: Mapping[str, Any]) -> Capabilities:
    """Ask the engine what it has; makes the pods' network. Raises: Failure where none answers."""
    if connect is None:
        raise Failure("the Python library for Docker is not installed", "install the extra `docker`")
    try:
        return DockerDriver(name, connection).capabilities()
    except (Unavailable, SettingsError) as error:
        raise Failure(error.detail, "start Docker, or name the engine's socket or host in C2D_ENGINES") from error


def has_image(connection: Mapping[str, Any], image: str) -> bool:
    """Whether the engine has an image, so that nothing need be pulled."""
    if connect is None:
        return False
    client = connect(connection)
    try:
        return bool(client.images(name=image, quiet=True))
    finally:
        client.close()
