"""A node of this machine whose jobs are pods of the real cluster: the words its flows are told in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_one_manifests import pod_name
from shared.names import LABEL_ENGINE, JobId, Phase, container_name
from tests.file_server import Served, serve_files
from tests.flows.docker.harness import Json, Place, environment, new_name
from tests.services import kubernetes
from tests.services.kubernetes_account import least_rights
from tests.services.node import free_port, real_node

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
        chosen = {
            "name": name, "type": "kubernetes", "namespace": namespace, "storageClass": kubernetes.CLASS,
            "podImage": kubernetes.POD_IMAGE, "environments": list(environments) or [environment()],
            "kubeconfig": account, **engine,
        }  # fmt: skip
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
