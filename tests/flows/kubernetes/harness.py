"""A node of this machine whose jobs are pods of the real cluster: the words its flows are told in."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_one_manifests import pod_name
from shared.errors import C2DError
from shared.names import LABEL_ENGINE, JobId, Phase, container_name
from tests.file_server import Served, serve_files
from tests.flows.docker.harness import Json, Place, environment, new_name
from tests.services import kubernetes
from tests.services.kubernetes_account import least_rights
from tests.services.node import free_port, real_node
from tests.services.parts import Parts, node_in_parts

KINDS = ("pods", "secrets", "persistentvolumeclaims", "configmaps")


@dataclass
class KubernetesPlace(Place):
    """The same words as for Docker, and what the cluster says."""

    api: KubernetesApi
    namespace: str

    def path(self, kind: str, name: str = "") -> str:
        """Where a thing of the namespace is."""
        return f"/api/v1/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def pod(self, record: Json, phase: Phase) -> Json | None:
        """The pod of one phase."""
        return self.api.find(self.path("pods", container_name(JobId(record["jobId"]), phase)))

    def outside(self) -> list[str]:
        """What the cluster still has of this engine's jobs."""
        return [
            f"{kind} {each['metadata']['name']}"
            for kind in KINDS
            for each in self.api.items(self.path(kind))
            if LABEL_ENGINE in (each["metadata"].get("labels") or {})
        ]

    def leftovers(self) -> Json:
        """What should not be there once every job has ended; empty when all is well."""
        held = {table: self.rows(f"SELECT * FROM {table}") for table in ("reservation", "turn")}
        leases = self.rows("SELECT job_id FROM job WHERE lease_token IS NOT NULL")
        found = {**held, "leases": leases, "outside": self.outside()}
        return {what: some for what, some in found.items() if some}

    def events(self, job_id: str) -> str:
        """The job's timeline, as its owner reads it."""
        signed = self.consumer.signed("getComputeEvents")
        return json.dumps(self.consumer.get("/api/services/computeEvents", **signed, jobId=job_id))


class OnePodPlace(KubernetesPlace):
    """The same where all phases of a job are in one pod."""

    def pod(self, record: Json, phase: Phase) -> Json | None:
        """The pod that the phase is in."""
        return self.api.find(self.path("pods", pod_name(JobId(record["jobId"]))))


@contextlib.contextmanager
def starts_told(api: KubernetesApi, namespace: str, path: Path) -> Iterator[Path]:
    """Write down each pod of an engine's as it is made, which is when it is started; a name a line."""
    query = {"watch": "true", "labelSelector": LABEL_ENGINE}
    path.touch()

    def follow(response: Any) -> None:
        with contextlib.suppress(C2DError, HTTPError, OSError, ValueError, AttributeError), open(path, "a") as file:
            for line in lines_of(response):
                event = json.loads(line)
                if event["type"] == "ADDED":
                    file.write(f"{event['object']['metadata']['name']}\n")
                    file.flush()

    with api.stream(f"/api/v1/namespaces/{namespace}/pods", query=query, timeout_s=3600) as response:
        thread = threading.Thread(target=follow, args=(response,), daemon=True)
        thread.start()
        try:
            yield path
        finally:
            response.shutdown()
            thread.join(10)


def lines_of(response: Any) -> Iterator[bytes]:
    """The lines of a response that stays open."""
    rest = b""
    for chunk in response.stream(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())


@contextlib.contextmanager
def parts_on_kubernetes(folder: Path, lanes: int, **engine: Any) -> Iterator[tuple[Parts, KubernetesPlace]]:
    """A node in parts with some engines side by side, all in one namespace; passes are the test's."""
    address, port, served, api = kubernetes.host(), free_port(), Served(), connect({})
    with kubernetes.namespace() as namespace:
        names = [new_name() for _ in range(lanes)]
        settings = {
            "C2D_ENGINES": json.dumps([engine_of(name, namespace, **engine) for name in names]),
            "C2D_FETCH_ALLOW": f"{address}/32,127.0.0.0/8",
            "C2D_POD_API_URL": f"http://{address}:{port}",
        }
        with (
            serve_files(served, address) as url,
            starts_told(api, namespace, folder / "starts") as starts,
            node_in_parts(folder, address, port, **settings) as parts,
        ):
            for name in names:
                assert parts.start_pass(name, module="engines.run_kubernetes").wait(60) == 0
            yield parts, KubernetesPlace(parts, parts.consumer(), names, url, served, starts, api, namespace)


def engine_of(name: str, namespace: str, *environments: Json, **engine: Any) -> Json:
    """The setting of an engine whose jobs are in the namespace."""
    return {
        "name": name, "type": "kubernetes", "namespace": namespace, "storageClass": kubernetes.CLASS,
        "podImage": kubernetes.POD_IMAGE, "environments": list(environments) or [environment()], **engine,
    }  # fmt: skip


@contextlib.contextmanager
def kubernetes_place(
    folder: Path,
    *environments: Json,
    also: tuple[str, ...] = (),
    kind: type[KubernetesPlace] = KubernetesPlace,
    **engine: Any,
) -> Iterator[KubernetesPlace]:
    """A node with one engine, in a namespace of its own, with the shipped rights there and in `also`."""
    address, port, served = kubernetes.host(), free_port(), Served()
    with kubernetes.namespace() as namespace, least_rights(namespace, folder, *also) as account:
        name = new_name()
        chosen = engine_of(name, namespace, *environments, **{"kubeconfig": account, **engine})
        settings = {
            "C2D_ENGINES": json.dumps([chosen]),
            "C2D_FETCH_ALLOW": f"{address}/32,127.0.0.0/8",
            "C2D_POD_API_URL": f"http://{address}:{port}",
        }
        with (
            serve_files(served, address) as url,
            real_node(folder, "--host", address, "--port", str(port), **settings) as node,
        ):
            yield kind(node, node.consumer(), [name], url, served, folder, connect({}), namespace)
