"""Own the pods' network of one engine: a bridge of its own, where pods reach the node and not each other."""

from __future__ import annotations

from typing import Any

from engines.drivers.docker_api import DockerApi, in_path, refused

DEFAULT_NAME = "c2d-pods"
LABEL = "c2d.network"
INTERFACE_MAX = 15


class PodNetwork:
    """Have the network; its bridge's name is fixed, so that of two who make it at once only one can."""

    def __init__(self, api: DockerApi, name: str) -> None:
        self._api = api
        self.name = name

    def ensure(self) -> dict[str, Any]:
        """What the engine tells of the network, made if it was not there. Raises: JobError, Unavailable."""
        found = self._find()
        if found is not None:
            return found
        answer = self._api.attempt("/networks/create", body=network_body(self.name))
        made = self._find()
        if made is None:
            raise refused(f"The network {self.name} for pods cannot be made", answer)
        return made

    def gateway(self) -> str | None:
        """The address on the engine's machine at which pods reach it."""
        configs = self.ensure().get("IPAM", {}).get("Config") or []
        return next((str(config["Gateway"]) for config in configs if config.get("Gateway")), None)

    def _find(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._api.is_there(f"/networks/{in_path(self.name)}")
        return found


def network_body(name: str) -> dict[str, Any]:
    """The body of `POST /networks/create`."""
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Labels": {LABEL: "pods"},
        "Options": {
            "com.docker.network.bridge.name": name[:INTERFACE_MAX],
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
        },
    }
