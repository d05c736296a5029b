"""The shipped minimal overlay, copied and filled in as its README tells an operator, on a real cluster.

One pod, SQLite and results on one volume: the example, then the pod lost in mid-job and nothing with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from engines.drivers.kubernetes_connect import connect
from infra.cluster import KUBERNETES
from infra.demonstration import data_owner
from tests.flows.kubernetes.stage import LIMIT_S, built_image, until
from tests.flows.kubernetes.work import check_the_examples_results, settings_of, sleeper, submitted
from tests.infra.kubernetes.built import built
from tests.needs import needs
from tests.services.kubernetes import CLASS, let_go_of_all, to_nodes, volumes
from tests.services.node import Consumer

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize"),
]

NODE = "app.kubernetes.io/name=c2d-node"
LONG_S = 10
"How long the job runs that loses its node: longer than the node is away, since its pods call back only for a while."


def test_one_pod_with_a_volume_is_a_node_and_loses_nothing_when_it_is_lost(tmp_path: Path) -> None:
    address = os.environ["C2D_KUBE_HOST_IP"]
    with volumes(connect({})), operated(tmp_path, address) as url, data_owner(address) as data:
        settings = settings_of(url, tmp_path)
        began = time.monotonic()
        assert submitted(data, settings).wait(LIMIT_S) == 0, kubectl("logs", "deploy/node", "-c", "pass", "--tail=60")
        check_the_examples_results(tmp_path / "before", settings)
        print(f"\nthe example's three jobs took {time.monotonic() - began:.0f} s")
        consumer = Consumer(url)
        [started] = consumer.submit([sleeper(LONG_S, cpu=0.25, disk=1)])
        until(lambda: consumer.status(workflowId=started["workflowId"])[0]["status"] == 40, "the job's algorithm")
        began = time.monotonic()
        lose_the_pod()
        until(lambda: answers(url), "the node after its pod was lost")
        print(f"the node answers again {time.monotonic() - began:.0f} s after its pod was lost")
        [ended] = consumer.wait(started["workflowId"], LIMIT_S)
        assert (ended["status"], ended["terminationDetails"]["exitCode"]) == (70, 0), ended
        check_the_examples_results(tmp_path / "after", settings)


@contextlib.contextmanager
def operated(folder: Path, address: str) -> Iterator[str]:
    """The README's steps, in their order; the node's address, and all of it gone afterwards."""
    away()
    own = filled_in(folder, to_nodes(built_image("node")), to_nodes(built_image("pod")), address)
    try:
        kubectl("create", "namespace", "c2d", namespace="")
        key = f"--from-literal=C2D_PRIVATE_KEY={secrets.token_hex(32)}"
        kubectl("create", "secret", "generic", "c2d-wallet", key)
        apply(own)
        service = json.loads(kubectl("get", "service", "node", "-o", "json"))["spec"]["clusterIP"]
        changed(own / "settings.env", "node.c2d.svc.cluster.local", service)  # this cluster has no DNS
        apply(own)
        kubectl("rollout", "status", "deploy/node", f"--timeout={LIMIT_S}s")
        url = f"http://{service}:8000"
        until(lambda: answers(url), "the engine's offer")
        assert "nothing in the way" in kubectl("exec", "deploy/node", "-c", "pass", "--", "c2d", "doctor")
        yield url
    finally:
        away()


def filled_in(folder: Path, node: str, pod: str, address: str) -> Path:
    """A copy of the overlay beside it, with the operator's images, class of volumes and data's address."""
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    own = folder / "kubernetes/overlays/own"
    shutil.copytree(KUBERNETES / "overlays/minimal", own)
    name, _, tag = node.rpartition(":")
    changed(
        own / "kustomization.yaml",
        "newName: registry.example.org/c2d/node, newTag: 0.1.0",
        f"newName: {name}, newTag: {tag}",
    )
    changed(own / "engines.yaml", "registry.example.org/c2d/pod:0.1.0", f"{pod}\n  storageClass: {CLASS}")
    changed(
        own / "node.yaml", "accessModes: [ReadWriteOnce]", f"accessModes: [ReadWriteOnce]\n  storageClassName: {CLASS}"
    )
    with (own / "settings.env").open("a") as settings:
        settings.write(f"C2D_FETCH_ALLOW={address}/32\n")
    return own


def changed(file: Path, old: str, new: str) -> None:
    """What an editor would do, once."""
    assert file.read_text().count(old) == 1, (file, old)
    file.write_text(file.read_text().replace(old, new))


def apply(own: Path) -> None:
    """`kubectl apply -k`, whose kustomize is too old where kubectl is."""
    listed = {"apiVersion": "v1", "kind": "List", "items": built(own)}
    kubectl("apply", "-f", "-", given=json.dumps(listed), namespace="")


def lose_the_pod() -> None:
    """As with its machine."""
    [name] = kubectl("get", "pods", "-l", NODE, "-o", "name").split()
    kubectl("delete", "--grace-period=0", "--force", "--wait=false", name)
    until(lambda: name not in kubectl("get", "pods", "-o", "name").split(), "the end of the pod")
    ready = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'  # the lost one may still answer a while
    until(lambda: kubectl("get", "pods", "-l", NODE, "-o", ready) == "True", "another pod")


def answers(url: str) -> bool:
    """Whether the node offers an environment."""
    try:
        return bool(Consumer(url).get("/api/services/computeEnvironments"))
    except (urllib3.exceptions.HTTPError, AssertionError):
        return False


def away() -> None:
    """Nothing of the overlay on the cluster, whoever left it; also where a test failed in mid-job."""
    let_go_of_all(connect({}), "c2d")
    kubectl("delete", "namespace", "c2d", "--ignore-not-found", f"--timeout={LIMIT_S}s", namespace="")
    kubectl("delete", "clusterrole,clusterrolebinding", "c2d-engine:c2d", "--ignore-not-found", namespace="")


def kubectl(*words: str, given: str | None = None, namespace: str = "c2d") -> str:
    """One command; what it printed."""
    where = ["-n", namespace] if namespace else []
    command = [os.environ.get("C2D_KUBE_KUBECTL", "kubectl"), *where, *words]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
