"""Own the Kubernetes engine whose jobs are one pod each, with the job's volume in it (`emptyDir`).

The pod's containers are made all at once, and held; a phase that is made is a note on the pod, one that is started has
its image. All hangs on a ConfigMap of the job's. With the pod its volume is gone: only a job that has come no further
than its inputs is then begun anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from engines.drivers import kubernetes_manifests as manifests
from engines.drivers import kubernetes_one_manifests as one
from engines.drivers.base import Capabilities, PhaseSpec
from engines.drivers.kubernetes_api import JSON_PATCH, STRATEGIC, refused
from engines.drivers.kubernetes_driver import (
    FREE_PATIENCE_S,
    LOOK_S,
    STOP_PATIENCE_S,
    KubernetesDriver,
)
from engines.drivers.kubernetes_logs import log_of
from engines.drivers.kubernetes_nodes import not_ended
from engines.drivers.kubernetes_one_seen import is_gone, phase_has_ended, phase_seen
from engines.drivers.kubernetes_seen import NO_IMAGE
from engines.drivers.kubernetes_settings import Placement
from engines.drivers.kubernetes_things import is_leaving, is_ours, notes_of, now_ms
from engines.observation import Seen
from shared.errors import JobError, Unavailable
from shared.files.base import Network
from shared.names import JobId, Phase

HAD_POD = "c2d.had-pod"
"A note: what the job's pod held is lost if it is not there."
SHARED = "With volume: emptyDir an algorithm has the network of its job's pod; NetworkPolicies follow it a moment late."


class OnePodDriver(KubernetesDriver):
    """Drive one cluster, a pod a job. Threads share it; nothing is sent before the first verb."""

    home = "configmaps"

    def __init__(self, engine: str, connection: Mapping[str, Any], fetch_allow: Iterable[Network] = ()) -> None:
        super().__init__(engine, connection, fetch_allow)
        self.settings = replace(self.settings, has_quota=True)  # the kubelet ends a pod that is over its volume's size

    def capabilities(self) -> Capabilities:
        """As with three pods, and what one of them means."""
        found = super().capabilities()
        return replace(found, notes=(*found.notes, SHARED))

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Have the job's pod, all held, and note on it that the phase may start; and have the phase's Secret."""
        home = self._home_for(spec)
        if spec.secret_environment:
            self._api.create(self._path(spec.job_id, "secrets"), manifests.owned(manifests.key_secret(spec), home))
        pod = self._pod(spec.job_id)
        if pod is None and HAD_POD not in notes_of(home):
            body = one.job_pod((spec, *spec.others), self.settings)
            body["metadata"] = one.with_marks(body["metadata"], one.made(spec)["metadata"])
            self._api.create(self._path(spec.job_id, "pods"), manifests.owned(body, home))
            pod = self._pod(spec.job_id)
        if pod is None:
            return
        if HAD_POD not in notes_of(home):
            self._annotate(spec.job_id, {HAD_POD: "yes"})
        if not one.image_of(pod, spec.phase.value):
            raise JobError(f"The job's pod was made without a container for {spec.phase}.")
        if not one.tries(pod, spec.phase):
            self._api.patch(self._one_path(spec.job_id), one.made(spec))

    def recreate(self, spec: PhaseSpec) -> None:
        """For publishing the pod's next container; for the inputs a new pod, as nothing is lost by that."""
        pod = self._pod(spec.job_id)
        if spec.phase is Phase.PROVISION:
            self._clear(spec.job_id)
        elif pod is not None and one.tries(pod, spec.phase) and phase_has_ended(pod, spec.phase, now_ms()):
            self._use_next(pod, spec)
        self.ensure_created(spec)

    def start(self, spec: PhaseSpec) -> None:
        """Put the image in its place, if the phase was made and is held: then the node starts the container."""
        pod = self._pod(spec.job_id)
        if pod is None or is_gone(pod) or not one.tries(pod, spec.phase):
            return
        if one.image_of(pod, one.container_of(pod, spec.phase)) != one.HELD:
            return
        path, steps = self._one_path(spec.job_id), one.opening(pod, spec, self.settings, now_ms())
        answer = self._api.call("PATCH", path, body=steps, content_type=JSON_PATCH, accept=(403, 404, 422))
        if answer.status in (403, 422) and self._is_held(spec):
            raise refused(f"The {spec.phase} container cannot be started", path, answer)

    def observe(self, job_id: JobId) -> Seen:
        """Look at the job's pod; without it there is a volume only as long as there never was one."""
        home, pod = self._claim(job_id), self._pod(job_id)
        if pod is None:
            return Seen(has_volume=home is not None and HAD_POD not in notes_of(home))
        seen = {phase: phase_seen(pod, phase, now_ms(), self.settings.pending_s) for phase in Phase}
        containers = {phase: each for phase, each in seen.items() if each is not None}
        return Seen(has_volume=home is not None and not is_gone(pod), containers=containers)

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """Take the image away: the node ends the container, after the grace that all have; the pod stays."""
        until = time.monotonic() + manifests.GRACE_S + STOP_PATIENCE_S
        while (pod := self._pod(job_id)) is not None and one.tries(pod, phase):
            if phase_has_ended(pod, phase, now_ms()):
                return
            name = one.container_of(pod, phase)
            if one.image_of(pod, name) != NO_IMAGE and not is_gone(pod):
                taken = {"spec": {"containers": [{"name": name, "image": NO_IMAGE}]}}
                self._api.patch(self._one_path(job_id), taken, content_type=STRATEGIC)
            if time.monotonic() > until:
                raise not_ended(self._api, self._one_path(job_id), pod, f"{phase} container")
            time.sleep(LOOK_S)

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """Read from the start and skip, from the phase's container that was last started."""
        pod = self._pod(job_id)
        if pod is None or not one.tries(pod, phase):
            return
        yield from log_of(self._api, self._one_path(job_id), one.container_of(pod, phase), offset)

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """The pod with this phase started; what is secret is only referred to."""
        pod = one.job_pod((spec, *spec.others), self.settings)
        for each in pod["spec"]["containers"]:
            if each["name"] == spec.phase.value:
                each["image"] = spec.image
        return pod

    def _clear(self, job_id: JobId) -> None:
        """Have no pod, where the one there is has nothing more to do for the inputs."""
        path, until = self._one_path(job_id), time.monotonic() + FREE_PATIENCE_S
        while (pod := self._api.find(path)) is not None:
            if not one.tries(pod, Phase.PROVISION) or not self._is_done_with(pod):
                return
            self._let_go(path, pod, grace_s=0)
            if time.monotonic() > until:
                raise Unavailable("The ended pod of the job is not removed by its node.")
            time.sleep(LOOK_S)
        if self._claim(job_id) is not None:
            self._annotate(job_id, {HAD_POD: None})

    def _is_done_with(self, pod: dict[str, Any]) -> bool:
        """Whether the pod's inputs were brought, or never will be; one that is still held is as good as a new one."""
        if one.image_of(pod, one.container_of(pod, Phase.PROVISION)) == one.HELD:
            return is_gone(pod)
        return phase_has_ended(pod, Phase.PROVISION, now_ms())

    def _use_next(self, pod: dict[str, Any], spec: PhaseSpec) -> None:
        number = one.tries(pod, spec.phase)
        if one.image_of(pod, one.container_of(pod, spec.phase)) == one.HELD:
            return
        if spec.phase is Phase.RUN or number == one.PUBLISH_TRIES:
            raise JobError(f"The job's pod has no container left for another {spec.phase}.")
        self._api.patch(self._one_path(spec.job_id), one.made(spec, number + 1))

    def _is_held(self, spec: PhaseSpec) -> bool:
        pod = self._pod(spec.job_id)
        return pod is not None and one.image_of(pod, one.container_of(pod, spec.phase)) == one.HELD

    def _pod(self, job_id: JobId) -> dict[str, Any] | None:
        """The job's pod, whatever it is at; one that goes with none of our doing is gone."""
        found = self._api.find(self._one_path(job_id))
        return found if found is not None and is_ours(found, self._engine) and not is_leaving(found) else None

    def _one_path(self, job_id: JobId) -> str:
        return f"{self._path(job_id, 'pods')}/{one.pod_name(job_id)}"

    def _home_body(self, job_id: JobId, size_bytes: int, placement: Placement) -> dict[str, Any]:
        return one.home_body(job_id, self._engine)
