"""A node of this machine whose jobs are pods of the real cluster: the words its flows are told in."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_manifests import MAIN
from engines.drivers.kubernetes_one_manifests import JOB, pod_name
from shared.errors import C2DError
from shared.names import LABEL_ENGINE, JobId, Phase, container_name
from tests.file_server import Served, serve_files
from tests.flows.docker.harness import Json, Place, environment, job, new_name, until
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

    def says(self, record: Json, phase: Phase) -> str:
        """What the phase's container has printed so far."""
        pod = self.pod(record, phase)
        if pod is None:
            return ""
        path, names = self.path("pods", pod["metadata"]["name"]), [each["name"] for each in pod["spec"]["containers"]]
        query = {"container": phase.value if phase.value in names else MAIN}
        answer = self.api.call("GET", f"{path}/log", query=query, accept=(400, 404, 500))
        return str(answer.body) if answer.status == 200 else ""

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

    def named(self, name: str) -> str:
        """An environment's id by its description."""
        found = self.consumer.get("/api/services/computeEnvironments")
        [chosen] = [each["id"] for each in found if each["description"] == name]
        return str(chosen)

    def sent(self, name: str, script: str = "true", **changes: Any) -> tuple[str, Json]:
        """A job for an environment: the workflow's id and its first record."""
        workflow = self.submit(job(0, script, environment=self.named(name), **changes))
        return workflow, self.consumer.status(workflowId=workflow)[0]

    def fetching(self, name: str, where: str) -> tuple[str, Json]:
        """A job whose pod has begun to fetch an input that does not come yet."""
        given = [{"index": 0, "files": self.file(name, b"slow")}]
        workflow, record = self.sent(where, f"cat /data/inputs/{name}", input=given)
        until(lambda: any(each[1].endswith(f"/{name}") for each in self.served.requests))
        return workflow, record

    def events(self, job_id: str) -> str:
        """The job's timeline, as its owner reads it."""
        signed = self.consumer.signed("getComputeEvents")
        return json.dumps(self.consumer.get("/api/services/computeEvents", **signed, jobId=job_id))


class OnePodPlace(KubernetesPlace):
    """The same where all phases of a job are in one pod."""

    def pod(self, record: Json, phase: Phase) -> Json | None:
        """The pod that the phase is in."""
        return self.api.find(self.path("pods", pod_name(JobId(record["jobId"]))))

    def starts_of(self, job_id: str, phase: Phase = Phase.RUN) -> int:
        """How often a node started the phase's container; no two of the job's ran at a time."""
        assert f"{pod_name(JobId(job_id))} ran two at a time" not in self.starts.read_text().splitlines()
        return super().starts_of(job_id, phase)


def pods_made(event: Json) -> Iterator[str]:
    """A pod's name as it is made, which is when it is started."""
    if event["type"] == "ADDED":
        yield event["object"]["metadata"]["name"]


class ContainersStarted:
    """Tells of each container that a node starts, as if it were the phase's own; and where two of a job's run."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def __call__(self, event: Json) -> Iterator[str]:
        """What is new in an event."""
        about, statuses = event["object"]["metadata"], event["object"]["status"].get("containerStatuses") or ()
        if sum("running" in each["state"] for each in statuses) > 1:
            yield f"{about['name']} ran two at a time"
        for each in statuses:
            started = (about["uid"], each.get("containerID") or "")
            if started[1] and started not in self._known:
                self._known.add(started)
                yield about["name"].removesuffix(JOB) + each["name"].partition("-")[0]


@contextlib.contextmanager
def starts_told(
    api: KubernetesApi, namespace: str, path: Path, told_by: Callable[[Json], Iterable[str]] = pods_made
) -> Iterator[Path]:
    """Write down what events of an engine's pods tell of starts, a line each."""
    query = {"watch": "true", "labelSelector": LABEL_ENGINE}
    path.touch()

    def follow(response: Any) -> None:
        with contextlib.suppress(C2DError, HTTPError, OSError, ValueError, AttributeError), open(path, "a") as file:
            for line in lines_of(response):
                file.writelines(f"{each}\n" for each in told_by(json.loads(line)))
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
def parts_on_kubernetes(
    folder: Path, lanes: int, kind: type[KubernetesPlace] = KubernetesPlace, **engine: Any
) -> Iterator[tuple[Parts, KubernetesPlace]]:
    """A node in parts with some engines side by side, all in one namespace; passes are the test's."""
    told_by = ContainersStarted() if kind is OnePodPlace else pods_made
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
            starts_told(api, namespace, folder / "starts", told_by) as starts,
            node_in_parts(folder, address, port, **settings) as parts,
        ):
            for name in names:
                assert parts.start_pass(name, module="engines.run_kubernetes").wait(60) == 0
            yield parts, kind(parts, parts.consumer(), names, url, served, starts, api, namespace)


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
