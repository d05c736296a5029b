"""Own the checks of `c2d doctor` that are about a Kubernetes engine: reached, its permissions, what its nodes have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.compose import connection_of
from infra.c2d.checks import Check
from shared.engine_config import EngineConfig
from shared.errors import SettingsError, Unavailable
from shared.settings import NodeSettings

try:
    from engines.drivers.kubernetes_access import missing
    from engines.drivers.kubernetes_connect import connect
    from engines.drivers.kubernetes_settings import KubernetesSettings
    from engines.drivers.kubernetes_volumes import has_one_pod, kubernetes_driver
    from infra.c2d.kubernetes_probe import probe
except ImportError:  # the extra `k8s` is not installed
    connect = None  # type: ignore[assignment]


def kubernetes_checks(engine: EngineConfig, settings: NodeSettings, *, is_probed: bool = False) -> list[Check]:
    """Everything about a cluster, tried by pods if asked; nothing more once it cannot be reached."""
    name = f"engine {engine.name}"
    if connect is None:
        return [Check(name, "fail", "the Python library for Kubernetes is not installed", "install the extra `k8s`")]
    connection = connection_of(engine, settings)
    try:
        found = permissions(name, connection)
        if any(check.state == "fail" for check in found):
            return found
        tried = probe(name, engine, settings) if is_probed else [home(name, settings)]
        return [*found, *machine(name, connection), *tried]
    except (Unavailable, SettingsError) as error:
        return [Check(name, "fail", error.detail, "name a kubeconfig or context in C2D_ENGINES, or run in the cluster")]


def permissions(name: str, connection: Mapping[str, Any]) -> list[Check]:
    """Whether the account may do all that the engine does, in each of its namespaces; the rule where it may not."""
    api, found = connect(connection), []
    for namespace in KubernetesSettings.from_connection("doctor", connection).namespaces:
        for permission, verbs in missing(api, namespace, has_one_pod=has_one_pod(connection)):
            where = f"in namespace {namespace}" if permission.is_namespaced else "in the cluster"
            lacks = f"may not {', '.join(verbs)} {permission.resource} {where}"
            kind = "Role" if permission.is_namespaced else "ClusterRole"
            found.append(Check(f"{name}: permissions", "fail", lacks, f"add to a {kind}: {permission.rule(verbs)}"))
    return found or [Check(f"{name}: permissions", "ok", "all that are needed")]


def machine(name: str, connection: Mapping[str, Any]) -> list[Check]:
    """What the nodes have, and what the cluster leaves to others."""
    has = kubernetes_driver("doctor", connection).capabilities()
    found = f"Kubernetes {has.version}, {has.cpu_cores:g} cores, {has.memory_bytes / 2**30:.1f} GiB"
    if not has.cpu_cores:
        return [Check(name, "fail", f"Kubernetes {has.version}, no node is ready", "see kubectl get nodes")]
    return [Check(name, "ok", found), *(Check(name, "ok", note) for note in has.notes)]


def home(name: str, settings: NodeSettings) -> Check:
    """Whether anything says how pods reach the node; whether they do, only a pod can tell."""
    if settings.pod_api_url is None:
        return Check(f"{name}: pods' way home", "fail", "nothing says how pods reach this node", "set C2D_POD_API_URL")
    return Check(f"{name}: pods' way home", "ok", f"{settings.pod_api_url}, not tried: `c2d doctor --probe` does")
