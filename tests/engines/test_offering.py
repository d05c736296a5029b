"""What an engine offers, from its settings and the machines it has at the moment."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from engines.drivers.base import Capabilities
from engines.drivers.kubernetes_machine import capabilities_of
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.environments import documents
from engines.offering import Offering
from shared.db.connection import session
from shared.db.node_tables import Environment, Pool
from shared.engine_config import EngineConfig, parse_engines

GIB = 1 << 30
MACHINE = Capabilities("kubernetes", "1", False, 6.0, 12 * GIB, 100 * GIB, "x86_64")
VERSION = {"gitVersion": "v1.36.3"}


@dataclass
class Machines:
    """An engine whose machines are the test's."""

    has: Capabilities

    def capabilities(self) -> Capabilities:
        """What there is now."""
        return self.has


def node(cpu: str, memory: str, *, is_ready: bool = True, **spec: Any) -> dict[str, Any]:
    """A machine of a cluster."""
    conditions = [{"type": "Ready", "status": "True" if is_ready else "Unknown"}]
    has = {"cpu": cpu, "memory": memory, "ephemeral-storage": "50Gi", "nvidia.com/gpu": "1"}
    return {
        "status": {"allocatable": has, "conditions": conditions, "nodeInfo": {"architecture": "arm64"}},
        "spec": spec,
    }


def of(*nodes: dict[str, Any], **connection: Any) -> Capabilities:
    """What a cluster of these machines has."""
    return capabilities_of(nodes, VERSION, KubernetesSettings.from_connection("k", connection))


def shares(document: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Least, most and all of each resource."""
    return {each["id"]: (each["min"], each["max"], each["total"]) for each in document["resources"]}


def test_a_cluster_is_its_machines_but_those_closed_to_new_pods() -> None:
    found = of(node("4", "8Gi"), node("1900m", "3Gi", is_ready=False), node("64", "512Gi", unschedulable=True))
    assert (found.cpu_cores, found.memory_bytes, found.disk_bytes) == (5.9, 11 * GIB, 100 * GIB)
    assert (found.most_cpu_cores, found.most_memory_bytes, found.architecture) == (4.0, 8 * GIB, "aarch64")
    assert found.notes[0] == "1 of 3 nodes are ready; a job runs on one of them." and "nvidia.com/gpu: 2" in found.notes


def test_a_cluster_that_grows_is_what_it_can_grow_to_though_nothing_is_there_yet() -> None:
    capacity = {"cpu": 64, "ram": 256.5}
    [engine] = parse_engines(json.dumps([{"name": "k", "type": "kubernetes", "capacity": capacity}]))
    assert engine.connection["capacity"] == capacity
    found = of(capacity=capacity)
    assert (found.cpu_cores, found.memory_bytes, found.disk_bytes) == (64.0, 256 * GIB + GIB // 2, 0)
    assert found.most_cpu_cores is None and found.most_memory_bytes is None
    assert of(node("4", "8Gi"), capacity=capacity).disk_bytes == 50 * GIB


def test_a_job_may_have_what_the_largest_machine_has() -> None:
    machine = replace(MACHINE, most_cpu_cores=2.5, most_memory_bytes=8 * GIB)
    [offered] = documents(EngineConfig("k", "kubernetes", {}, ({"id": "main"},)), machine, "0x0")
    assert shares(offered) == {"cpu": (1, 2.5, 6.0), "ram": (1, 8, 12), "disk": (0, 100, 100)}
    [small] = documents(EngineConfig("k", "kubernetes"), replace(machine, most_cpu_cores=0.25), "0x0")
    assert shares(small)["cpu"][1:] == (0.25, 3) and shares(small)["ram"] == (0.5, 6, 6)
    declared = {"id": "main", "resources": [{"id": "cpu", "total": 4, "max": 4}]}
    [own] = documents(EngineConfig("k", "kubernetes", {}, (declared,)), machine, "0x0")
    assert shares(own)["cpu"] == (1, 4, 4), "what the operator says holds"


def test_what_is_offered_follows_the_machines_and_is_else_left_alone(quick_database: str) -> None:
    machines = Machines(MACHINE)
    offering = Offering(EngineConfig("k", "kubernetes"), "0x0", machines, lambda: 1_000)  # type: ignore[arg-type]
    assert offering.write() and not offering.write()
    assert offered() == ({"cpu": 6000, "ram": 12000, "disk": 50000}, 3)
    with session():
        Environment.update(position=7).execute()
    assert not offering.write()
    with session():
        assert Environment.get().position == 7, "another pass's word is not written over"
    machines.has = replace(MACHINE, cpu_cores=10.0)
    assert offering.write() and offered() == ({"cpu": 10000, "ram": 12000, "disk": 50000}, 5)


def offered() -> tuple[dict[str, int], float]:
    """The pools, and all the cores that the environment shows."""
    with session():
        pools = {each.resource_id: each.total_milli for each in Pool.select()}
        return pools, shares(Environment.get().document)["cpu"][2]
