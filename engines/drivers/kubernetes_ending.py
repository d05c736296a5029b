"""Own ending a pod without losing it: what is deleted takes its log along, so it is not deleted."""

from __future__ import annotations

from typing import Any

from engines.drivers.kubernetes_api import STRATEGIC, KubernetesApi
from engines.drivers.kubernetes_manifests import MAIN
from engines.drivers.kubernetes_seen import NO_IMAGE, is_held_back

PAST_S = 1
"A deadline that has passed for every pod that runs."
TELLS_ENDS = (1, 22)
"Nodes of earlier versions do not tell the exit code of a pod that its deadline ended."


def ask_to_end(api: KubernetesApi, path: str, pod: dict[str, Any]) -> None:
    """Have the node end the pod: SIGTERM, the pod's own grace, SIGKILL. May be repeated; the end is for others to see.

    A pod that no node has yet is deleted, which leaves what our finalizer keeps. One whose gate still waits has no exit
    code to lose, and another image would not end the gate.
    """
    if pod["metadata"].get("deletionTimestamp"):
        return
    if not pod["spec"].get("nodeName"):
        api.delete(path, uid=pod["metadata"]["uid"])
        return
    if version_of(api) < TELLS_ENDS and not is_held_back(pod):
        if pod["spec"]["containers"][0]["image"] != NO_IMAGE:
            containers = [{"name": MAIN, "image": NO_IMAGE}]
            api.patch(path, {"spec": {"containers": containers}}, content_type=STRATEGIC)
        return
    if pod["spec"].get("activeDeadlineSeconds") != PAST_S:
        api.patch(path, {"spec": {"activeDeadlineSeconds": PAST_S}})


def version_of(api: KubernetesApi) -> tuple[int, int]:
    """The server's version; some vendors write `20+`."""
    found = api.call("GET", "/version").body
    return int(found["major"]), int(str(found["minor"]).rstrip("+"))
