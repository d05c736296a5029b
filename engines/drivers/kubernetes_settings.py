"""Own what an operator says of a Kubernetes engine, and what an environment adds to it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

NODE_PODS = {"app.kubernetes.io/part-of": "c2d"}
DNS: Mapping[str, Any] = {
    "namespace": "kube-system",
    "pods": {"k8s-app": "kube-dns"},
    "addresses": ["169.254.20.10/32"],
}
"Where nearly every cluster has it, by whatever program; the address is that of a cache on each machine."
PENDING_S = 86_400
SLACK_S = 300
CLAIM, EMPTY_DIR = "claim", "emptyDir"


@dataclass(frozen=True)
class Placement:
    """Where and how the pods of one environment run."""

    namespace: str = "default"
    volume: str = CLAIM
    "`claim`: a volume claim and a pod a phase; `emptyDir`: one pod a job, which has its volume."
    storage_class: str | None = None
    "Null takes the cluster's default."
    runtime_class: str | None = None
    "`gvisor`, `kata` …; null takes the nodes' own runtime."
    pull_secrets: tuple[str, ...] = ()
    "Names of Secrets in the namespace that log in at registries."
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    queue: str | None = None
    "Kueue's queue for algorithms; null schedules them at once."


FIELDS = {
    "namespace": "namespace",
    "volume": "volume",
    "storageClass": "storage_class",
    "runtimeClass": "runtime_class",
    "imagePullSecrets": "pull_secrets",
    "nodeSelector": "node_selector",
    "tolerations": "tolerations",
    "queue": "queue",
}
"The wire's name of a setting → the field."


@dataclass(frozen=True)
class KubernetesSettings:
    """One engine."""

    engine: str
    placement: Placement = Placement()
    namespaces: tuple[str, ...] = ("default",)
    "All that environments use: where a job's things are looked for."
    pod_image: str = "c2d/pod:latest"
    pod_api_url: str | None = None
    "What the pods call; null where only algorithms run."
    node_pods: Mapping[str, str] = field(default_factory=lambda: dict(NODE_PODS))
    "Labels of the node's own pods, which the pods may call."
    dns: Mapping[str, Any] = field(default_factory=lambda: dict(DNS))
    "Where names are looked up: `namespace` and labels of `pods`, `addresses`, `port`."
    fetch_allow: tuple[str, ...] = ()
    "Private networks that the pods may fetch from."
    has_quota: bool = False
    "Whether the storage class itself keeps volumes to their size; else a small pod measures them."
    has_gate: bool = False
    "Whether an algorithm waits until the network keeps it in; it never starts where nothing does."
    capacity: Mapping[str, float] = field(default_factory=dict)
    "`cpu` in cores, `ram` in GiB, `disk` in GiB that the cluster can grow to; what is not named is counted."
    pending_s: int = PENDING_S
    "How long a pod may wait for a node."
    slack_s: int = SLACK_S
    "What the cluster's own bound on an algorithm has on top of the job's time."

    @classmethod
    def from_connection(
        cls, engine: str, connection: Mapping[str, Any], fetch_allow: Iterable[object] = ()
    ) -> KubernetesSettings:
        """Read what the operator wrote."""
        placement = placed(Placement(), connection)
        return cls(
            engine=engine,
            placement=placement,
            namespaces=tuple(dict.fromkeys((placement.namespace, *connection.get("namespaces", ())))),
            pod_image=str(connection.get("podImage") or cls.pod_image),
            pod_api_url=connection.get("podApiUrl"),
            node_pods=dict(connection.get("nodePods") or NODE_PODS),
            dns=dict(connection.get("dns") or DNS),
            fetch_allow=tuple(str(network) for network in fetch_allow),
            has_quota=bool(connection.get("volumeQuota", False)),
            has_gate=bool(connection.get("networkGate", False)),
            capacity=dict(connection.get("capacity") or {}),
            pending_s=int(connection.get("pendingSeconds", PENDING_S)),
            slack_s=int(connection.get("slackSeconds", SLACK_S)),
        )

    def place(self, own: Mapping[str, Any]) -> Placement:
        """The engine's placement with what an environment says of its own."""
        return placed(self.placement, own)


def placed(base: Placement, own: Mapping[str, Any]) -> Placement:
    """Replace what is said; lists are taken whole."""
    said = {name: own[key] for key, name in FIELDS.items() if own.get(key) is not None}
    for name in ("pull_secrets", "tolerations"):
        if name in said:
            said[name] = tuple(said[name])
    return replace(base, **said)
