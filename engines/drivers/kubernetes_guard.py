"""Own that an engine's NetworkPolicies are in its namespaces, whoever removes or changes them."""

from __future__ import annotations

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_network import policies
from engines.drivers.kubernetes_settings import KubernetesSettings
from shared.errors import C2DError
from shared.logs import logger

log = logger("c2d.engine")


class Guard:
    """The policies of one engine."""

    def __init__(self, api: KubernetesApi, settings: KubernetesSettings) -> None:
        self._api = api
        self._settings = settings
        self._guarded: set[str] = set()

    def ensure(self, namespace: str) -> None:
        """Have the namespace's policies as they should be: once a process, and before anything runs there."""
        if namespace not in self._guarded:
            self._write(namespace)
            self._guarded.add(namespace)

    def ensure_again(self) -> None:
        """Have them in all namespaces, for jobs that run already. Raises: the first failure, once all were tried."""
        failed: list[C2DError] = []
        for namespace in self._settings.namespaces:
            try:
                self._write(namespace)
            except C2DError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _write(self, namespace: str) -> None:
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
        for policy in policies(self._settings):
            name = policy["metadata"]["name"]
            if not self._api.create(path, policy):
                self._api.patch(f"{path}/{name}", {"spec": policy["spec"]})
            elif namespace in self._guarded:
                log.warning("a NetworkPolicy was gone and is made again", fields={"policy": name, "in": namespace})
