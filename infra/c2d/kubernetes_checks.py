"""Own the checks of `c2d doctor` that are about a Kubernetes engine: reached, its permissions, what its nodes have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.c2d.checks import Check
from shared.engine_config import EngineConfig
from shared.errors import SettingsError, Unavailable
from shared.settings import NodeSettings

try:
    from engines.drivers.kubernetes_access import missing
    from engines.drivers.kubernetes_connect import connect
    from engines.drivers.kubernetes_settings import EMPTY_DIR
    from engines.drivers.kubernetes_volumes import kubernetes_driver
    from infra.c2d.kubernetes_probe import probe
except ImportError:  # the extra `k8s` is not installed
    connect = None  # type: ignore[assignment]


def kubernetes_checks(engine: EngineConfig, settings: NodeSettings, *, is_probed: bool = False) -> list[Check]:
    """Everything about a cluster, tried by pods if asked; nothing more once it cannot be reached."""
    name = f"engine {engine.name}"
    if connect is None:
        return [Check(name, "fail", "the Python library for Kubernetes is not installed", "install the extra `k8s`")]
    try:
        found = permissions(name, engine)
        if any(check.state == "fail" for check in found):
            return found
        tried = probe(name, engine, settings) if is_probed else [home(name, settings)]
        return [*found, *machine(name, engine), *tried]
    except (Unavailable, SettingsError) as error:
        return [Check(name, "fail", error.detail, "name a kubeconfig or context in C2D_ENGINES, or run in the cluster")]


def permissions(name: str, engine: EngineConfig) -> list[Check]:
    """Whether the account may do all that the engine does, in each of its namespaces; the rule where it may not."""
    api, found = connect(engine.connection), []
    has_one_pod = is_one_pod_anywhere(engine)
    for namespace in namespaces(engine.connection, engine):
        for permission, verbs in missing(api, namespace, has_one_pod=has_one_pod):
            where = f"in namespace {namespace}" if permission.is_namespaced else "in the cluster"
            lacks = f"may not {', '.join(verbs)} {permission.resource} {where}"
            kind = "Role" if permission.is_namespaced else "ClusterRole"
            found.append(Check(f"{name}: permissions", "fail", lacks, f"add to a {kind}: {permission.rule(verbs)}"))
    return found or [Check(f"{name}: permissions", "ok", "all that are needed")]


def namespaces(connection: Mapping[str, Any], engine: EngineConfig) -> list[str]:
    """The engine's namespace, and those of its environments."""
    own = [(each.get("kubernetes") or {}).get("namespace") for each in engine.environments]
    return list(dict.fromkeys([str(connection.get("namespace") or "default"), *(str(each) for each in own if each)]))


def is_one_pod_anywhere(engine: EngineConfig) -> bool:
    """Whether jobs of the engine, or of an environment of it, are one pod."""
    own = [(each.get("kubernetes") or {}).get("volume") for each in engine.environments]
    return EMPTY_DIR in (engine.connection.get("volume"), *own)


def machine(name: str, engine: EngineConfig) -> list[Check]:
    """What the nodes have, and what the cluster leaves to others."""
    volumes = {"volumes": [EMPTY_DIR]} if is_one_pod_anywhere(engine) else {}
    has = kubernetes_driver("doctor", {**engine.connection, **volumes}).capabilities()
    found = f"Kubernetes {has.version}, {has.cpu_cores:g} cores, {has.memory_bytes / 2**30:.1f} GiB"
    if not has.cpu_cores:
        return [Check(name, "fail", f"Kubernetes {has.version}, no node is ready", "see kubectl get nodes")]
    return [Check(name, "ok", found), *(Check(name, "ok", note) for note in has.notes)]


def home(name: str, settings: NodeSettings) -> Check:
    """Whether anything says how pods reach the node; whether they do, only a pod can tell."""
    if settings.pod_api_url is None:
        return Check(f"{name}: pods' way home", "fail", "nothing says how pods reach this node", "set C2D_POD_API_URL")
    return Check(f"{name}: pods' way home", "ok", f"{settings.pod_api_url}, not tried: `c2d doctor --probe` does")
