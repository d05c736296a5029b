"""Own whether a pod's node is heard of, and giving up what was asked of one that is not."""

from __future__ import annotations

from typing import Any

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_machine import is_well
from engines.drivers.kubernetes_seen import is_lost, time_ms
from engines.drivers.kubernetes_things import now_ms
from shared.errors import Unavailable

LOG_PATIENCE_MS = 600_000
"An API server that does not get to its nodes keeps no job from its end for longer."


def is_silent(api: KubernetesApi, pod: dict[str, Any]) -> bool:
    """Whether the pod's node was removed, or the cluster has not heard of it for a while."""
    name = pod["spec"].get("nodeName")
    if not name:
        return False
    found = api.call("GET", "/api/v1/nodes", query={"fieldSelector": f"metadata.name={name}"}).body["items"]
    return not any(is_well(node) for node in found)


def not_ended(api: KubernetesApi, path: str, pod: dict[str, Any], what: str) -> Unavailable:
    """What it means that a node does not end what it was told to end, in time: that it is tried again.

    On a node that is not heard of the pod is deleted first. Our finalizer keeps it, and if still nothing is heard
    after a while, it has ended as far as anybody can tell.
    """
    if not pod["metadata"].get("deletionTimestamp") and is_silent(api, pod):
        api.delete(path, uid=pod["metadata"]["uid"])
    return Unavailable(f"The node does not end the {what}.")


def has_lost_its_log(api: KubernetesApi, path: str, container: str) -> bool:
    """Whether a log that could not be had is nobody's to wait for: it went with its pod or node, or was waited for."""
    pod = api.find(path)
    return pod is None or is_lost(pod, None) or has_long_ended(pod, container, now_ms()) or is_silent(api, pod)


def has_long_ended(pod: dict[str, Any], container: str, at_ms: int) -> bool:
    """Whether a container ended so long before a time that its log, not had since, will not be had any more."""
    states = [each["state"] for each in pod["status"].get("containerStatuses") or () if each["name"] == container]
    ended_at = [time_ms((state.get("terminated") or {}).get("finishedAt")) for state in states]
    return any(each is not None and at_ms > each + LOG_PATIENCE_MS for each in ended_at)
