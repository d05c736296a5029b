"""Own the look at the Docker Engine: whether there is one, where pods reach this machine, which images it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.drivers.base import Capabilities
from infra.c2d.failures import Failure
from shared.errors import SettingsError, Unavailable

try:
    from engines.drivers.docker_driver import DockerDriver, connect
except ImportError:  # the extra `docker` is not installed
    connect = None  # type: ignore[assignment]

PROBE_LIMIT_S = 60


def docker_capabilities(name: str, connection: Mapping[str, Any]) -> Capabilities:
    """Ask the engine what it has; makes the pods' network. Raises: Failure where none answers."""
    if connect is None:
        raise Failure("the Python library for Docker is not installed", "install the extra `docker`")
    try:
        return DockerDriver(name, connection).capabilities()
    except (Unavailable, SettingsError) as error:
        raise Failure(error.detail, "start Docker, or name the engine's socket or host in C2D_ENGINES") from error


def find_image(connection: Mapping[str, Any], image: str) -> str | None:
    """The newest image of that name the engine has, with its tag."""
    client = connect(connection)
    try:
        tags = [tag for found in client.images(name=image) for tag in found.get("RepoTags") or ()]
    finally:
        client.close()
    return str(tags[0]) if tags else None


def docker_time(connection: Mapping[str, Any]) -> str:
    """The engine's clock, as it writes it."""
    client = connect(connection)
    try:
        return str(client.info()["SystemTime"])
    finally:
        client.close()


def run_container(connection: Mapping[str, Any], image: str, command: Sequence[str], network: str) -> int:
    """Run a short command in a container that is gone afterwards; its exit code."""
    client = connect(connection)
    try:
        body = {"Image": image, "Cmd": list(command), "Entrypoint": [], "HostConfig": {"NetworkMode": network}}
        made = client.create_container_from_config({**body, "Labels": {"c2d.probe": "doctor"}})
        try:
            client.start(made["Id"])
            return int(client.wait(made["Id"], timeout=PROBE_LIMIT_S)["StatusCode"])
        finally:
            client.remove_container(made["Id"], force=True, v=True)
    finally:
        client.close()
