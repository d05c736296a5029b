"""Own what each phase's container is: pure functions from a job, its environment and the node to a `PhaseSpec`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engines.drivers.base import GpuRequest, ImageRef, PhaseSpec
from engines.entrypoint import command_of
from engines.job_view import GIB, disk_bytes
from shared.limits import publish_bytes
from shared.names import JobId, Phase

CONTRACT = {"VOLUME": "/data", "INPUTS": "/data/inputs", "OUTPUTS": "/data/outputs", "LOGS": "/data/logs"}
LOADER = ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT")
POD_MEMORY_BYTES = 512 << 20
POD_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER")
"A pod writes for the algorithm's user and reads what that user kept to itself."
ALGORITHM_USER = "1000:1000"


@dataclass(frozen=True)
class Pods:
    """What the two pods are made of and whom they call."""

    image: str
    api_url: str
    "`nodeHttpApi`: where the pod commands are answered."
    node_address: str


@dataclass(frozen=True)
class Order:
    """All that the phases of one job are made from; read from rows, opened by the engine alone."""

    job_id: JobId
    engine: str
    resources: Sequence[Mapping[str, Any]]
    max_duration_s: int
    environment: Mapping[str, Any]
    container: Mapping[str, Any]
    "The algorithm's image, tag, checksum, entrypoint."
    algorithm_did: str | None = None
    input_ids: Sequence[str] = ()
    "Per input that has one: its DID, or the id of the job whose outputs it is; in input order."
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry_login: Mapping[str, str] | None = field(default=None, repr=False)
    dockerfile: str | None = None
    extra_files: Mapping[str, str] = field(default_factory=dict)
    key: bytes = field(default=b"", repr=False)

    def amount(self, resource_id: str, default: float) -> float:
        """How much of a resource was granted."""
        return next((float(entry["amount"]) for entry in self.resources if entry["id"] == resource_id), 0) or default


def image_of(order: Order) -> ImageRef:
    """The algorithm's image: by digest where a checksum pins it, else by tag."""
    image, checksum = str(order.container.get("image", "")), str(order.container.get("checksum") or "")
    by_digest = f"{image}@{checksum}" if checksum.startswith("sha256:") else None
    reference = by_digest or f"{image}:{order.container.get('tag') or 'latest'}"
    return ImageRef(reference, order.registry_login, order.dockerfile, order.extra_files, placement_of(order))


def pod_spec(order: Order, pods: Pods, phase: Phase) -> PhaseSpec:
    """The configuration or the publishing pod: it alone is given the job's key."""
    module = "pods.configuration" if phase is Phase.PROVISION else "pods.publishing"
    disk = disk_bytes(list(order.resources))
    told = {"nodeHttpApi": pods.api_url, "jobId": order.job_id, "nodeAddress": pods.node_address}
    return PhaseSpec(
        job_id=order.job_id,
        engine=order.engine,
        phase=phase,
        image=pods.image,
        command=("python", "-m", module),
        environment=told | ({"maxBytes": str(publish_bytes(disk))} if phase is Phase.PUBLISH else {}),
        secret_environment={"privateKey": "0x" + order.key.hex()},
        user="0:0",
        acts_for=_algorithm_user(order),
        placement=placement_of(order),
        network="pod",
        cpu_cores=1.0,
        memory_bytes=POD_MEMORY_BYTES,
        disk_bytes=disk,
        capabilities=POD_CAPABILITIES,
    )


def run_spec(order: Order, image: str) -> PhaseSpec:
    """The algorithm: its own image and limits, no key, no network unless the environment grants one."""
    return PhaseSpec(
        job_id=order.job_id,
        engine=order.engine,
        phase=Phase.RUN,
        image=image,
        command=command_of(order.container.get("entrypoint")),
        environment=_algorithm_environment(order),
        user=_algorithm_user(order),
        has_registry_login=order.registry_login is not None,
        placement=placement_of(order),
        network=_network(order.environment),
        cpu_cores=order.amount("cpu", 1.0),
        memory_bytes=int(order.amount("ram", 1.0) * GIB),
        disk_bytes=disk_bytes(list(order.resources)),
        gpu=_gpu(order),
        home_defaults=True,
        max_seconds=order.max_duration_s,
    )


def placement_of(order: Order) -> Mapping[str, Any]:
    """What the environment says to a Kubernetes engine alone."""
    return order.environment.get("kubernetes") or {}


def _algorithm_user(order: Order) -> str:
    return "0:0" if order.environment.get("allowRoot") else ALGORITHM_USER


def _algorithm_environment(order: Order) -> dict[str, str]:
    """The contract's variables, which the consumer's own cannot replace."""
    dids = dict.fromkeys(bare_did(each) for each in order.input_ids)
    own = {
        **CONTRACT,
        "DIDS": json.dumps(list(dids)),
        "TRANSFORMATION_DID": bare_did(order.algorithm_did or ""),
        "secret": hashlib.sha256(b"c2d/algorithm-secret" + order.key).hexdigest()[:32],
    }
    forbidden = LOADER if order.environment.get("forbidLoaderVariables") else ()
    consumers = {name: value for name, value in order.envs.items() if name not in forbidden}
    return {**consumers, **own}


def bare_did(did: str) -> str:
    """The DID as folders and `DIDS` have it, without `did:op:`."""
    return did.removeprefix("did:op:")


def _network(environment: Mapping[str, Any]) -> str | None:
    """The operator's named network where the environment allows one; else none."""
    return str(environment["network"]) if environment.get("enableNetwork") and environment.get("network") else None


def _gpu(order: Order) -> GpuRequest:
    """The devices of every granted resource that brings some (wire §20.5)."""
    granted = {str(entry["id"]) for entry in order.resources if entry["amount"]}
    inits = [entry["init"] for entry in order.environment["resources"] if entry.get("init") and entry["id"] in granted]
    requests = tuple(init["deviceRequests"] for init in inits if init.get("deviceRequests"))
    named = placement_of(order).get("resources") or {}
    extended = {str(named[id]): int(order.amount(id, 0)) for id in sorted(granted) if id in named}
    return GpuRequest(requests, tuple(init["advanced"] for init in inits if init.get("advanced")), extended)
