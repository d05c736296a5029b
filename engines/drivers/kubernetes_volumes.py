"""Own which of the two kinds of volume a job on Kubernetes has, and sending each verb to who knows that kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engines.drivers.base import Capabilities, Driver, ImageRef, PhaseSpec
from engines.drivers.kubernetes_driver import KubernetesDriver
from engines.drivers.kubernetes_one_driver import OnePodDriver
from engines.drivers.kubernetes_settings import CLAIM, EMPTY_DIR
from engines.drivers.kubernetes_things import remember
from engines.observation import Seen
from shared.files.base import Network
from shared.names import JobId, Phase


def kubernetes_driver(engine: str, connection: Mapping[str, Any], fetch_allow: Iterable[Network] = ()) -> Driver:
    """Make an engine's driver. `connection` names in `volumes` what environments have beside its own `volume`."""
    if has_one_pod(connection):
        return EitherDriver(engine, connection, tuple(fetch_allow))
    return KubernetesDriver(engine, connection, fetch_allow)


def has_one_pod(connection: Mapping[str, Any]) -> bool:
    """Whether jobs of the engine, or of an environment of it, are one pod."""
    return EMPTY_DIR in (connection.get("volume", CLAIM), *connection.get("volumes", ()))


class EitherDriver:
    """Drive one cluster where a job has either kind; what exists of it tells which, whatever is set by now."""

    def __init__(self, engine: str, connection: Mapping[str, Any], fetch_allow: tuple[Network, ...]) -> None:
        self._three = KubernetesDriver(engine, connection, fetch_allow)
        self._one = OnePodDriver(engine, connection, fetch_allow)
        self._known: dict[JobId, KubernetesDriver] = {}

    def daemon_id(self) -> str:
        """The cluster's."""
        return self._one.daemon_id()

    def capabilities(self) -> Capabilities:
        """The machine is the same; what keeps volumes to their size is told for one pod a job."""
        return self._one.capabilities()

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        """Find it on a node, or have it pulled."""
        return self._one.ensure_image(job_id, image, note)

    def ensure_surroundings(self) -> None:
        """Have all NetworkPolicies again: both kinds have the same."""
        self._one.ensure_surroundings()

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        """Have what the job's environment asks for."""
        self._meant(job_id, placement or {}).ensure_volume(job_id, size_bytes, placement)

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Have the phase made."""
        self._meant(spec.job_id, spec.placement).ensure_created(spec)

    def recreate(self, spec: PhaseSpec) -> None:
        """Have the phase made anew."""
        self._meant(spec.job_id, spec.placement).recreate(spec)

    def start(self, spec: PhaseSpec) -> None:
        """Start what was made."""
        self._meant(spec.job_id, spec.placement).start(spec)

    def observe(self, job_id: JobId) -> Seen:
        """Tell what exists of the job."""
        return self._found(job_id).observe(job_id)

    def measure_disk(self, job_id: JobId) -> int | None:
        """Bytes on a claimed volume; null for one in a pod, which its node watches."""
        return self._found(job_id).measure_disk(job_id)

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """Have the phase end."""
        self._found(job_id).stop(job_id, phase, grace_s)

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """Yield the phase's log so far."""
        return self._found(job_id).read_log(job_id, phase, offset)

    def remove(self, job_id: JobId) -> None:
        """Remove what there is of either kind."""
        for each in (self._one, self._three):
            each.remove(job_id)
        self._known.pop(job_id, None)

    def list_jobs(self) -> Mapping[JobId, int]:
        """All of both kinds."""
        ones, threes = self._one.list_jobs(), self._three.list_jobs()
        return {job_id: max(ones.get(job_id, 0), threes.get(job_id, 0)) for job_id in {**ones, **threes}}

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Follow the engine's pods, of whichever kind."""
        self._one.watch(wake, is_stopped)

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """The pod as the environment has it."""
        return self._kind(spec.placement).manifest(spec)

    def _kind(self, placement: Mapping[str, Any]) -> KubernetesDriver:
        return self._one if self._one.settings.place(placement).volume == EMPTY_DIR else self._three

    def _meant(self, job_id: JobId, placement: Mapping[str, Any]) -> KubernetesDriver:
        """What the job has already; where it has nothing, what its environment says."""
        return self._looked(job_id, placement) or self._kind(placement)

    def _found(self, job_id: JobId) -> KubernetesDriver:
        return self._looked(job_id, {}) or self._three

    def _looked(self, job_id: JobId, placement: Mapping[str, Any]) -> KubernetesDriver | None:
        if job_id in self._known:
            return self._known[job_id]
        kinds = sorted((self._one, self._three), key=lambda each: each is not self._kind(placement))
        found = next((each for each in kinds if each.has_home(job_id)), None)
        if found is not None:
            remember(self._known, job_id, found)
        return found
