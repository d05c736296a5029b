"""Who may call whom of a node by the shipped policies, where a cluster enforces them: tried by pods with our labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from tests.flows.docker.harness import until
from tests.infra.kubernetes.built import overlay
from tests.needs import needs
from tests.services import kubernetes, walls

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize", "policies"),
]
OURS = {"app.kubernetes.io/part-of": "c2d"}
LABELS = {
    "status": {"c2d.node/handler": "status"},
    "pods": {"c2d.node/handler": "pods"},
    "metrics": {"c2d.node/handler": "metrics"},
    "nginx": {"c2d.node/role": "proxy"},
    "passes": {"c2d.node/role": "passes"},
}


@dataclass
class Node:
    """A node's namespace with its policies, and pods that take connections where its own would; and one of jobs."""

    api: KubernetesApi
    namespace: str
    jobs: str
    targets: walls.Targets

    def reached_by(self, namespace: str, name: str, labels: dict[str, str], wanted: set[str]) -> set[str]:
        """What a pod with these labels reaches, once that is what is wanted or its patience is over."""
        path = walls.bare_pod(self.api, namespace, name, walls.tries(self.targets, wanted, 30), labels)
        walls.until_phase(self.api, path, "Succeeded", "Failed")
        return walls.reached(walls.log_of(self.api, path))


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    api = connect({})
    kubernetes.to_nodes(kubernetes.POD_IMAGE)
    with kubernetes.namespace() as namespace, kubernetes.namespace() as jobs:
        api.patch(f"/api/v1/namespaces/{jobs}", {"metadata": {"labels": {"c2d.node/jobs": "yes"}}})
        for each in overlay("production-nginx"):
            if each["kind"] == "NetworkPolicy":
                path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
                api.create(path, {**each, "metadata": {"name": each["metadata"]["name"]}})
        targets = {}
        for name, labels in LABELS.items():
            port = 8080 if name == "nginx" else 8000
            path = walls.bare_pod(api, namespace, name, walls.listens(port), OURS | labels)
            targets[name] = (walls.until_phase(api, path, "Running")["status"]["podIP"], port)
            until(lambda path=path: walls.log_of(api, path))
        yield Node(api, namespace, jobs, targets)


def test_a_stranger_reaches_the_way_in_alone(node: Node) -> None:
    assert node.reached_by(node.jobs, "stranger", {}, {"nginx", "api"}) == {"nginx", "api"}


def test_a_jobs_pod_reaches_its_own_door_too(node: Node) -> None:
    found = node.reached_by(node.jobs, "job", {"c2d.network": "pod"}, {"nginx", "pods", "api"})
    assert found == {"nginx", "pods", "api"}


def test_nginx_reaches_the_handlers_that_are_for_callers(node: Node) -> None:
    found = node.reached_by(node.namespace, "another-nginx", OURS | LABELS["nginx"], {"status", "nginx"})
    assert found - {"nginx"} == {
        "status"
    }  # some plugins take a policy's two directions for one; and that is everybody's


def test_handlers_reach_nobody_of_the_node_and_only_passes_reach_the_cluster(node: Node) -> None:
    found = node.reached_by(node.namespace, "another-status", OURS | LABELS["status"], set())
    assert found <= {"api"}  # some plugins look at the port that is called, which is that of any https
    assert node.reached_by(node.namespace, "another-pass", OURS | LABELS["passes"], {"api"}) == {"api"}
