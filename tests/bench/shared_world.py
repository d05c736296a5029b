"""An engine in memory that many processes share: what exists outside is files in a folder, as cheap as a look can be.

Its pods report as theirs do, through the database; its algorithms end by themselves after their time.
python -m tests.bench.shared_world FOLDER SECONDS      one process of passes; what it did is printed as JSON at its end
"""

from __future__ import annotations

import contextlib
import heapq
import json
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engines import cli, reconcile, watching
from engines.compose import now_ms
from engines.drivers.base import Capabilities, ImageRef, PhaseSpec
from engines.observation import ContainerSeen, ContainerState, Seen
from shared.db import jobs
from shared.names import JobId, Phase

GIB = 1 << 30
DONE = {"state": "done"}


class SharedDriver:
    """One folder a world: `<job>` is a volume, `<job>.<phase>` a container that holds when it ends (Unix ms)."""

    def __init__(self, folder: Path, run_ms: int) -> None:
        self._folder = folder
        self._run_ms = run_ms

    def daemon_id(self) -> str:
        return "shared"

    def capabilities(self) -> Capabilities:
        return Capabilities("memory", "1", False, 4000.0, 8000 * GIB, 8000 * GIB, "x86_64")

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        return image.reference

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        (self._folder / job_id).touch()

    def ensure_created(self, spec: PhaseSpec) -> None:
        with contextlib.suppress(FileExistsError), open(self._path(spec.job_id, spec.phase), "x"):
            pass

    def start(self, spec: PhaseSpec) -> None:
        path = self._path(spec.job_id, spec.phase)
        if not path.exists() or path.read_text():
            return
        ends_ms = now_ms()
        if spec.phase is Phase.RUN:
            ends_ms += self._run_ms // 2 + int(spec.job_id[:8], 16) % self._run_ms
        else:
            jobs.record_report(spec.job_id, spec.phase, DONE, ends_ms)
        path.write_text(f"{now_ms()} {ends_ms}")
        with open(self._folder.with_suffix(".events"), "a") as events:
            events.write(f"{ends_ms} {spec.job_id}\n")

    def ensure_started(self, spec: PhaseSpec) -> None:
        self.ensure_created(spec)
        self.start(spec)

    def restart(self, spec: PhaseSpec) -> None:
        self._path(spec.job_id, spec.phase).unlink(missing_ok=True)
        self.ensure_started(spec)

    def observe(self, job_id: JobId) -> Seen:
        containers = {phase: self._seen(path) for phase in Phase if (path := self._path(job_id, phase)).exists()}
        return Seen((self._folder / job_id).exists(), containers)

    def measure_disk(self, job_id: JobId) -> int | None:
        return 0

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        self._path(job_id, phase).write_text(f"{now_ms()} {now_ms()}")

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        yield from [b"nothing\n"[offset:]] if offset < 8 else []

    def remove(self, job_id: JobId) -> None:
        for path in (*(self._path(job_id, phase) for phase in Phase), self._folder / job_id):
            path.unlink(missing_ok=True)

    def ensure_surroundings(self) -> None:
        """Nothing stands around files."""

    def list_jobs(self) -> Mapping[JobId, int]:
        return {
            JobId(path.name): int(path.stat().st_mtime * 1000)
            for path in self._folder.iterdir()
            if "." not in path.name
        }

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Read what every process has started, and wake for each when it ends, as an engine's own events do."""
        coming: list[tuple[int, JobId]] = []
        events = self._folder.with_suffix(".events")
        events.touch()
        with open(events) as lines:
            lines.seek(0, 2)
            while not is_stopped():
                for line in lines:
                    ends_ms, _, job_id = line.strip().partition(" ")
                    heapq.heappush(coming, (int(ends_ms), JobId(job_id)))
                while coming and coming[0][0] <= now_ms():
                    wake(heapq.heappop(coming)[1])
                time.sleep(0.01)

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        return {"image": spec.image}

    def _path(self, job_id: JobId, phase: Phase) -> Path:
        return self._folder / f"{job_id}.{phase.value}"

    def _seen(self, path: Path) -> ContainerSeen:
        times = path.read_text().split()
        if len(times) != 2:
            return ContainerSeen(state=ContainerState.CREATED)
        began_ms, ends_ms = (int(each) for each in times)
        if ends_ms > now_ms():
            return ContainerSeen(state=ContainerState.RUNNING, started_at_ms=began_ms)
        return ContainerSeen(state=ContainerState.EXITED, exit_code=0, started_at_ms=began_ms, finished_at_ms=ends_ms)


def main() -> int:
    """Pass until told to end; then tell what it took."""
    folder, run_ms = Path(sys.argv[1]), int(float(sys.argv[2]) * 1000)
    passes: list[tuple[float, int]] = []

    def counted(*arguments: Any, **more: Any) -> Any:
        began = time.perf_counter()
        report = reconcile.reconcile_once(*arguments, **more)
        passes.append((time.perf_counter() - began, report.leased))
        return report

    watching.reconcile_once = counted  # type: ignore[attr-defined]

    def tell(*_: object) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "passes": list(passes)}), flush=True)

    signal.signal(signal.SIGUSR1, tell)
    return cli.run(
        "memory", lambda engine, connection, allow: SharedDriver(folder, run_ms), ["--engine", "scale", "--watch"]
    )


if __name__ == "__main__":
    sys.exit(main())
