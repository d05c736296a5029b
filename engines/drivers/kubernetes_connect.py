"""Own finding the cluster and its credentials: the pod's own account, or a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import kubernetes
from kubernetes.config import ConfigException

from engines.drivers.kubernetes_api import KubernetesApi
from shared.errors import SettingsError

CONNECTIONS = 64
"Kept open, one for each thread that talks at once."
ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def connect(connection: Mapping[str, Any]) -> KubernetesApi:
    """Make the session; nothing is sent yet. Raises: SettingsError.

    `context` or `kubeconfig` in the connection choose a kubeconfig's; without them a pod's own account comes first.
    """
    configuration = kubernetes.client.Configuration()
    try:
        _load(connection, configuration)
    except (ConfigException, OSError) as error:
        raise SettingsError(f"The Kubernetes engine finds no credentials: {error}") from error
    configuration.connection_pool_maxsize = CONNECTIONS
    client = kubernetes.client.ApiClient(configuration)

    def credentials() -> dict[str, str]:
        headers: dict[str, str] = {}
        client.update_params_for_auth(headers, [], ["BearerToken"], None, None, None)
        return headers

    return KubernetesApi(client.rest_client.pool_manager, str(configuration.host), credentials)


def _load(connection: Mapping[str, Any], configuration: Any) -> None:
    config: Any = kubernetes.config  # its functions have no types
    named = {key: connection.get(key) for key in ("kubeconfig", "context")}
    if not any(named.values()) and has_account():
        config.load_incluster_config(client_configuration=configuration)
        return
    config.load_kube_config(
        config_file=named["kubeconfig"],
        context=named["context"],
        client_configuration=configuration,
        persist_config=False,
    )


def has_account() -> bool:
    """Whether this process runs in a pod with an account."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and os.path.exists(f"{ACCOUNT_FOLDER}/token")
