"""Others delete what is a job's while it is at work: it is healed, or ends in clear words, and the rest go on."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest

from engines.drivers.base import NoRoom
from engines.drivers.kubernetes_words import DELETED, DISRUPTED
from shared.names import JobId, Phase, container_name, volume_name
from tests.flows.docker.harness import RESOURCES, environment, until
from tests.flows.kubernetes.harness import KubernetesPlace, kubernetes_place
from tests.flows.kubernetes.test_kubernetes_flows import ending
from tests.needs import needs
from tests.services import kubernetes

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"
RUNS = "echo run >>/data/outputs/runs.txt; echo up; exec sleep 100"
Json = dict[str, Any]


@dataclass
class Site(KubernetesPlace):
    """A node with an environment in another namespace, and one whose jobs wait for a device on a node."""

    far: str = ""
    "The other namespace."
    device: str = ""

    def told(self, record: Json) -> str:
        """What the owner reads of the job."""
        return self.events(record["jobId"])

    def ended(self, workflow: str) -> Json:
        """The first record once it is final."""
        record: Json = self.consumer.wait(workflow, 150)[0]
        return record

    def offer(self, count: str | None) -> None:
        """Have this machine's node offer so many of the device, or none."""
        node = kubernetes.machines(self.api)[0]["metadata"]["name"]
        has = {"capacity": {self.device: count}, "allocatable": {self.device: count}}
        self.api.patch(f"/api/v1/nodes/{node}/status", {"status": has})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, device = tmp_path_factory.mktemp("third-parties"), f"c2d.test/{secrets.token_hex(4)}"
    with kubernetes.namespace() as far:
        environments = (
            environment(id="main", description="main"),
            environment(id="far", description="far", kubernetes={"namespace": far}),
            environment(
                id="waits",
                description="waits",
                resources=[*RESOURCES, {"id": "gpu", "total": 1, "min": 0, "max": 1}],
                kubernetes={"resources": {"gpu": device}, "storageClass": kubernetes.LATE},
            ),
        )
        with kubernetes_place(folder, *environments, also=(far,)) as place:
            found = Site(**vars(place), far=far, device=device)
            yield found
            found.offer(None)


Scenario = Generator[None]
"Does something to a job up to the first `yield`; then every input may come; then it looks at what has become of it."


def test_what_others_delete_is_healed_or_ends_in_clear_words(site: Site) -> None:
    scenarios = [each(site) for each in (volume_in_use, volume_of_inputs, secret, policies, drained, namespace)]
    site.served.drip = come = Event()
    for each in scenarios:
        next(each)
    site.served.drip = None
    come.set()
    for each in scenarios:
        assert next(each, None) is None
    site.until_clean()


def volume_in_use(site: Site) -> Scenario:
    """The volume of a running algorithm: that is ended, since nobody could have its outputs."""
    workflow, record = site.sent("main", RUNS)
    site.until_running(workflow)
    site.api.delete(site.path("persistentvolumeclaims", volume_name(record["jobId"])))
    yield
    record = site.ended(workflow)
    assert ending(record)[::2] == (41, "lost") and site.log(record) == "up\n"
    assert "Somebody removed the job's volume while the algorithm ran. Its outputs are gone." in site.told(record)


def volume_of_inputs(site: Site) -> Scenario:
    """The volume that inputs are put on: they are fetched anew, and no algorithm is run without them."""
    workflow, record = site.fetching("for-a-volume", "main")
    site.api.delete(site.path("persistentvolumeclaims", volume_name(record["jobId"])))
    yield
    record = site.ended(workflow)
    assert ending(record) == (70, 0, None) and site.log(record) == "slow", site.told(record)
    assert "Somebody removed the job's volume; the provision pod is started again." in site.told(record)


def secret(site: Site) -> Scenario:
    """The Secret with the job's key before its pod has a node: it is made anew."""
    workflow, record = site.sent("waits", "echo ran", resources=[{"id": "gpu", "amount": 1}])
    until(lambda: site.pod(record, Phase.PROVISION))
    site.api.delete(site.path("secrets", container_name(JobId(record["jobId"]), Phase.PROVISION)))
    site.offer("1")
    yield
    record = site.ended(workflow)
    assert ending(record) == (70, 0, None) and site.log(record) == "ran\n"


def policies(site: Site) -> Scenario:
    """One policy, and what another one says, under running algorithms."""
    path = POLICIES.format(site.namespace)
    before = {each["metadata"]["name"]: each["spec"] for each in site.api.items(path)}
    gone, changed = sorted(before)[:2]
    site.api.delete(f"{path}/{gone}")
    site.api.patch(f"{path}/{changed}", {"spec": {"egress": [{}]}})
    yield
    until(lambda: {each["metadata"]["name"]: each["spec"] for each in site.api.items(path)} == before)


def drained(site: Site) -> Scenario:
    """Pods by the Eviction API: what an algorithm has put out so far is kept, a pod of ours is started again."""
    fetching, first = site.fetching("for-a-drain", "main")
    workflow, record = site.sent("main", RUNS)
    site.until_running(workflow)
    evict(site, record, Phase.RUN)
    evict(site, first, Phase.PROVISION)
    yield
    whose = (DELETED, DISRUPTED["EvictionByEvictionAPI"])
    record = site.ended(workflow)
    assert ending(record)[::2] == (41, "lost") and site.output(record) == b"run\n"
    told = [f"{each}; the algorithm is not run a second time." for each in whose]
    assert any(each in site.told(record) for each in told), site.told(record)
    record = site.ended(fetching)
    assert ending(record) == (70, 0, None) and site.log(record) == "slow"
    assert any(f"{each}; the provision pod is started again." in site.told(record) for each in whose)


def evict(site: Site, record: Json, phase: Phase) -> None:
    """What `kubectl drain` does to a pod."""
    name = container_name(JobId(record["jobId"]), phase)
    version = "policy/v1beta1" if site.api.call("GET", "/version").body["minor"].rstrip("+") < "22" else "policy/v1"
    body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": name, "namespace": site.namespace}}
    site.api.call("POST", site.path("pods", f"{name}/eviction"), body=body)


def namespace(site: Site) -> Scenario:
    """A whole namespace, and the node's rights with it: its jobs end, and no others."""
    kept, _ = site.sent("main", "sleep 8; echo here")
    running, _ = site.sent("far", RUNS)
    site.until_running(running)
    fetching, _ = site.fetching("for-a-namespace", "far")
    site.api.delete(f"/api/v1/namespaces/{site.far}")
    yield
    one, two, three = site.ended(running), site.ended(fetching), site.ended(kept)
    assert ending(one)[::2] == (41, "lost")
    assert two["status"] in (22, 31, 41) and site.far in site.told(two), site.told(two)
    assert ending(three) == (70, 0, None) and site.log(three) == "here\n"
    late, _ = site.sent("far", "true")
    record = site.ended(late)
    assert record["status"] in (11, 21) and site.far in site.told(record), site.told(record)


def test_a_missing_service_account_is_waited_for(site: Site) -> None:
    pod = {"serviceAccountName": "nobody", "containers": [{"name": "main", "image": "none"}]}
    with pytest.raises(NoRoom, match="no service account"):
        site.api.create(site.path("pods"), {"kind": "Pod", "metadata": {"name": "nobodys"}, "spec": pod})
