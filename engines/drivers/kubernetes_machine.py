"""Own what a cluster offers as a machine: its nodes added up; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.drivers.base import Capabilities
from engines.drivers.docker_images import wire_architecture
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.drivers.kubernetes_words import number

NO_PIDS = "The number of an algorithm's processes is bounded by the nodes alone (the kubelet's podPidsLimit)."
NO_WALL = "That algorithms have no network is the cluster's network plugin's work: it must enforce NetworkPolicies."
METERED = "Disk limits are watched from outside: set volumeQuota where the storage class enforces sizes."
STANDARD = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})


def capabilities_of(
    nodes: Sequence[Mapping[str, Any]], version: Mapping[str, Any], settings: KubernetesSettings
) -> Capabilities:
    """What `doctor` says of the cluster."""
    ready = [node for node in nodes if is_ready(node)]
    notes = [f"{len(ready)} of {len(nodes)} nodes are ready; a job runs on one of them.", NO_PIDS, NO_WALL]
    notes += [] if settings.has_quota else [METERED]
    notes += [f"{name}: {amount:g}" for name, amount in sorted(extended(ready).items())]
    architectures = [str(node["status"]["nodeInfo"]["architecture"]) for node in ready or nodes]
    return Capabilities(
        kind="kubernetes",
        version=str(version.get("gitVersion", "")),
        enforces_disk_quota=settings.has_quota,
        cpu_cores=total(ready, "cpu"),
        memory_bytes=int(total(ready, "memory")),
        disk_bytes=int(total(ready, "ephemeral-storage")),
        architecture=wire_architecture(architectures[0] if architectures else "amd64"),
        notes=tuple(notes),
    )


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether the node takes pods."""
    conditions = node["status"].get("conditions") or ()
    is_well = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_well and not node["spec"].get("unschedulable")


def total(nodes: Sequence[Mapping[str, Any]], resource: str) -> float:
    """A resource of all nodes together."""
    return sum(number((node["status"].get("allocatable") or {}).get(resource, 0)) for node in nodes)


def extended(nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The devices that nodes offer by name, GPUs above all."""
    found = {name for node in nodes for name in node["status"].get("allocatable") or {}}
    named = {name for name in found - STANDARD if not name.startswith("hugepages-")}
    return {name: total(nodes, name) for name in named}
