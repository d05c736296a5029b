"""Volumes that a cluster makes only where their first pod runs: that has to be where the algorithm can run too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from shared.names import JobId, Phase, volume_name
from tests.flows.docker.harness import RESOURCES, environment, job, until
from tests.flows.kubernetes.harness import kubernetes_place
from tests.needs import needs
from tests.services import kubernetes

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.full,
    pytest.mark.timeout(200),
    pytest.mark.xdist_group("kubernetes"),
]
DEVICE = "c2d.test/rare"


@pytest.fixture
def one_machine() -> Iterator[str]:
    """The last of the cluster's machines, which alone has a device."""
    api: KubernetesApi = connect({})
    node = str(api.items("/api/v1/nodes")[-1]["metadata"]["name"])
    path = f"/api/v1/nodes/{node}/status"
    api.patch(path, {"status": {"capacity": {DEVICE: "1"}, "allocatable": {DEVICE: "1"}}})
    yield node
    api.patch(path, {"status": {"capacity": {DEVICE: None}, "allocatable": {DEVICE: None}}})


def test_a_volume_is_made_where_the_algorithm_can_run(tmp_path: Path, one_machine: str) -> None:
    resources = [*RESOURCES, {"id": "gpu", "total": 4, "min": 0, "max": 4}]
    offered = environment(resources=resources, kubernetes={"resources": {"gpu": DEVICE}})
    one, two = ([{"id": "gpu", "amount": amount}] for amount in (1, 2))
    with kubernetes_place(tmp_path, offered, storageClass=kubernetes.LATE) as site:
        workflow = site.submit(job(0, "echo here; sleep 2", resources=one))
        [record] = site.consumer.status(workflowId=workflow)
        pod = until(lambda: site.pod(record, Phase.RUN), lambda: site.events(record["jobId"]))
        claim = site.api.find(site.path("persistentvolumeclaims", volume_name(JobId(record["jobId"])))) or {}
        assert claim["metadata"]["annotations"][kubernetes.CHOSEN] == one_machine
        [ended] = site.consumer.wait(workflow)
        assert ended["status"] == 70 and site.log(ended) == "here\n", (ended, pod)

        workflow = site.submit(job(0, "true", resources=two))
        [record] = site.consumer.status(workflowId=workflow)
        until(lambda: "queued: no node has 2" in site.events(record["jobId"]) or None)
        claim = site.api.find(site.path("persistentvolumeclaims", volume_name(JobId(record["jobId"])))) or {}
        assert kubernetes.CHOSEN not in claim["metadata"]["annotations"] and "volumeName" not in claim["spec"]
        site.consumer.stop(workflowId=workflow)
        assert site.consumer.wait(workflow)[0]["terminationDetails"]["reason"] == "stopped"
        site.until_clean()
