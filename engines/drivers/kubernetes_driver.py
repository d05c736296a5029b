"""Own the Kubernetes engine: the driver's verbs as objects of the API.

A phase that is made is a note on the job's volume and a Secret; one that is started is a Pod, kept by a finalizer until
the job's things are removed. So a pod's name is the memory of its start, whoever deletes it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engines.drivers import kubernetes_manifests as manifests
from engines.drivers.base import Capabilities, ImageRef, PhaseSpec
from engines.drivers.kubernetes_api import NamespaceGone, selector
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_ending import ask_to_end
from engines.drivers.kubernetes_guard import Guard
from engines.drivers.kubernetes_images import KubernetesImages
from engines.drivers.kubernetes_logs import log_of
from engines.drivers.kubernetes_machine import capabilities_of
from engines.drivers.kubernetes_meter import Meter
from engines.drivers.kubernetes_nodes import not_ended
from engines.drivers.kubernetes_seen import has_ended, pod_seen, time_ms
from engines.drivers.kubernetes_settings import KubernetesSettings, Placement
from engines.drivers.kubernetes_storage import StorageClasses
from engines.drivers.kubernetes_things import is_leaving, is_ours, job_of, mark, notes_of, now_ms, others, remember
from engines.drivers.kubernetes_watch import watch_pods
from engines.observation import ContainerSeen, ContainerState, Seen
from shared import names
from shared.errors import Unavailable
from shared.files.base import Network
from shared.names import JobId, Phase

MADE, STARTED = "c2d.made", "c2d.started"
"Annotations of the volume, a phase's name behind each."
LOOK_S = 0.2
STOP_PATIENCE_S = 60
"Beyond the grace: a node tells an end within seconds, or is in trouble."
FREE_PATIENCE_S = 30
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"Secrets are listed without their contents."


class KubernetesDriver:
    """Drive one cluster. Threads share it; nothing is sent before the first verb.

    `connection`: what `kubernetes_settings` reads, and `context` or `kubeconfig`. `fetch_allow`: private networks that
    images and inputs may come from.
    """

    home = "persistentvolumeclaims"
    "The kind of what a job's other things hang on, and which has the notes: its volume."

    def __init__(self, engine: str, connection: Mapping[str, Any], fetch_allow: Iterable[Network] = ()) -> None:
        allowed = tuple(fetch_allow)
        self.settings = KubernetesSettings.from_connection(engine, connection, allowed)
        self._api = connect(connection)
        self._images = KubernetesImages(self._api, self.settings, allowed)
        self._meter = Meter(self._api, self.settings)
        self._classes = StorageClasses(self._api)
        self._guard = Guard(self._api, self.settings)
        self._engine = engine
        self._places: dict[JobId, str] = {}
        self._told: dict[str, str] = {}

    def daemon_id(self) -> str:
        """The cluster's: the uid of its namespace `kube-system`, as the cluster's makers recommend."""
        found = self._api.call("GET", "/api/v1/namespaces/kube-system").body
        return str(found["metadata"]["uid"])

    def capabilities(self) -> Capabilities:
        """All nodes that environments without a selector of their own may use, added up."""
        nodes = self._api.items("/api/v1/nodes", labels=self.settings.placement.node_selector)
        version = self._api.call("GET", "/version").body
        return capabilities_of(nodes, version, self.settings)

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        """Find it on a node, or have it pulled."""
        self._guard.ensure(self.settings.place(image.placement).namespace)
        return self._images.ensure(job_id, image, note)

    def ensure_policies(self, namespace: str) -> None:
        """Have the namespace's NetworkPolicies, for who tries whether they hold."""
        self._guard.ensure(namespace)

    def ensure_surroundings(self) -> None:
        """Have all NetworkPolicies again, should somebody have removed or changed one."""
        self._guard.ensure_again()

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        """Claim the volume; one that is there keeps the size it has."""
        self._ensure_claim(job_id, size_bytes, placement or {})

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Note on the volume that the phase may start, and have its Secret."""
        claim = self._home_for(spec)
        if spec.secret_environment:
            secret = manifests.owned(manifests.key_secret(spec), claim)
            self._api.create(self._path(spec.job_id, "secrets"), secret)
        if mark(MADE, spec.phase) not in notes_of(claim):
            self._annotate(spec.job_id, {mark(MADE, spec.phase): "yes"})

    def recreate(self, spec: PhaseSpec) -> None:
        """Remove the phase's ended pod, whose name is then free; one that may run is left alone."""
        path = self._pod_path(spec.job_id, spec.phase)
        until = time.monotonic() + FREE_PATIENCE_S
        while (pod := self._api.find(path)) is not None and has_ended(pod, now_ms()):
            self._let_go(path, pod, grace_s=0)
            if time.monotonic() > until:
                raise Unavailable("The ended pod of the job is not removed by its node.")
            time.sleep(LOOK_S)
        self.ensure_created(spec)

    def start(self, spec: PhaseSpec) -> None:
        """Make the pod, if the phase was made and its pod never was."""
        claim = self._claim(spec.job_id)
        if claim is None or mark(MADE, spec.phase) not in notes_of(claim):
            return
        if mark(STARTED, spec.phase) in notes_of(claim):
            return
        pod = manifests.owned(self.manifest(spec), claim)
        self._api.create(self._path(spec.job_id, "pods"), pod)
        if spec.phase is Phase.RUN:  # should even the finalizer be taken off by force, it is not run twice
            self._annotate(spec.job_id, {mark(STARTED, spec.phase): "yes"})

    def observe(self, job_id: JobId) -> Seen:
        """Look at the volume, whose notes tell what was made, and at the pods."""
        claim = self._claim(job_id)
        notes = notes_of(claim or {})
        containers: dict[Phase, ContainerSeen] = {}
        for phase in Phase:
            if mark(MADE, phase) in notes and mark(STARTED, phase) not in notes:
                containers[phase] = ContainerSeen(ContainerState.CREATED)
        for pod in self._pods(job_id):
            label = pod["metadata"]["labels"].get(names.LABEL_PHASE)
            if label in {phase.value for phase in Phase}:
                containers[Phase(label)] = pod_seen(pod, now_ms(), self.settings.pending_s)
        return Seen(has_volume=claim is not None, containers=containers)

    def measure_disk(self, job_id: JobId) -> int | None:
        """What the meter beside the running algorithm last printed; null before it does, and where it is needless."""
        if self.settings.has_quota:
            return None
        return self._meter.read(job_id, self._place(job_id), self._pod_path(job_id, Phase.RUN), self._claim(job_id))

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """Have the pod end, and kept: SIGTERM, and SIGKILL after the grace that all pods have."""
        path, until = self._pod_path(job_id, phase), time.monotonic() + manifests.GRACE_S + STOP_PATIENCE_S
        while (pod := self._api.find(path)) is not None and not has_ended(pod, now_ms()):
            ask_to_end(self._api, path, pod)
            if time.monotonic() > until:
                raise not_ended(self._api, path, pod, f"{phase} pod")
            time.sleep(LOOK_S)

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """The log of the phase's pod. No pod, or one that never ran, no bytes."""
        yield from log_of(self._api, self._pod_path(job_id, phase), manifests.MAIN, offset)

    def remove(self, job_id: JobId) -> None:
        """Remove pods, Secrets and volume; what a node still ends of them is on its way."""
        for namespace in self._candidates(job_id):
            with contextlib.suppress(NamespaceGone):  # it takes all along, and perhaps our rights to help with that
                self._remove_in(namespace, job_id)
        self._places.pop(job_id, None)

    def _remove_in(self, namespace: str, job_id: JobId) -> None:
        below, labels = f"/api/v1/namespaces/{namespace}", manifests.labels(job_id, self._engine)
        for pod in self._api.items(f"{below}/pods", labels=labels):
            self._let_go(f"{below}/pods/{pod['metadata']['name']}", pod)
        self._api.call("DELETE", f"{below}/secrets", query={"labelSelector": selector(labels)})
        path = f"{below}/{self.home}/{names.volume_name(job_id)}"
        claim = self._api.find(path)
        if claim is not None and is_ours(claim, self._engine):
            self._api.delete(path)

    def has_home(self, job_id: JobId) -> bool:
        """Whether the job has what its things hang on."""
        return self._claim(job_id) is not None

    def list_jobs(self) -> Mapping[JobId, int]:
        """Look for the engine's label on pods, volumes and Secrets; what is being deleted already is left to that."""
        youngest: dict[JobId, int] = {}
        for namespace in self.settings.namespaces:
            for kind in ("pods", self.home, "secrets"):
                path = f"/api/v1/namespaces/{namespace}/{kind}"
                for each in self._api.items(path, labels={names.LABEL_ENGINE: self._engine}, as_type=METADATA_ONLY):
                    if not is_leaving(each):
                        made_at = time_ms(each["metadata"]["creationTimestamp"]) or 0
                        youngest[job_of(each)] = max(made_at, youngest.get(job_of(each), 0))
        return {job_id: made_at for job_id, made_at in youngest.items() if job_id}

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Follow the pods of every namespace, a thread each; the first to break off ends all. Again: from there on."""
        broken: list[Unavailable] = []

        def has_ended() -> bool:
            return is_stopped() or bool(broken)

        def follow(namespace: str) -> None:
            try:
                watch_pods(self._api, self._engine, namespace, wake, has_ended, self._told)
            except NamespaceGone:
                return  # nothing happens there any more; should it come back, the next break takes it up
            except Unavailable as error:
                broken.append(error)

        threads = [threading.Thread(target=follow, args=(each,), daemon=True) for each in self.settings.namespaces]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if broken:
            raise broken[0]

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """The pod; what is secret is only referred to."""
        storage_class = self.settings.place(spec.placement).storage_class
        is_first = spec.phase is Phase.PROVISION and self._classes.is_bound_late(storage_class)
        return manifests.phase_pod(spec, self.settings, places_volume=is_first)

    def _ensure_claim(self, job_id: JobId, size_bytes: int, own: Mapping[str, Any]) -> dict[str, Any]:
        placement = self.settings.place(own)
        remember(self._places, job_id, placement.namespace)
        self._guard.ensure(placement.namespace)
        body = self._home_body(job_id, size_bytes, placement)
        until = time.monotonic() + FREE_PATIENCE_S
        while (found := self._claim(job_id)) is None:
            if not self._api.create(self._path(job_id, self.home), body):
                self._let_go_of_ended(job_id)
                if time.monotonic() > until:
                    raise Unavailable("The job's earlier volume is still being removed.")
                time.sleep(LOOK_S)
        return found

    def _let_go_of_ended(self, job_id: JobId) -> None:
        """Remove the pods that a volume which is going waits for, and which have nothing more to do."""
        for pod in self._pods(job_id):
            if has_ended(pod, now_ms()):
                self._let_go(f"{self._path(job_id, 'pods')}/{pod['metadata']['name']}", pod, grace_s=0)

    def _home_for(self, spec: PhaseSpec) -> dict[str, Any]:
        """What the phase's things hang on; made anew for inputs alone, since nothing else can be had again."""
        if spec.phase is Phase.PROVISION:
            return self._ensure_claim(spec.job_id, spec.disk_bytes, spec.placement)
        found = self._claim(spec.job_id)
        if found is None:
            raise Unavailable("The job's volume is gone.")
        return found

    def _home_body(self, job_id: JobId, size_bytes: int, placement: Placement) -> dict[str, Any]:
        return manifests.claim(job_id, self._engine, size_bytes, placement)

    def _claim(self, job_id: JobId) -> dict[str, Any] | None:
        """The volume's claim; one that is being deleted is gone, since nothing can mount it any more."""
        found = self._api.find(f"{self._path(job_id, self.home)}/{names.volume_name(job_id)}")
        is_there = found is not None and is_ours(found, self._engine) and not is_leaving(found)
        return found if is_there else None

    def _annotate(self, job_id: JobId, notes: Mapping[str, str | None]) -> None:
        path = f"{self._path(job_id, self.home)}/{names.volume_name(job_id)}"
        self._api.patch(path, {"metadata": {"annotations": dict(notes)}})

    def _pods(self, job_id: JobId) -> list[dict[str, Any]]:
        found = self._api.items(self._path(job_id, "pods"), labels=manifests.labels(job_id, self._engine))
        return [pod for pod in found if not is_leaving(pod)]

    def _let_go(self, path: str, pod: Mapping[str, Any], grace_s: int | None = None) -> None:
        """Delete a pod and take our hand off it."""
        if not pod["metadata"].get("deletionTimestamp") or grace_s == 0:
            self._api.delete(path, grace_s=1 if grace_s is None else grace_s, uid=pod["metadata"]["uid"])
        if pod["metadata"].get("finalizers"):
            mine = {"metadata": {"uid": pod["metadata"]["uid"], "finalizers": others(pod)}}
            self._api.patch(path, mine)

    def _path(self, job_id: JobId, kind: str) -> str:
        return f"/api/v1/namespaces/{self._place(job_id)}/{kind}"

    def _pod_path(self, job_id: JobId, phase: Phase) -> str:
        return f"{self._path(job_id, 'pods')}/{names.container_name(job_id, phase)}"

    def _place(self, job_id: JobId) -> str:
        """The namespace a job is in; where nobody of this process has put it, the one that has its volume."""
        known = self._places.get(job_id)
        if known is not None or len(self.settings.namespaces) == 1:
            return known or self.settings.namespaces[0]
        for namespace in self.settings.namespaces:
            path = f"/api/v1/namespaces/{namespace}/{self.home}/{names.volume_name(job_id)}"
            if self._api.find(path) is not None:
                remember(self._places, job_id, namespace)
                return namespace
        return self.settings.namespaces[0]

    def _candidates(self, job_id: JobId) -> tuple[str, ...]:
        known = self._places.get(job_id)
        return (known,) if known is not None else self.settings.namespaces
