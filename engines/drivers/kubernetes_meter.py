"""Own knowing how full a job's volume is: a small pod beside the algorithm measures it, and its log is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.drivers import kubernetes_manifests as manifests
from engines.drivers.base import NoRoom
from engines.drivers.kubernetes_api import KubernetesApi
from engines.drivers.kubernetes_seen import container_state
from engines.drivers.kubernetes_settings import KubernetesSettings
from shared.errors import JobError, Unavailable
from shared.names import JobId

LOG_S = 10
"So long the API server may take to ask the node for a meter's last line."


class Meter:
    """The meters of one engine. The algorithm can neither see nor end the one beside it."""

    def __init__(self, api: KubernetesApi, settings: KubernetesSettings) -> None:
        self._api = api
        self._settings = settings

    def read(self, job_id: JobId, namespace: str, run_path: str, claim: Mapping[str, Any] | None) -> int | None:
        """Bytes at the last look; null where the meter has not looked yet: then it is on its way."""
        pods = f"/api/v1/namespaces/{namespace}/pods"
        path = f"{pods}/{manifests.thing_name(job_id, manifests.METER)}"
        query = {"container": manifests.MAIN, "tailLines": 1}
        try:
            answer = self._api.call("GET", f"{path}/log", query=query, accept=(400, 404), timeout_s=LOG_S)
        except Unavailable:
            return None  # a node that does not answer must not keep the job from its deadline
        if answer.status == 200:
            return int(answer.body) if isinstance(answer.body, int) else None
        if answer.status == 400:
            self._let_refused_go(path)
        elif claim is not None:
            self._start(job_id, pods, run_path, claim)
        return None

    def _let_refused_go(self, path: str) -> None:
        """Remove a meter that its node had no room for: it stays refused, and the next look makes another."""
        pod = self._api.find(path)
        if pod is not None and pod["status"].get("phase") == "Failed":
            self._api.delete(path, grace_s=0, uid=pod["metadata"]["uid"])

    def _start(self, job_id: JobId, pods: str, run_path: str, claim: Mapping[str, Any]) -> None:
        """Put a meter on the node where the algorithm runs."""
        run = self._api.find(run_path)
        if run is None or "running" not in container_state(run):
            return
        body = manifests.meter_pod(job_id, self._settings, run)
        try:
            self._api.create(pods, manifests.owned(body, claim))
        except (NoRoom, JobError):
            """A quota without room for a meter must not keep the job from its deadline; the next look tries again."""
