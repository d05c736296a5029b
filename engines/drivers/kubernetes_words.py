"""Own the sentences that tell an owner why a pod does not start yet; pure. Nothing is decided on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

GIB = 1 << 30
QUIET = frozenset({"", "ContainerCreating", "PodInitializing"})
"What needs no telling: it goes on by itself within seconds."
INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")
UNBOUND = "unbound immediate PersistentVolumeClaims"
UNHEARD = "the node it runs on does not answer; the cluster waits for it"
NODE_LOST = "The node the job ran on was lost"
DELETED = "The job's pod was deleted, by somebody or by the cluster to clear its node"
DISRUPTED = {
    "PreemptionByScheduler": "A pod of higher priority took the place of the job's",
    "DeletionByTaintManager": "The cluster took the job's pod off its node, which was in trouble or being cleared",
    "EvictionByEvictionAPI": "The job's pod was evicted, as when a node is drained",
    "DeletionByPodGC": NODE_LOST,
    "TerminationByKubelet": "The node the job ran on ended its pod, as when it runs short or is shut down",
}
"By the reason of a pod's condition `DisruptionTarget`, which clusters have from 1.26 on."
ENDED = {
    "NodeLost": NODE_LOST,
    "Evicted": "The node the job ran on evicted its pod",
    **dict.fromkeys(("NodeShutdown", "Shutdown", "Terminated"), "The node the job ran on was shut down"),
}
"By the reason of a pod that has failed."
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": GIB, "m": 0.001}


def no_node_words(pod: Mapping[str, Any]) -> str | None:
    """Why no node has taken the pod; null where the scheduler has not looked yet."""
    conditions = pod["status"].get("conditions") or ()
    scheduled: Mapping[str, Any] = next((each for each in conditions if each["type"] == "PodScheduled"), {})
    if scheduled.get("status") != "False":
        return None
    if scheduled.get("reason") == "SchedulingGated":
        return "queued: waits for its turn in the cluster's own queue"
    message = one_line(scheduled.get("message"))
    lacking = [amount_words(name, pod) for name in dict.fromkeys(INSUFFICIENT.findall(message))]
    if lacking:
        return f"queued: no node has {' and '.join(lacking)} free"
    if UNBOUND in message:
        return "queued: the cluster has not made its volume yet"
    return f"queued: no node of the cluster takes it ({message})"


def amount_words(resource: str, pod: Mapping[str, Any]) -> str:
    """How much of a resource the pod asks for, as people say it."""
    asked = sum(
        number((each.get("resources") or {}).get("requests", {}).get(resource, 0)) for each in pod["spec"]["containers"]
    )
    if resource == "cpu":
        return f"{asked:g} CPU cores"
    if resource == "memory":
        return f"{asked / GIB:.3g} GiB of memory"
    if resource == "ephemeral-storage":
        return f"{asked / GIB:.3g} GiB of disk"
    if resource == "pods":
        return "room for one more pod"
    what = "GPU" if "gpu" in resource.lower() else resource
    return f"{asked:g} {what}{'s' if what == 'GPU' and asked != 1 else ''}"


def number(quantity: object) -> float:
    """A Kubernetes quantity as a number."""
    text = str(quantity)
    suffix = next((each for each in UNITS if text.endswith(each)), "")
    return float(text.removesuffix(suffix)) * UNITS.get(suffix, 1)


def waits_words(waits: Mapping[str, Any]) -> str | None:
    """Why the node that has the pod does not start it; null where it is about to."""
    reason, message = str(waits.get("reason") or ""), one_line(waits.get("message"))
    if reason in QUIET:
        return None
    if "Image" in reason or reason == "RegistryUnavailable":
        return f"the node cannot have the image: {message or reason}"
    return f"the node cannot start the container: {message or reason}"


def lost_words(pod: Mapping[str, Any], *, is_unheard: bool = False) -> str | None:
    """Who or what took a pod away, as the start of a sentence; null where nobody did.

    `is_unheard`: it was deleted, and its node has not told its end.
    """
    status = pod["status"]
    conditions = status.get("conditions") or ()
    target: Mapping[str, Any] = next(
        (each for each in conditions if each["type"] == "DisruptionTarget" and each["status"] == "True"), {}
    )
    reason, message = str(status.get("reason") or ""), one_line(status.get("message"))
    if is_unheard:
        return NODE_LOST
    if target.get("reason") in DISRUPTED:
        return DISRUPTED[target["reason"]]
    if status.get("phase") == "Failed" and reason not in ("", "DeadlineExceeded"):
        told = ": ".join(each for each in ("" if reason in ENDED else reason, message) if each)
        return ENDED.get(reason, "The node the job was sent to ended its pod") + (f" ({told})" if told else "")
    return DELETED if pod["metadata"].get("deletionTimestamp") or target else None


def one_line(text: object) -> str:
    """At most 500 characters without line ends."""
    return " ".join(str(text or "").split())[:500]
