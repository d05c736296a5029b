"""A real cluster for tests: its volumes, which pods that are not root can write, and what is left in it.

The class of volumes is the tests' own: a folder of this machine for each claim, made here, handed to the claim's user
by the kubelet as it would hand over a disk. `python -m tests.services.kubernetes` keeps on making them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_things import notes_of
from shared.errors import C2DError
from shared.names import LABEL_JOB, JobId

CLASS = "c2d-test"
LATE = "c2d-test-late"
"A class that makes a volume where the first pod that mounts it is put."
ANYWHERE = "c2d-test-anywhere"
"One whose volumes every node has, as a network's storage is."
BINDING = {CLASS: "Immediate", LATE: "WaitForFirstConsumer", ANYWHERE: "Immediate"}
CHOSEN = "volume.kubernetes.io/selected-node"
"What the scheduler writes on a claim of the late class."
PROVISIONER = "c2d.node/test"
HOME = Path("/var/tmp/c2d-test-volumes")
EVERY_S = 0.2
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
"A cluster of 1.23 or newer refuses whatever is not."
POD_IMAGE = os.environ.get("C2D_TEST_POD_IMAGE", "c2d/pod:latest")
GHOST = "c2d.test/ghost"
"The label, and the taint, of nodes behind which there is no machine."
CLAIMS, VOLUMES = "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"


def host() -> str:
    """The address of this machine that pods reach."""
    return os.environ.get("C2D_KUBE_HOST_IP", "127.0.0.1")


def to_nodes(image: str) -> str:
    """Hand one of Docker's images to nodes that have a runtime of their own, by the command C2D_KUBE_LOAD."""
    if os.environ.get("C2D_KUBE_LOAD"):
        subprocess.run([os.environ["C2D_KUBE_LOAD"], image], check=True, stdout=subprocess.DEVNULL, timeout=120)
    return image


def server() -> str:
    """The API server's address, by the usual kubeconfig."""
    return str(kubeconfig()["server"])


def authority() -> bytes:
    """The certificate that vouches for it."""
    return base64.b64decode(kubeconfig()["certificate-authority-data"])


def kubeconfig() -> dict[str, Any]:
    """The first cluster of the file that KUBECONFIG names."""
    cluster: dict[str, Any] = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]
    return cluster


@contextlib.contextmanager
def namespace() -> Iterator[str]:
    """A namespace of one's own, with its volumes made for as long as the block lasts."""
    api, name = connect({}), f"c2d-test-{secrets.token_hex(4)}"
    with volumes(api):
        api.create("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
        try:
            yield name
        finally:
            let_go_of_all(api, name)
            api.delete(f"/api/v1/namespaces/{name}")


def let_go_of_all(api: KubernetesApi, name: str) -> None:
    """Take the finalizers off what a failed test has left, so that the namespace can go."""
    for pod in api.items(f"/api/v1/namespaces/{name}/pods"):
        path = f"/api/v1/namespaces/{name}/pods/{pod['metadata']['name']}"
        api.delete(path, grace_s=0)
        api.patch(path, {"metadata": {"finalizers": None}})


def nowhere(path: Path) -> Path:
    """A kubeconfig of a cluster that does not answer."""
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    users = [{"name": "u", "user": {"token": "none"}}]
    path.write_text(json.dumps({"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"}))
    return path


def egress_of(api: KubernetesApi, name: str, job_id: JobId) -> object:
    """All that the namespace's policies let a job's algorithm reach; null where none is about it."""
    [pod] = [
        each
        for each in api.items(f"/api/v1/namespaces/{name}/pods")
        if each["metadata"]["annotations"][LABEL_JOB] == job_id
    ]
    labels = pod["metadata"]["labels"]
    chosen = [
        each["spec"]
        for each in api.items(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies")
        if selects(each["spec"]["podSelector"], labels)
    ]
    assert all(each["policyTypes"] == ["Ingress", "Egress"] for each in chosen)
    return [rule for each in chosen for rule in each.get("egress", [])] if chosen else None


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a policy's selector means a pod with these labels."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    excluded = [each for each in selector.get("matchExpressions", ()) if labels.get(each["key"]) in each["values"]]
    return bool(wanted and not excluded)


@contextlib.contextmanager
def volumes(api: KubernetesApi) -> Iterator[None]:
    """Make what is claimed of the tests' classes, and remove what nobody claims any more."""
    for name, binding in BINDING.items():
        storage = {
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Retain",
            "volumeBindingMode": binding,
        }
        api.create("/apis/storage.k8s.io/v1/storageclasses", storage)
    ended = threading.Event()
    thread = threading.Thread(target=keep_making, args=(api, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def keep_making(api: KubernetesApi, ended: threading.Event) -> None:
    """Look again and again; a server that is away for a while is waited for."""
    while not ended.wait(EVERY_S):
        with contextlib.suppress(C2DError, OSError):
            make_and_remove(api)


def make_and_remove(api: KubernetesApi) -> None:
    """Serve all claims of the classes that have no volume, and remove the volumes whose claims are gone."""
    for claim in api.items(CLAIMS):
        is_late, is_chosen = claim["spec"].get("storageClassName") == LATE, CHOSEN in notes_of(claim)
        is_mine = claim["spec"].get("storageClassName") in BINDING
        if is_mine and not claim["spec"].get("volumeName") and (is_chosen or not is_late):
            make(api, claim)
    for volume in api.items(VOLUMES):
        is_mine = volume["spec"].get("storageClassName") in BINDING
        if is_mine and volume["status"].get("phase") in ("Released", "Failed"):
            api.delete(f"{VOLUMES}/{volume['metadata']['name']}")
            shutil.rmtree(HOME / volume["metadata"]["name"], ignore_errors=True)


def make(api: KubernetesApi, claim: dict[str, Any]) -> None:
    """A folder, and a volume that is it, for this claim alone."""
    name, of_class = f"c2d-test-{claim['metadata']['uid']}", claim["spec"]["storageClassName"]
    (HOME / name).mkdir(parents=True, exist_ok=True)
    body = {
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": of_class,
            "capacity": claim["spec"]["resources"]["requests"],
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {key: claim["metadata"][key] for key in ("namespace", "name", "uid")}
            | {"kind": "PersistentVolumeClaim"},
            **(on_every_machine(HOME / name) if of_class == ANYWHERE else on_one_machine(api, claim, HOME / name)),
        },
    }
    api.create(VOLUMES, body)


def on_one_machine(api: KubernetesApi, claim: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A folder that pods on the machine that was chosen for it alone can mount."""
    node = notes_of(claim).get(CHOSEN) or machines(api)[0]["metadata"]["name"]
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}}
    return {"local": {"path": str(folder)}, "nodeAffinity": affinity}


def on_every_machine(folder: Path) -> dict[str, Any]:
    """A folder that pods on every node mount; the kubelet hands it over to nobody, so it is everybody's."""
    folder.chmod(0o777)
    return {"hostPath": {"path": str(folder)}}


def machines(api: KubernetesApi) -> list[dict[str, Any]]:
    """The cluster's nodes but for those behind which there is no machine."""
    return [node for node in api.items("/api/v1/nodes") if GHOST not in node["metadata"]["labels"]]


if __name__ == "__main__":
    with volumes(connect({})):
        threading.Event().wait()
