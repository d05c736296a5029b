"""Own whether a pod's node is heard of, and giving up what was asked of one that is not."""

from __future__ import annotations

from typing import Any

from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_machine import is_well
from engines.drivers.kubernetes_seen import is_lost
from shared.errors import Unavailable


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


def has_lost_its_log(api: KubernetesApi, path: str) -> bool:
    """Whether a pod's log, which could not be had, is nobody's to wait for: it went with the pod, or with its node."""
    pod = api.find(path)
    return pod is None or is_lost(pod, None) or is_silent(api, pod)
