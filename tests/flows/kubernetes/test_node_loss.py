"""The node that jobs are on falls silent, is deleted, or comes back: what becomes of them and of what they made."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from engines.drivers import kubernetes_manifests as manifests
from engines.drivers.kubernetes_one_manifests import pod_name
from engines.drivers.kubernetes_settings import Placement
from engines.drivers.kubernetes_words import DELETED, DISRUPTED, NODE_LOST, UNHEARD
from shared.names import JobId, Phase, container_name
from tests.flows.docker.harness import environment, until
from tests.flows.kubernetes.harness import KubernetesPlace, kubernetes_place, starts_told
from tests.flows.kubernetes.test_kubernetes_flows import ending
from tests.needs import busybox_image, needs
from tests.services import kubernetes
from tests.services.kubernetes_ghost import Ghost, ghost, let_go_of

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.long,
    pytest.mark.timeout(500),
    pytest.mark.xdist_group("kubernetes"),
]
SOON_S = 3
"After so long pods are taken off a silent node; the engine's own word is two minutes."
LIMIT_S = 300
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
ONCE = "the algorithm is not run a second time."
SLEEPS = "sleep 600"
Json = dict[str, Any]


@dataclass
class Site(KubernetesPlace):
    """A node whose jobs go where a label is."""

    label: str = ""

    def pod_of(self, workflow: str) -> Json:
        """The pod of a running algorithm, whichever kind it is."""
        job_id = JobId(self.until_running(workflow)["jobId"])
        found = (
            self.api.find(self.path("pods", each)) for each in (container_name(job_id, Phase.RUN), pod_name(job_id))
        )
        return next(each for each in found if each is not None)

    def ended(self, workflow: str) -> tuple[Json, str]:
        """The first record once it is final, and what its owner reads of it."""
        record: Json = self.consumer.wait(workflow, LIMIT_S)[0]
        return record, self.events(record["jobId"])


@contextmanager
def site_on(folder: Path, node: Ghost) -> Iterator[Site]:
    """A node with environments of either kind of volume; its jobs go to the ghost, at first."""
    label = f"c2d.test/{secrets.token_hex(4)}"
    quick = [
        {"key": f"node.kubernetes.io/{each}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SOON_S}
        for each in ("unreachable", "not-ready")
    ]
    patient = {"nodeSelector": {label: "yes"}, "tolerations": [node.tolerated]}
    claims = {**patient, "tolerations": [node.tolerated, *quick]}
    one = {**claims, "volume": "emptyDir", "sharedNetwork": True}
    kinds = {"claims": claims, "patient": patient, "one": one}
    environments = [environment(id=name, description=name, kubernetes=own) for name, own in kinds.items()]
    try:
        node.take(label)
        with (
            kubernetes_place(folder, *environments, storageClass=kubernetes.ANYWHERE) as place,
            starts_told(place.api, place.namespace, folder / "made") as made,
        ):
            yield Site(**vars(place) | {"starts": made}, label=label)
    finally:
        for each in kubernetes.machines(node.api):
            node.api.patch(f"/api/v1/nodes/{each['metadata']['name']}", {"metadata": {"labels": {label: None}}})


@pytest.mark.parametrize("how", ["silent", "deleted"])
def test_what_a_lost_node_takes_along_and_what_goes_on_elsewhere(tmp_path: Path, how: str) -> None:
    with ghost() as node, site_on(tmp_path, node) as site:
        site.served.drip = come = Event()
        fetching = [site.fetching(f"input-of-{where}", where)[0] for where in ("claims", "one")]
        running, in_one, stopped = (site.sent(where, SLEEPS)[0] for where in ("claims", "one", "claims"))
        late, _ = site.sent("patient", SLEEPS, compute={"maxDuration": 30})
        pods = {workflow: site.pod_of(workflow) for workflow in (running, in_one, stopped, late)}
        for workflow in (running, stopped):
            (node.volume_of(pods[workflow]) / "outputs" / "early").write_text("early\n")
        if how == "silent":
            node.fall_silent(is_noticed=True)
        else:
            node.vanish()
        node.leave(site.label)
        site.consumer.stop(workflowId=stopped)
        site.served.drip = None
        come.set()
        check_algorithms(site, running, in_one, stopped, late)
        for workflow in fetching:
            record, told = site.ended(workflow)
            assert ending(record) == (70, 0, None) and site.log(record) == "slow", told
            assert f"{NODE_LOST}; the provision pod is started again." in told
        node.vanish()
        let_go_of(node)
        site.until_clean()


def check_algorithms(site: Site, running: str, in_one: str, stopped: str, late: str) -> None:
    """None was run again, and none waited for ever; what was on a volume that outlived the node is published."""
    record, told = site.ended(running)
    assert ending(record) == (41, None, "lost") and f"{NODE_LOST}; {ONCE}" in told, told
    assert site.output(record) == b"early\n" and site.starts_of(record["jobId"]) == 1
    record, told = site.ended(in_one)
    assert ending(record) == (41, None, "lost") and f"{NODE_LOST}; {ONCE} Its outputs are gone." in told, told
    assert "output" not in {each["type"] for each in record["results"]}
    record, told = site.ended(stopped)
    assert ending(record) == (70, None, "stopped") and site.output(record) == b"early\n", told
    record, told = site.ended(late)
    assert ending(record) == (41, None, "lost") and f"{NODE_LOST}; {ONCE}" in told, told


def test_a_node_that_comes_back_in_time_has_cost_nothing(tmp_path: Path) -> None:
    with ghost() as node, site_on(tmp_path, node) as site:
        workflow, record = site.sent("patient", SLEEPS, compute={"maxDuration": 600})
        pod = site.pod_of(workflow)
        (node.volume_of(pod) / "outputs" / "done").write_text("done\n")
        node.fall_silent(is_noticed=False)
        until(lambda: UNHEARD in site.events(record["jobId"]), lambda: site.events(record["jobId"]))
        assert site.consumer.status(workflowId=workflow)[0]["status"] == 40
        node.appear()
        until(lambda: not tainted(node))
        node.leave(site.label)
        node.end(pod, 0)
        site.until_status(workflow, 60)
        node.fall_silent(is_noticed=True)  # it has no log to give
        record, told = site.ended(workflow)
        assert ending(record) == (70, 0, None) and site.output(record) == b"done\n", told


def tainted(node: Ghost) -> bool:
    """Whether the cluster still holds a silence against the node."""
    found = node.api.find(node.path)
    return found is None or any(each["effect"] == "NoExecute" for each in found["spec"].get("taints") or ())


def test_an_algorithm_whose_place_a_pod_of_more_weight_takes_is_lost(tmp_path: Path) -> None:
    name = f"c2d-test-{secrets.token_hex(4)}"
    with ghost() as node, site_on(tmp_path, node) as site:
        workflow, _ = site.sent("claims", SLEEPS)
        (node.volume_of(site.pod_of(workflow)) / "outputs" / "early").write_text("early\n")
        weight = {"kind": "PriorityClass", "metadata": {"name": name}, "value": 1000}
        site.api.create(CLASSES, weight)
        try:
            site.api.create(site.path("pods"), heavy(name, node))
            node.leave(site.label)
            site.until_status(workflow, 60)
            node.fall_silent(is_noticed=True)  # it has no log to give
            record, told = site.ended(workflow)
        finally:
            site.api.delete(f"{CLASSES}/{name}")
        whose = (DELETED, DISRUPTED["PreemptionByScheduler"])
        assert ending(record) == (41, 143, "lost") and any(f"{each}; {ONCE}" in told for each in whose), told
        assert site.output(record) == b"early\n"


def heavy(priority: str, node: Ghost) -> Json:
    """A pod that needs all of the ghost."""
    here = Placement(node_selector={"kubernetes.io/hostname": node.name}, tolerations=(node.tolerated,))
    body = manifests.pod_body(here, manifests.USER) | {"priorityClassName": priority}
    asked = {"requests": {"cpu": "3950m"}}
    body["containers"] = [manifests.small_container(busybox_image(), ["sleep", "600"], resources=asked)]
    return {"kind": "Pod", "metadata": {"name": "heavy"}, "spec": body}
