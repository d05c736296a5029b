"""Own an engine in memory: containers are small scripts, so that every flow can be run in milliseconds, and broken.

It is a driver like the others and passes their contract; `--engine` never offers it to operators.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engines.drivers.base import Capabilities, ImageRef, PhaseSpec
from engines.observation import ContainerSeen, ContainerState, Seen
from shared.errors import JobError, Unavailable
from shared.names import JobId, Phase

GIB = 1 << 30


@dataclass(frozen=True)
class Script:
    """What a container does when it is started; `act` is its side effect on the world, once."""

    exit_code: int | None = 0
    "Null keeps it running until it is stopped."
    log: bytes = b""
    oom_killed: bool = False
    start_error: str | None = None
    writes_bytes: int = 0
    act: Callable[[PhaseSpec], None] | None = None
    ignores_term: bool = False


@dataclass
class Container:
    """A container in memory."""

    spec: PhaseSpec
    script: Script
    seen: ContainerSeen


@dataclass
class World:
    """What outlives every pass: one daemon's containers, volumes and images, per engine name."""

    daemon_id: str = "memory"
    is_down: bool = False
    images: set[str] = field(default_factory=set)
    volumes: dict[tuple[str, JobId], int] = field(default_factory=dict)
    used_bytes: dict[tuple[str, JobId], int] = field(default_factory=dict)
    containers: dict[tuple[str, JobId, Phase], Container] = field(default_factory=dict)
    runs: list[tuple[JobId, Phase]] = field(default_factory=list)
    "Every start that really happened."
    made_at_ms: dict[tuple[str, JobId], int] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)


class MemoryDriver:
    """Drive a `World`; `script_of` says what each container will do."""

    def __init__(
        self, engine: str, world: World, script_of: Callable[[PhaseSpec], Script], now_ms: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._world = world
        self._script_of = script_of
        self._now_ms = now_ms

    def daemon_id(self) -> str:
        """The world's id."""
        self._reach()
        return self._world.daemon_id

    def capabilities(self) -> Capabilities:
        """A machine of eight cores."""
        self._reach()
        return Capabilities("memory", "1", False, 8.0, 16 * GIB, 100 * GIB, "x86_64")

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        """Every image but those named `missing…` can be had."""
        self._reach()
        if image.reference.startswith("missing"):
            raise JobError(f"There is no image {image.reference}.")
        note(f"image {image.reference} is present")
        self._world.images.add(image.reference)
        return image.reference

    def ensure_surroundings(self) -> None:
        """Nothing stands around them."""

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        """Remember the volume."""
        self._reach()
        self._world.volumes.setdefault((self._engine, job_id), size_bytes)
        self._world.made_at_ms.setdefault((self._engine, job_id), self._now_ms())

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Remember the container, unless there is one."""
        self._reach()
        with self._world.changed:
            made = Container(spec, self._script_of(spec), ContainerSeen(ContainerState.CREATED))
            self._world.containers.setdefault(self._key(spec.job_id, spec.phase), made)
            self._world.made_at_ms[self._engine, spec.job_id] = self._now_ms()

    def recreate(self, spec: PhaseSpec) -> None:
        """Forget the ended container; a running one is left alone."""
        self._reach()
        found = self._world.containers.get(self._key(spec.job_id, spec.phase))
        if found is not None and found.seen.state is ContainerState.EXITED:
            del self._world.containers[self._key(spec.job_id, spec.phase)]
        self.ensure_created(spec)

    def start(self, spec: PhaseSpec) -> None:
        """Run the script of the container that was made."""
        self._reach()
        with self._world.changed:
            found = self._world.containers.get(self._key(spec.job_id, spec.phase))
            if found is None or found.seen.state is not ContainerState.CREATED:
                return
            found.seen = self._begun(found.script)
            if found.seen.start_error is None:
                self._run(found)
            self._world.changed.notify_all()
        if found.seen.start_error:
            raise JobError(found.seen.start_error)
        if found.script.act is not None:
            found.script.act(spec)

    def _begun(self, script: Script) -> ContainerSeen:
        if script.start_error is not None:
            return ContainerSeen(ContainerState.CREATED, start_error=script.start_error)
        now_ms, runs_on = self._now_ms(), script.exit_code is None
        return ContainerSeen(
            state=ContainerState.RUNNING if runs_on else ContainerState.EXITED,
            exit_code=script.exit_code,
            oom_killed=script.oom_killed,
            started_at_ms=now_ms,
            finished_at_ms=None if runs_on else now_ms,
        )

    def _run(self, container: Container) -> None:
        key = (self._engine, container.spec.job_id)
        self._world.runs.append((container.spec.job_id, container.spec.phase))
        self._world.used_bytes[key] = self._world.used_bytes.get(key, 0) + container.script.writes_bytes

    def observe(self, job_id: JobId) -> Seen:
        """Tell what the world has of the job."""
        self._reach()
        found = {phase: self._world.containers.get(self._key(job_id, phase)) for phase in Phase}
        containers = {phase: each.seen for phase, each in found.items() if each is not None}
        return Seen((self._engine, job_id) in self._world.volumes, containers)

    def measure_disk(self, job_id: JobId) -> int | None:
        """What the scripts wrote."""
        self._reach()
        return self._world.used_bytes.get((self._engine, job_id), 0)

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """End a running container: by SIGTERM, or by SIGKILL where it does not listen."""
        self._reach()
        with self._world.changed:
            found = self._world.containers.get(self._key(job_id, phase))
            if found is None or found.seen.state is not ContainerState.RUNNING:
                return
            code = 137 if found.script.ignores_term else 143
            found.seen = replace(found.seen, state=ContainerState.EXITED, exit_code=code, finished_at_ms=self._now_ms())
            self._world.changed.notify_all()

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """What the script said."""
        self._reach()
        found = self._world.containers.get(self._key(job_id, phase))
        if found is not None and found.seen.started_at_ms is not None and found.script.log[offset:]:
            yield found.script.log[offset:]

    def remove(self, job_id: JobId) -> None:
        """Forget everything of the job."""
        self._reach()
        with self._world.changed:
            for phase in Phase:
                self._world.containers.pop(self._key(job_id, phase), None)
            for held in (self._world.volumes, self._world.used_bytes, self._world.made_at_ms):
                held.pop((self._engine, job_id), None)

    def list_jobs(self) -> Mapping[JobId, int]:
        """Jobs that have anything here."""
        self._reach()
        return {job_id: at_ms for (engine, job_id), at_ms in self._world.made_at_ms.items() if engine == self._engine}

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Wake for every job on each change."""
        while not is_stopped():
            self._reach()
            with self._world.changed:
                has_changed = self._world.changed.wait(timeout=0.05)
            for engine, job_id, _ in list(self._world.containers) if has_changed else []:
                if engine == self._engine:
                    wake(job_id)

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """The spec as plain data."""
        environment = {**spec.environment, **spec.secret_environment}
        return {"image": spec.image, "command": spec.command, "environment": environment, "network": spec.network}

    def _key(self, job_id: JobId, phase: Phase) -> tuple[str, JobId, Phase]:
        return (self._engine, job_id, phase)

    def _reach(self) -> None:
        if self._world.is_down:
            raise Unavailable("The engine is out of reach.")
