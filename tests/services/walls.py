"""Whether a cluster's network enforces NetworkPolicies, and what a pod reaches: asked of pods that try to connect."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from engines.drivers import kubernetes_manifests as manifests
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_settings import Placement
from tests.services import kubernetes

PATIENCE_S = 60
"A network plugin may need a moment to learn of a new pod."
ENFORCED_S = 15
TRIES = """\
import json, os, socket, sys, time
limit_s, targets, wanted = float(sys.argv[1]), json.loads(sys.argv[2]), set(json.loads(sys.argv[3]))
targets["api"] = [os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])]
def is_open(address):
    try:
        socket.create_connection(tuple(address), 1).close()
    except OSError:
        return False
    return True
began, right = time.monotonic(), 0
while right < 3 and time.monotonic() < began + limit_s:
    found = {name for name, address in targets.items() if is_open(address)}
    right = right + 1 if found == wanted else 0
    print(json.dumps([round(time.monotonic() - began, 1), sorted(found)]), flush=True)
    time.sleep(0.3)
"""
"Prints, again and again, the names of what can be connected to; ends when that was thrice what it should be."
LISTENS = """\
import selectors, socket, sys
doors = selectors.DefaultSelector()
for port in sys.argv[1:]:
    doors.register(socket.create_server(("", int(port))), selectors.EVENT_READ)
print("listening", flush=True)
while True:
    for key, _ in doors.select():
        key.fileobj.accept()[0].close()
"""
Targets = Mapping[str, tuple[str, int]]


def tries(targets: Targets, wanted: set[str], limit_s: float = PATIENCE_S) -> tuple[str, ...]:
    """The command of a pod that tries; beside the targets it tries the API server, as `api`."""
    return ("python3", "-c", TRIES, str(limit_s), json.dumps(targets), json.dumps(sorted(wanted)))


def listens(*ports: int) -> tuple[str, ...]:
    """The command of a pod that takes connections."""
    return ("python3", "-c", LISTENS, *(str(port) for port in ports))


def reached(log: bytes) -> set[str]:
    """What was open at last."""
    return set(json.loads(log.splitlines()[-1])[1])


def ever_reached(log: bytes) -> set[str]:
    """What was open at any moment."""
    return {name for line in log.splitlines() for name in json.loads(line)[1]}


def bare_pod(
    api: KubernetesApi, namespace: str, name: str, command: tuple[str, ...], labels: Mapping[str, str] | None = None
) -> str:
    """Start a pod that is no engine's; where it is."""
    body = manifests.pod_body(Placement(), manifests.USER)
    body["containers"] = [manifests.small_container(kubernetes.POD_IMAGE, list(command))]
    about = {"name": name, "labels": {"bare": name, **(labels or {})}}
    path = f"/api/v1/namespaces/{namespace}/pods"
    api.create(path, {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body})
    return f"{path}/{name}"


def until_phase(api: KubernetesApi, path: str, *phases: str) -> dict[str, Any]:
    """The pod, once it is in one of these phases."""
    end = time.monotonic() + 2 * PATIENCE_S
    while (pod := api.find(path) or {}).get("status", {}).get("phase") not in phases:
        assert time.monotonic() < end, pod
        time.sleep(0.2)
    return pod


def log_of(api: KubernetesApi, path: str) -> bytes:
    """All that a pod has printed."""
    with api.stream(f"{path}/log") as response:
        return bytes(response.read())


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, int]]:
    """An address of this machine at which pods' connections are taken."""
    with socket.create_server((kubernetes.host(), 0)) as server:
        threading.Thread(target=take_all, args=(server,), daemon=True).start()
        yield server.getsockname()[:2]


def take_all(server: socket.socket) -> None:
    """Take connections until the listener is closed."""
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def is_enforced(api: KubernetesApi) -> bool:
    """Whether a pod of a namespace whose policy forbids everything is kept from connecting, and is not without one."""
    with kubernetes.namespace() as namespace, listener() as here:
        targets = {"here": here}
        path = bare_pod(api, namespace, "free", tries(targets, {"here", "api"}, ENFORCED_S))
        until_phase(api, path, "Succeeded", "Failed")
        if reached(log_of(api, path)) != {"here", "api"}:
            raise AssertionError(f"pods of this cluster do not reach this machine: {log_of(api, path).decode()}")
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "nothing"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        }
        api.create(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies", policy)
        path = bare_pod(api, namespace, "walled", tries(targets, set(), ENFORCED_S))
        until_phase(api, path, "Succeeded", "Failed")
        return not reached(log_of(api, path)) & {"here"}
