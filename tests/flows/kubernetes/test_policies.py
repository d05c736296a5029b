"""The NetworkPolicies on a cluster whose network enforces them: what each kind of pod reaches, and who reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from engines.drivers.base import PhaseSpec
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_driver import KubernetesDriver
from engines.drivers.manifests import POD_NETWORK
from shared.names import JobId, Phase, container_name, new_job_id
from tests.contracts.driver_backends import until
from tests.needs import needs
from tests.services import kubernetes, walls
from tests.starting import start

pytestmark = [
    needs("kube", "policies"),
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
DNS, OTHER = 53, 8080


@dataclass
class Walled:
    """An engine in a namespace of its own, and all around it what its pods may try to reach."""

    api: KubernetesApi
    namespace: str
    driver: KubernetesDriver
    targets: walls.Targets

    def begin(self, phase: Phase, network: str | None, command: tuple[str, ...]) -> JobId:
        """Start a phase of a new job."""
        job_id = new_job_id()
        spec = PhaseSpec(
            job_id, "walled", phase, kubernetes.POD_IMAGE, command, {}, network=network, memory_bytes=1 << 28
        )
        self.driver.ensure_volume(job_id, spec.disk_bytes)
        start(self.driver, spec)
        return job_id

    def tried(self, phase: Phase, network: str | None, wanted: set[str]) -> bytes:
        """What such a pod says of what it reaches, until that is what is wanted or its patience is over."""
        job_id = self.begin(phase, network, walls.tries(self.targets, wanted))
        until(lambda: self.driver.observe(job_id).exited(phase))
        log = b"".join(self.driver.read_log(job_id, phase))
        self.driver.remove(job_id)
        return log


@pytest.fixture(scope="module")
def walled() -> Iterator[Walled]:
    api = connect({})
    with kubernetes.namespace() as namespace, walls.listener() as node, walls.listener() as beside:
        places = {}
        for name in ("data", "stranger", "third"):
            path = walls.bare_pod(api, namespace, name, walls.listens(DNS, OTHER))
            places[name] = walls.until_phase(api, path, "Running")["status"]["podIP"]
            until(lambda path=path: walls.log_of(api, path))
        connection = {
            "namespace": namespace, "storageClass": kubernetes.CLASS, "podImage": kubernetes.POD_IMAGE,
            "podApiUrl": f"http://{node[0]}:{node[1]}", "networkGate": True,
            "dns": {"namespace": namespace, "pods": {"bare": "stranger"}},
        }  # fmt: skip
        targets = {"node": node, "beside": beside, "data": (places["data"], OTHER), "dns": (places["stranger"], DNS)}
        targets["stranger"] = (places["stranger"], OTHER)
        targets["no dns"] = (places["third"], DNS)
        allowed = [ip_network(f"{places['data']}/32")]
        yield Walled(api, namespace, KubernetesDriver("walled", connection, allowed), targets)


def test_behind_the_gate_an_algorithm_reaches_nothing_from_its_first_moment_on(walled: Walled) -> None:
    log = walled.tried(Phase.RUN, None, set())
    assert walls.reached(log) == set() and walls.ever_reached(log) == set()


def test_pods_reach_the_node_names_and_data_alone(walled: Walled) -> None:
    wanted = {"node", "dns", "data"}
    assert walls.reached(walled.tried(Phase.PROVISION, POD_NETWORK, wanted)) == wanted


def test_an_algorithm_that_is_granted_a_network_reaches_names_and_nothing_private(walled: Walled) -> None:
    assert walls.reached(walled.tried(Phase.RUN, "internet", {"dns"})) == {"dns"}


def test_nobody_reaches_an_algorithm(walled: Walled) -> None:
    job_id = walled.begin(Phase.RUN, None, walls.listens(OTHER))
    path = f"/api/v1/namespaces/{walled.namespace}/pods/{container_name(job_id, Phase.RUN)}"
    address = walls.until_phase(walled.api, path, "Running")["status"]["podIP"]
    until(lambda: walls.log_of(walled.api, path))
    targets = {"algorithm": (address, OTHER), "stranger": walled.targets["stranger"]}
    caller = walls.bare_pod(walled.api, walled.namespace, "caller", walls.tries(targets, {"stranger", "api"}))
    walls.until_phase(walled.api, caller, "Succeeded", "Failed")
    assert walls.reached(walls.log_of(walled.api, caller)) == {"stranger", "api"}
    walled.driver.remove(job_id)
