"""Where a cluster puts a job, and what it lacks: namespaces, quotas, devices, runtimes, registries with a login."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.ecies import encrypt
from shared.names import JobId, Phase, container_name
from tests.factories import command_body
from tests.flows.docker.harness import RESOURCES, environment, until
from tests.flows.kubernetes.harness import KubernetesPlace, kubernetes_place
from tests.needs import busybox_image, needs
from tests.services import kubernetes
from tests.services.registry import Registry, registry

pytestmark = [
    needs("kube", "docker"),
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("kubernetes"),
]
DEVICE = "c2d.test/gpu"
CLASS = "c2d-test-runtime"
LOGIN = ("reader", "a-password-nobody-else-has")
PULL_SECRET = "c2d-test-login"
Json = dict[str, Any]


@dataclass
class Site(KubernetesPlace):
    """A node with an environment for each question, two of them in a namespace of their own."""

    far: str = ""
    "The other namespace."

    def until_told(self, record: Json, words: str) -> None:
        """Wait until the owner reads this."""
        until(lambda: words in self.events(record["jobId"]) or None, lambda: self.events(record["jobId"]))

    def pod_in(self, namespace: str, record: Json, phase: Phase = Phase.RUN) -> Json | None:
        """A phase's pod in a namespace."""
        name = container_name(JobId(record["jobId"]), phase)
        return self.api.find(f"/api/v1/namespaces/{namespace}/pods/{name}")

    def until_pod(self, namespace: str, record: Json, phase: Phase = Phase.RUN) -> Json:
        """The same, once it is there."""
        found: Json = until(lambda: self.pod_in(namespace, record, phase), lambda: self.events(record["jobId"]))
        return found


def asked(name: str, **own: Any) -> Json:
    """An environment with something of its own on the cluster."""
    return environment(id=name, description=name, kubernetes=own)


def with_devices(name: str, **own: Any) -> Json:
    """One that offers devices."""
    resources = [*RESOURCES, {"id": "gpu", "total": 4, "min": 0, "max": 4}]
    return environment(id=name, description=name, resources=resources, kubernetes={"resources": {"gpu": DEVICE}, **own})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("placement")
    with kubernetes.namespace() as far:
        environments = (
            asked("near"),
            asked("far", namespace=far),
            with_devices("devices", tolerations=[{"key": DEVICE, "operator": "Exists", "effect": "NoSchedule"}]),
            asked("elsewhere", nodeSelector={"kubernetes.io/hostname": "no-such-machine"}),
            asked("runtime", runtimeClass=CLASS),
            asked("no-runtime", runtimeClass="c2d-test-no-such-class"),
            asked("login", imagePullSecrets=[PULL_SECRET]),
            asked("line", queue="a-queue"),
        )
        with kubernetes_place(folder, *environments, also=(far,)) as place:
            yield Site(**vars(place), far=far)


def test_each_environment_has_its_jobs_in_its_own_namespace(site: Site) -> None:
    sent = {name: site.sent(name, "echo up; sleep 3") for name in ("near", "far")}
    homes = {"near": site.namespace, "far": site.far}
    for name, home in homes.items():
        record = sent[name][1]
        assert site.until_pod(home, record)["metadata"]["namespace"] == home
        [other] = set(homes.values()) - {home}
        for kind in ("pods", "secrets", "persistentvolumeclaims"):
            here, there = (f"/api/v1/namespaces/{each}/{kind}" for each in (home, other))
            assert record["jobId"] in str(site.api.items(here)) and record["jobId"] not in str(site.api.items(there))
        policies = site.api.items(f"/apis/networking.k8s.io/v1/namespaces/{home}/networkpolicies")
        assert len(policies) == 3
    for workflow, _ in sent.values():
        [ended] = site.consumer.wait(workflow)
        assert ended["status"] == 70 and site.log(ended) == "up\n"
    until(lambda: not left(site, site.far) or None, lambda: left(site, site.far))


def left(site: Site, namespace: str) -> list[str]:
    """What of our jobs is in a namespace."""
    below = f"/api/v1/namespaces/{namespace}"
    kinds = ("pods", "persistentvolumeclaims", "secrets")
    found = [each["metadata"] for kind in kinds for each in site.api.items(f"{below}/{kind}")]
    return [each["name"] for each in found if each["name"].startswith("c2d-") and "deletionTimestamp" not in each]


def test_a_job_waits_while_the_quota_is_used_up_and_goes_on_when_there_is_room(site: Site) -> None:
    quotas = f"/api/v1/namespaces/{site.far}/resourcequotas"
    site.api.create(quotas, {"kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}})
    until(lambda: "hard" in (site.api.find(f"{quotas}/full") or {}).get("status", {}) or None)
    workflow, record = site.sent("far", "echo ran")
    site.until_told(record, "queued: the quota of the cluster's namespace is used up")
    assert site.pod_in(site.far, record, Phase.PROVISION) is None
    site.api.delete(f"{quotas}/full")
    [ended] = site.consumer.wait(workflow)
    assert ended["status"] == 70 and site.log(ended) == "ran\n"


@pytest.mark.long
def test_what_a_namespace_never_takes_ends_the_job_with_the_clusters_words(site: Site) -> None:
    limits = f"/api/v1/namespaces/{site.far}/limitranges"
    most = {"type": "Container", "max": {"memory": "1Gi"}}
    site.api.create(limits, {"kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": [most]}})
    try:
        workflow, record = site.sent("far", "true", compute={"ram": 2})
        [ended] = site.consumer.wait(workflow)
        assert ended["status"] in (41, 31), ended
        assert "maximum memory usage per Container is 1Gi" in site.events(record["jobId"])
    finally:
        site.api.delete(f"{limits}/small")


@pytest.fixture
def one_device(site: Site) -> Iterator[None]:
    """The node offers one, as the makers of Kubernetes describe it."""
    node = kubernetes.machines(site.api)[0]
    path = f"/api/v1/nodes/{node['metadata']['name']}/status"
    site.api.patch(path, {"status": {"capacity": {DEVICE: "1"}, "allocatable": {DEVICE: "1"}}})
    yield
    site.api.patch(path, {"status": {"capacity": {DEVICE: None}, "allocatable": {DEVICE: None}}})


@pytest.mark.usefixtures("one_device")
def test_a_job_has_the_device_it_asked_for_and_waits_for_more_than_there_is(site: Site) -> None:
    one, two = ([{"id": "gpu", "amount": amount}] for amount in (1, 2))
    first, holds = site.sent("devices", "exec sleep 100", resources=one)
    pod = site.until_pod(site.namespace, holds)
    [container] = pod["spec"]["containers"]
    assert container["resources"]["limits"][DEVICE] == container["resources"]["requests"][DEVICE] == "1"
    assert {"key": DEVICE, "operator": "Exists", "effect": "NoSchedule"} in pod["spec"]["tolerations"]
    second, waits = site.sent("devices", "echo mine", resources=one)
    third, never = site.sent("devices", "true", resources=two)
    site.until_told(waits, "queued: no node has 1 GPU free")
    site.until_told(never, "queued: no node has 2 GPUs free")
    site.consumer.stop(jobId=holds["jobId"])
    assert site.consumer.wait(first)[0]["terminationDetails"]["reason"] == "stopped"
    [ended] = site.consumer.wait(second)
    assert ended["status"] == 70 and site.log(ended) == "mine\n"
    site.consumer.stop(jobId=never["jobId"])
    assert site.consumer.wait(third)[0]["terminationDetails"]["reason"] == "stopped"


@pytest.mark.long
def test_a_job_for_machines_that_are_not_there_waits_and_says_so(site: Site) -> None:
    workflow, record = site.sent("elsewhere")
    site.until_told(record, "queued: no node of the cluster takes it (0/1 nodes are available")
    pod = site.until_pod(site.namespace, record, Phase.PROVISION)
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "no-such-machine"}
    site.consumer.stop(jobId=record["jobId"])
    assert site.consumer.wait(workflow)[0]["terminationDetails"]["reason"] == "stopped"


@pytest.mark.long
def test_a_job_runs_in_the_runtime_its_environment_names(site: Site) -> None:
    classes = "/apis/node.k8s.io/v1/runtimeclasses"
    site.api.create(classes, {"kind": "RuntimeClass", "metadata": {"name": CLASS}, "handler": "docker"})
    try:
        workflow, record = site.sent("runtime", "echo ran; sleep 2")
        assert site.until_pod(site.namespace, record)["spec"]["runtimeClassName"] == CLASS
        [ended] = site.consumer.wait(workflow)
        assert ended["status"] == 70 and site.log(ended) == "ran\n"
    finally:
        site.api.delete(f"{classes}/{CLASS}")


def test_a_runtime_that_the_cluster_does_not_know_ends_the_job_with_its_name(site: Site) -> None:
    workflow, record = site.sent("no-runtime")
    [ended] = site.consumer.wait(workflow)
    assert ended["status"] in (11, 22), "a pod that is to pull the image is the first, where a node does not list it"
    assert "c2d-test-no-such-class" in site.events(record["jobId"])


@pytest.mark.long
def test_the_algorithm_alone_carries_the_queues_label(site: Site) -> None:
    workflow, record = site.sent("line", "sleep 2")
    label = "kueue.x-k8s.io/queue-name"
    assert site.until_pod(site.namespace, record)["metadata"]["labels"][label] == "a-queue"
    earlier = site.pod_in(site.namespace, record, Phase.PROVISION)
    assert earlier is None or label not in earlier["metadata"]["labels"]
    assert site.consumer.wait(workflow)[0]["status"] == 70


@pytest.fixture(scope="module")
def private() -> Iterator[Registry]:
    """A registry that gives its image to one login alone."""
    with registry("c2d-test/private", login=LOGIN) as served:
        served.fill_with(layer())
        yield served


def layer() -> bytes:
    """All that is in the tests' small image."""
    import docker

    client = docker.from_env()
    try:
        saved = io.BytesIO(b"".join(client.images.get(busybox_image()).save()))
    finally:
        client.close()
    with tarfile.open(fileobj=saved) as archive:
        [described] = json.load(archive.extractfile("manifest.json") or io.BytesIO())
        [only] = described["Layers"]
        found = archive.extractfile(only)
        assert found is not None
        return found.read()


def bought(site: Site, served: Registry, name: str, password: str | None) -> str:
    """Start a job whose image is the registry's; the workflow's id."""
    image, _, tag = served.reference.rpartition(":")
    container = {"image": image, "tag": tag, "entrypoint": "sh $ALGO", "checksum": ""}
    body = command_body(
        environment=site.named(name),
        algorithm={"meta": {"rawcode": "echo pulled", "container": container}},
        datasets=[],
        resources=[{"id": "cpu", "amount": 0.1}, {"id": "ram", "amount": 0.1}, {"id": "disk", "amount": 0.1}],
    )
    body = {name: value for name, value in body.items() if value is not None and name != "dataset"}
    if password is not None:
        login = json.dumps({"username": LOGIN[0], "password": password}).encode()
        body["encryptedDockerRegistryAuth"] = encrypt(site.consumer.get("/")["nodePublicKey"], login).hex()
    return str(site.consumer.start(body)[0]["workflowId"])


@pytest.mark.long
def test_an_image_behind_a_login_is_had_with_the_right_password_alone(site: Site, private: Registry) -> None:
    wrong = bought(site, private, "near", "not-" + LOGIN[1])
    [refused] = site.consumer.wait(wrong, 200)
    assert refused["status"] == 11
    assert private.host in site.log(refused, "imageLog") and "cannot be had" in site.log(refused, "imageLog")
    [ended] = site.consumer.wait(bought(site, private, "near", LOGIN[1]), 200)
    assert ended["status"] == 70, site.log(ended, "imageLog")
    assert site.log(ended) == "pulled\n"
    [again] = site.consumer.wait(bought(site, private, "near", "not-" + LOGIN[1]), 200)
    assert again["status"] == 11, "the node has the image by now, and the password is still wrong"
    until(lambda: not left(site, site.namespace) or None, lambda: left(site, site.namespace))
    shown = json.dumps([site.events(each["jobId"]) for each in (refused, ended, again)])
    shown += json.dumps(site.api.items(site.path("pods"))) + json.dumps(site.api.items(site.path("events")))
    shown += "".join(site.log(each, "imageLog") for each in (refused, ended, again))
    assert LOGIN[1] not in shown
    for file in (site.node.folder).glob("c2d.sqlite*"):
        assert LOGIN[1].encode() not in file.read_bytes()


@pytest.mark.long
def test_an_environments_own_login_pulls_for_all_its_jobs(site: Site) -> None:
    with registry("c2d-test/shared", login=LOGIN) as served:
        served.fill_with(layer())
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        content = json.dumps({"auths": {served.host: {"auth": auth}}})
        secret = {
            "kind": "Secret",
            "metadata": {"name": PULL_SECRET},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": content},
        }
        site.api.create(site.path("secrets"), secret)
        [refused] = site.consumer.wait(bought(site, served, "near", None), 200)
        assert refused["status"] == 11
        [ended] = site.consumer.wait(bought(site, served, "login", None), 200)
        assert ended["status"] == 70 and site.log(ended) == "pulled\n"
