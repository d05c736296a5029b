"""Own trying what pods reach, one that may call the node and one that may call nobody, under an engine's policies."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_manifests import LABEL_NETWORK, MAIN, USER, network_label, pod_body, small_container
from engines.drivers.kubernetes_seen import container_state
from engines.drivers.kubernetes_settings import KubernetesSettings
from engines.drivers.kubernetes_words import no_node_words, waits_words
from engines.drivers.manifests import POD_NETWORK
from shared.errors import Unavailable
from shared.names import LABEL_ENGINE

TRIES_S = 8
"How long it is tried: a network plugin learns of a pod a moment after its start."
PATIENCE_S = 90
LOOK_S = 0.3
SCRIPT = """
import json, os, socket, sys, time
wished, until = sys.argv[1] == "open", time.monotonic() + float(sys.argv[2])
addresses, first = [(sys.argv[3], int(sys.argv[4]))], None
if not wished and "KUBERNETES_SERVICE_HOST" in os.environ:
    addresses.append((os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])))
def is_open(address):
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True
while True:
    found = [f"{host}:{port}" for host, port in addresses if is_open((host, port))]
    first = found if first is None else first
    if bool(found) == wished or time.monotonic() > until:
        break
    time.sleep(0.2)
print(json.dumps({"first": first, "last": found}), flush=True)
"""
"The home call is made until it succeeds, the forbidden ones until they fail."


@dataclass(frozen=True)
class Reached:
    """What one pod could connect to, as host:port: at its first try, and at its last."""

    first: tuple[str, ...]
    last: tuple[str, ...]


def try_pods(api: KubernetesApi, settings: KubernetesSettings, namespace: str, token: str) -> tuple[Reached, Reached]:
    """Return what a pod of the node's reaches of the node, and an algorithm without network of node and API server.

    The policies must be there. Both pods are removed, whatever happens. Raises: Unavailable, JobError, NoRoom.
    """
    pods = f"/api/v1/namespaces/{namespace}/pods"
    bodies = [
        probe(settings, namespace, f"{token}-home", POD_NETWORK),
        probe(settings, namespace, f"{token}-wall", None),
    ]
    try:
        for body in bodies:
            api.create(pods, body)
        home, wall = (answer(api, f"{pods}/{body['metadata']['name']}") for body in bodies)
    finally:
        for body in bodies:
            api.delete(f"{pods}/{body['metadata']['name']}", grace_s=0)
    return home, wall


def probe(settings: KubernetesSettings, namespace: str, token: str, network: str | None) -> dict[str, Any]:
    """A pod that tries, and ends by itself; it belongs to no job."""
    parts = urlsplit(str(settings.pod_api_url))
    address = [str(parts.hostname), str(parts.port or (443 if parts.scheme == "https" else 80))]
    words = ["python3", "-c", SCRIPT, "open" if network else "shut", str(TRIES_S), *address]
    body = pod_body(settings.place({"namespace": namespace}), USER)
    body |= {"activeDeadlineSeconds": PATIENCE_S, "containers": [small_container(settings.pod_image, words)]}
    marks = {LABEL_ENGINE: settings.engine, LABEL_NETWORK: network_label(network)}
    about = {"name": f"c2d-doctor-{token}", "labels": marks}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body}


def answer(api: KubernetesApi, path: str) -> Reached:
    """Wait for a pod's end and read what it says. Raises: Unavailable, with the reason it does not start."""
    until = time.monotonic() + PATIENCE_S
    while (pod := api.find(path) or {"status": {"phase": "Failed"}, "spec": {}})["status"].get("phase") != "Succeeded":
        trouble = no_node_words(pod) or waits_words(container_state(pod).get("waiting") or {})
        if pod["status"].get("phase") == "Failed" or time.monotonic() > until:
            raise Unavailable(f"The doctor's pod did not run: {trouble or pod['status'].get('message') or 'it failed'}")
        time.sleep(LOOK_S)
    told = api.call("GET", f"{path}/log", query={"container": MAIN}).body
    told = told if isinstance(told, dict) else json.loads(told)
    return Reached(tuple(told["first"]), tuple(told["last"]))
