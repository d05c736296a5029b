"""Whole workflows whose jobs are one pod each, with their files in it: the flows of three pods, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.names import Phase, volume_name
from tests.flows.docker.harness import environment, job, until
from tests.flows.kubernetes.harness import KubernetesPlace, OnePodPlace, kubernetes_place
from tests.flows.kubernetes.test_kubernetes_flows import (
    GPUS,
    ending,
    endings_side_by_side,
    has_gpus,
    test_a_pod_of_ours_that_somebody_deletes_is_started_again,
    test_stopped_while_running_it_is_finished_with_what_there_is,
    test_the_example_gives_the_bytes_it_gives_everywhere,
)
from tests.needs import needs

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.full,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("kubernetes"),
]
SAME = (
    test_a_pod_of_ours_that_somebody_deletes_is_started_again,
    test_stopped_while_running_it_is_finished_with_what_there_is,
    test_the_example_gives_the_bytes_it_gives_everywhere,
)
"Run here too, as they are."
ONE_POD = {"volume": "emptyDir", "sharedNetwork": True}
EVICTED_S = 300
"A kubelet measures a pod's volumes once a minute."


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesPlace]:
    with_gpus = environment(id="gpus", resources=GPUS, kubernetes={"resources": {"gpu": "example.org/gpu"}})
    folder = tmp_path_factory.mktemp("one-pod")
    with kubernetes_place(folder, environment(), with_gpus, kind=OnePodPlace, **ONE_POD) as found:
        yield found
        found.until_clean()


def test_many_endings_side_by_side(site: KubernetesPlace) -> None:
    endings_side_by_side(site)


def test_one_pod_has_all_and_never_two_of_its_containers_run(site: KubernetesPlace) -> None:
    workflow = site.submit(job(0, "ls /proc | grep -c '^[0-9]'; env | grep -c privateKey; sleep 3"))
    record = site.until_running(workflow)
    [pod] = site.api.items(site.path("pods"))
    states = {each["name"]: next(iter(each["state"])) for each in pod["status"]["containerStatuses"]}
    waiting = {f"publish-{number}": "waiting" for number in (2, 3, 4)}
    assert states == {"provision": "terminated", "run": "running", "publish": "waiting", **waiting}
    assert pod["metadata"]["labels"]["c2d.network"] == "none"
    keys = {each["name"]: [e["name"] for e in each["env"] if "valueFrom" in e] for each in pod["spec"]["containers"]}
    assert keys["run"] == [] and keys["provision"] == keys["publish"] == ["privateKey"]
    assert pod["spec"]["volumes"] == [{"name": "data", "emptyDir": {"sizeLimit": str(1 << 30)}}]
    assert not site.api.items(site.path("persistentvolumeclaims"))
    assert site.api.find(site.path("configmaps", volume_name(record["jobId"]))) is not None
    assert ending(site.consumer.wait(workflow)[0]) == (70, 0, None)
    processes, keys_seen = site.log(record_of(site, workflow)).split()
    assert int(processes) <= 4 and keys_seen == "0"


def record_of(site: KubernetesPlace, workflow: str) -> dict[str, Any]:
    """The workflow's first job as it is now."""
    found: dict[str, Any] = site.consumer.status(workflowId=workflow)[0]
    return found


def test_stopped_before_its_algorithm_started_that_never_starts(site: KubernetesPlace) -> None:
    from threading import Event

    site.served.drip = drip = Event()
    given = [{"index": 0, "files": site.file("held-up", b"held-up")}]
    workflow = site.submit(job(0, "echo ran >/data/outputs/ran", input=given))
    record = site.until_status(workflow, 30)
    until(lambda: any(each[1].endswith("/held-up") for each in site.served.requests))
    site.consumer.stop(jobId=record["jobId"])
    record = site.consumer.wait(workflow)[0]
    site.served.drip = None
    drip.set()
    assert ending(record) == (70, None, "stopped")
    assert "output" not in {each["type"] for each in record["results"]}


@pytest.mark.long
def test_a_job_over_its_disk_ends_as_such_and_its_outputs_are_gone(site: KubernetesPlace) -> None:
    flood = "echo first >/data/outputs/a; head -c 90000000 /dev/zero >/data/outputs/more; echo full; sleep 590"
    workflow = site.submit(job(0, flood, compute={"disc": 0.05, "maxDuration": 600}))
    record = site.consumer.wait(workflow, EVICTED_S)[0]
    assert ending(record)[::2] == (42, "disk")
    assert "output" not in {each["type"] for each in record["results"]}
    assert "full" in site.log(record)


@pytest.mark.long
def test_an_owner_is_told_what_the_cluster_lacks(site: KubernetesPlace) -> None:
    [environment_id] = [each["id"] for each in site.consumer.get("/api/services/computeEnvironments") if has_gpus(each)]
    asked = {"resources": [{"id": "gpu", "amount": 2}], "environment": environment_id}
    workflow = site.submit(job(0, "true", **asked))
    told = "queued: no node has 2 GPUs free"
    record = site.until_status(workflow, 30)
    until(lambda: told in site.events(record["jobId"]), lambda: site.events(record["jobId"]))
    site.consumer.stop(jobId=record["jobId"])
    assert ending(site.consumer.wait(workflow)[0]) == (70, None, "stopped")


@pytest.mark.long
def test_a_pod_that_somebody_deletes_takes_its_algorithm_and_outputs_along(site: KubernetesPlace) -> None:
    workflow = site.submit(job(0, "echo run >>/data/outputs/runs.txt; echo up; exec sleep 100"))
    record = site.until_running(workflow)
    pod = site.pod(record, Phase.RUN)
    assert pod is not None
    site.api.delete(site.path("pods", pod["metadata"]["name"]), grace_s=0)
    record = site.consumer.wait(workflow)[0]
    assert record["status"] == 41 and record["terminationDetails"]["reason"] == "lost"
    assert "output" not in {each["type"] for each in record["results"]}
