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
    """What the cluster has, or can grow to.

    A machine that is not ready counts, since most come back: what is offered does not change with every restart, and a
    job that has to wait is told why. One that is closed to new pods does not.
    """
    ready, open_ = [node for node in nodes if is_ready(node)], [node for node in nodes if is_open(node)]
    notes = [f"{len(ready)} of {len(nodes)} nodes are ready; a job runs on one of them.", NO_PIDS, NO_WALL]
    notes += [] if settings.has_quota else [METERED]
    notes += [f"{name}: {amount:g}" for name, amount in sorted(extended(open_).items())]
    architectures = [str(node["status"]["nodeInfo"]["architecture"]) for node in open_ or nodes]
    grown, gib = settings.capacity, 1 << 30
    return Capabilities(
        kind="kubernetes",
        version=str(version.get("gitVersion", "")),
        enforces_disk_quota=settings.has_quota,
        cpu_cores=float(grown.get("cpu", total(open_, "cpu"))),
        memory_bytes=int(grown["ram"] * gib) if "ram" in grown else int(total(open_, "memory")),
        disk_bytes=int(grown["disk"] * gib) if "disk" in grown else int(total(open_, "ephemeral-storage")),
        architecture=wire_architecture(architectures[0] if architectures else "amd64"),
        notes=tuple(notes),
        most_cpu_cores=None if "cpu" in grown else most(open_, "cpu"),
        most_memory_bytes=None if "ram" in grown else int(most(open_, "memory") or 0) or None,
    )


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether the node is well and takes pods."""
    return is_open(node) and is_well(node)


def is_open(node: Mapping[str, Any]) -> bool:
    """Whether nobody has closed the node to new pods."""
    return not node["spec"].get("unschedulable")


def is_well(node: Mapping[str, Any]) -> bool:
    """Whether the cluster hears of the node, and that it works."""
    conditions = node["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def total(nodes: Sequence[Mapping[str, Any]], resource: str) -> float:
    """A resource of all nodes together."""
    return sum(has(node, resource) for node in nodes)


def most(nodes: Sequence[Mapping[str, Any]], resource: str) -> float | None:
    """What the node with the most of it has; null where there is none."""
    return max((has(node, resource) for node in nodes), default=None) or None


def has(node: Mapping[str, Any], resource: str) -> float:
    """What a node gives its pods of a resource."""
    return number((node["status"].get("allocatable") or {}).get(resource, 0))


def extended(nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The devices that nodes offer by name, GPUs above all."""
    found = {name for node in nodes for name in node["status"].get("allocatable") or {}}
    named = {name for name in found - STANDARD if not name.startswith("hugepages-")}
    return {name: total(nodes, name) for name in named}
