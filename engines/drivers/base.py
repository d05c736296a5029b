"""Own the interface of drivers: the few idempotent verbs every engine offers. All pass one contract.

Nothing here assumes a local container: a driver may be a remote API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from engines.observation import Seen
from shared.errors import Unavailable
from shared.names import JobId, Phase

MASKED = "***"


class NoRoom(Unavailable):
    """The engine has no room for it now; the sentence is told to the owner, and it is tried again."""


@dataclass(frozen=True)
class ImageRef:
    """An image to have at hand before a job starts."""

    reference: str
    "`name:tag` or `name@sha256:…`."
    login: Mapping[str, str] | None = field(default=None, repr=False)
    "`username`, `password`, or `auth`; for this job's own registry."
    dockerfile: str | None = None
    "Built instead of pulled where given."
    extra_files: Mapping[str, str] = field(default_factory=dict)
    "Path → content beside the Dockerfile."
    placement: Mapping[str, Any] = field(default_factory=dict)
    "What the environment says to this kind of engine alone."


@dataclass(frozen=True)
class GpuRequest:
    """Devices as the environment's resource describes them (wire §20.5 `init`), for the ids granted."""

    device_requests: tuple[Mapping[str, Any], ...] = ()
    advanced: tuple[Mapping[str, Any], ...] = ()
    extended: Mapping[str, int] = field(default_factory=dict)
    "How many of what a cluster's nodes offer by name (`nvidia.com/gpu`)."


@dataclass(frozen=True)
class PhaseSpec:
    """One container of a job, whole; made by the pure functions of `engines.phases`."""

    job_id: JobId
    engine: str
    phase: Phase
    image: str
    command: tuple[str, ...] | None
    "Replaces the image's ENTRYPOINT and CMD; null keeps both."
    environment: Mapping[str, str]
    secret_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    "Given to the container, never shown nor kept."
    user: str | None = None
    "`uid:gid`; null keeps the image's own."
    network: str | None = None
    "Null = none; `pod` = the network of pods (it reaches the node, never the host); else the operator's named one."
    cpu_cores: float = 1.0
    memory_bytes: int = 1 << 30
    pids: int = 512
    disk_bytes: int = 1 << 30
    capabilities: tuple[str, ...] = ()
    "Added back after all are dropped."
    gpu: GpuRequest = GpuRequest()
    home_defaults: bool = False
    "Set HOME and cache folders under /tmp where the image has none (container contract §5.3)."
    max_seconds: int | None = None
    "A hint for engines that can bound a container themselves."
    acts_for: str | None = None
    "Whose files a pod writes and reads, `uid:gid`: who cannot be given a root's rights runs as that user."
    has_registry_login: bool = False
    "Whether the image needs the job's own registry login."
    placement: Mapping[str, Any] = field(default_factory=dict)
    "What the environment says to this kind of engine alone: namespace, node selector …"
    others: tuple[PhaseSpec, ...] = ()
    "The job's other phases, for an engine that must be told them all before it makes the first."

    def without_secrets(self) -> PhaseSpec:
        """The same with every secret masked: what is kept and shown."""
        masked = dict.fromkeys(self.secret_environment, MASKED)
        return replace(self, secret_environment=masked, others=tuple(each.without_secrets() for each in self.others))


@dataclass(frozen=True)
class Capabilities:
    """What `doctor` says of an engine."""

    kind: str
    version: str
    enforces_disk_quota: bool
    cpu_cores: float
    memory_bytes: int
    disk_bytes: int
    architecture: str
    "As on the wire: `x86_64`, `aarch64`."
    os: str = "linux"
    notes: tuple[str, ...] = ()
    most_cpu_cores: float | None = None
    most_memory_bytes: int | None = None
    "What the largest machine has, where there are several: a job runs on one. Null: as much as there is."
    pod_gateway: str | None = None
    "Address on this machine at which pods reach the node, where there is one (Docker's bridge)."


class Driver(Protocol):
    """What an engine can be asked. "Already so" is success; a second attempt finds what the first one made.

    Every verb raises `Unavailable` when the engine is out of reach ("could not look" is never "not there")
    and `JobError` with a sentence for the owner when this job cannot have it.
    """

    def daemon_id(self) -> str:
        """An id of the daemon behind the connection, the same as long as it is the same daemon."""
        ...

    def capabilities(self) -> Capabilities:
        """What the engine has and can do."""
        ...

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        """Have the image at hand (pull or build; may take minutes) and return the reference to run.

        `note` is given lines for image.log. Raises: JobError where there is no such image.
        """
        ...

    def ensure_surroundings(self) -> None:
        """Have again what stands around the engine's jobs, should somebody have removed it while they run.

        Raises: JobError where it cannot be had.
        """
        ...

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        """Have the job's volume, with a quota where the host can enforce one."""
        ...

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Have the phase's container made, not started; one that is there, in whatever state, is left as it is.

        Raises: JobError when it cannot be made.
        """
        ...

    def recreate(self, spec: PhaseSpec) -> None:
        """Remove the phase's ended container, if any, and make it anew, not started (lost pods only)."""
        ...

    def start(self, spec: PhaseSpec) -> None:
        """Start the container that was made, once: one that runs or ran is left alone, one that is gone is not made.

        From then on `observe` tells that it runs, with no `started_at_ms` as long as it only waits for the engine.
        Raises: JobError when it cannot start (then `observe` tells `start_error` as well).
        """
        ...

    def observe(self, job_id: JobId) -> Seen:
        """Tell what exists of the job."""
        ...

    def measure_disk(self, job_id: JobId) -> int | None:
        """Bytes on a running job's volume, measured from outside; null where that is needless or not known yet."""
        ...

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """Ask the container to end, and kill it after the grace; returns when it has ended."""
        ...

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """Yield the container's log so far from a byte offset: plain text, stdout and stderr merged in order."""
        ...

    def remove(self, job_id: JobId) -> None:
        """Remove containers, volume and built image of the job; nothing left is success."""
        ...

    def list_jobs(self) -> Mapping[JobId, int]:
        """Jobs of this engine's name that have anything outside, with the youngest thing's time (Unix ms)."""
        ...

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Call `wake` whenever a container of this engine starts or ends, until stopped; a hint, never the truth."""
        ...

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """The document this driver hands to its engine for a phase; pure."""
        ...
