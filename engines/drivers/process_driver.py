"""Own the process engine: phases as children of small supervisors, in private namespaces, with no daemon behind them.

Everything known of a job lies in its folder and in /proc, so any pass of any process finds it:
`<engine>/jobs/<job id>/` holds `volume`, and for each phase a folder as `process_state` describes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engines.drivers import process_launch as launch
from engines.drivers import process_phase as phases
from engines.drivers import process_state as states
from engines.drivers import process_tree as tree
from engines.drivers.base import Capabilities, ImageRef, PhaseSpec
from engines.drivers.process_limits import find_cgroup, remove_group
from engines.drivers.process_watch import watch_folder
from engines.observation import Seen
from shared.errors import JobError, Unavailable
from shared.names import JobId, Phase, container_name, new_token

KIND = "process"
TRUST_NOTE = "for development and trusted code only: programs share this machine's kernel and its own programs"
LOCK_WAIT_S = 90
STEP_S = 0.01
CHUNK = 1 << 16

_JOB_ID = re.compile(r"[0-9A-Za-z]{1,128}")
TIDY_S = 5.0
"How long a supervisor may take to put things away after the end."


class ProcessDriver:
    """The driver of one process engine; any number may work on the same folder at once."""

    def __init__(self, engine: str, connection: Mapping[str, Any]) -> None:
        """Connection: `directory`, where jobs lie; `show`, further folders that programs may read."""
        self.engine = engine
        self.directory = Path(connection["directory"]).absolute()
        self.show = tuple(connection.get("show", ()))
        self.home = self.directory / quote(engine, safe="")
        self.jobs = self.home / "jobs"
        self.events = self.home / "events"

    def daemon_id(self) -> str:
        """An id made once in the folder, joined with this machine's: elsewhere the folder says nothing of what runs."""
        with self.files():
            path = self.directory / "daemon-id"
            if not path.exists():
                make_once(path, secrets.token_hex(16))
            machine = Path("/etc/machine-id")
            parts = [path.read_text(), machine.read_text() if machine.exists() else platform.node()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def capabilities(self) -> Capabilities:
        """What this machine has; in the notes whatever the sandbox cannot do here."""
        with self.files():
            free = shutil.disk_usage(self.home).free
            notes = [TRUST_NOTE, *self.limit_notes(), *self.sandbox_notes()]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Capabilities(
            kind=KIND,
            version=platform.release(),
            enforces_disk_quota=False,
            cpu_cores=float(len(os.sched_getaffinity(0))),
            memory_bytes=memory,
            disk_bytes=free,
            architecture=platform.machine(),
            notes=tuple(notes),
        )

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Callable[[str], None]) -> str:
        """Only say that images mean nothing here. Raises: JobError for a Dockerfile, which nobody could build."""
        if image.dockerfile is not None:
            raise JobError("the process engine cannot build an image from a Dockerfile; name another environment")
        with self.files():
            note(f"the process engine runs the host's own programs; image {image.reference} is not used")
        return image.reference

    def ensure_surroundings(self) -> None:
        """Nothing stands around them."""

    def ensure_volume(self, job_id: JobId, size_bytes: int, placement: Mapping[str, Any] | None = None) -> None:
        """Have the job's folder, writable for the job's user and out of everybody else's reach."""
        with self.files():
            folder = self.job_folder(job_id)
            folder.mkdir(mode=0o700, exist_ok=True)
            volume = folder / "volume"
            volume.mkdir(mode=0o755, exist_ok=True)
            launch.give_away(volume)

    def ensure_created(self, spec: PhaseSpec) -> None:
        """Have the phase's folder, which is all that there is of it until it starts."""
        launch.check(spec)
        with self.files(), self.hold(spec):
            self.phase_folder(spec.job_id, spec.phase).mkdir(mode=0o700, exist_ok=True)

    def recreate(self, spec: PhaseSpec) -> None:
        """Forget the phase's ended run; one that runs is left alone."""
        launch.check(spec)
        with self.files(), self.hold(spec):
            folder = self.phase_folder(spec.job_id, spec.phase)
            let_tidy_up(folder)
            if states.supervisor_pid(str(folder)) is None:
                phases.stop(folder, grace_s=0)  # what a killed supervisor left may still be dying
                phases.discard(folder, container_name(spec.job_id, spec.phase))
                folder.mkdir(mode=0o700, exist_ok=True)

    def start(self, spec: PhaseSpec) -> None:
        """Start the phase unless it ever was; a start that was cut short is taken up again."""
        launch.check(spec)
        with self.files():
            if self.phase_folder(spec.job_id, spec.phase).is_dir():
                with lock_folder(self.job_folder(spec.job_id)):
                    self.start_once(spec)

    def observe(self, job_id: JobId) -> Seen:
        """Read the phases' files."""
        with self.files():
            folders = {phase: self.phase_folder(job_id, phase) for phase in Phase}
            containers = {phase: phases.look(folder) for phase, folder in folders.items() if folder.is_dir()}
            return Seen(has_volume=(self.job_folder(job_id) / "volume").is_dir(), containers=containers)

    def measure_disk(self, job_id: JobId) -> int | None:
        """Bytes on disk below the volume and the phases' /tmp."""
        with self.files():
            places = [self.job_folder(job_id) / "volume"]
            places += [self.phase_folder(job_id, phase) / "tmp" for phase in Phase]
            return sum(tree.measure(str(place)) for place in places if place.is_dir())

    def stop(self, job_id: JobId, phase: Phase, grace_s: int) -> None:
        """Tell the supervisor, wait for its end; where it does not come, kill it and all that hangs on it."""
        with self.files():
            phases.stop(self.phase_folder(job_id, phase), grace_s)

    def read_log(self, job_id: JobId, phase: Phase, offset: int = 0) -> Iterator[bytes]:
        """Yield what the log holds now, from an offset."""
        path = self.phase_folder(job_id, phase) / "log"
        with self.files():
            if not path.exists():
                return
            with path.open("rb") as file:
                file.seek(offset)
                while data := file.read(CHUNK):
                    yield data

    def remove(self, job_id: JobId) -> None:
        """End whatever runs and delete every file of the job."""
        with self.files():
            folder = self.job_folder(job_id)
            if folder.is_dir():
                with lock_folder(folder):
                    for phase in Phase:
                        phases.stop(self.phase_folder(job_id, phase), grace_s=0)
                        phases.discard(self.phase_folder(job_id, phase), container_name(job_id, phase))
                    tree.delete(str(folder))
            (self.events / job_id).unlink(missing_ok=True)

    def list_jobs(self) -> Mapping[JobId, int]:
        """Every job with a folder, and when something last appeared or ended in it."""
        with self.files():
            times = {JobId(path.name): youngest_ms(path) for path in self.jobs.iterdir()}
        return {job_id: at_ms for job_id, at_ms in times.items() if at_ms}

    def watch(self, wake: Callable[[JobId], None], is_stopped: Callable[[], bool]) -> None:
        """Wake for each phase that starts or ends, as the supervisors tell."""
        with self.files():
            watch_folder(str(self.events), lambda name: wake(JobId(name)) if is_job_id(name) else None, is_stopped)

    def manifest(self, spec: PhaseSpec) -> dict[str, Any]:
        """What will run and within which bounds; secrets masked."""
        return launch.manifest(spec)

    @contextmanager
    def files(self) -> Iterator[None]:
        """Have the engine's folders, for this user alone. Trouble with files is Unavailable, never "not there"."""
        try:
            for folder in (self.directory, self.home, self.jobs, self.events):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise Unavailable(f"the process engine's files cannot be used: {error.strerror or error}") from error

    def job_folder(self, job_id: JobId) -> Path:
        """Where a job lies. Raises: JobError for an id that is no plain word."""
        if not is_job_id(job_id):
            raise JobError("a job's id must be letters and digits")
        return self.jobs / job_id

    def phase_folder(self, job_id: JobId, phase: Phase) -> Path:
        """Where a phase of it lies."""
        return self.job_folder(job_id) / phase.value

    @contextmanager
    def hold(self, spec: PhaseSpec) -> Iterator[None]:
        """Be the only pass that starts or removes anything of the job."""
        self.ensure_volume(spec.job_id, spec.disk_bytes)
        with lock_folder(self.job_folder(spec.job_id)):
            yield

    def start_once(self, spec: PhaseSpec) -> None:
        """Have the phase started: wait for a supervisor that is about to, else send one."""
        folder = self.phase_folder(spec.job_id, spec.phase)
        if not folder.is_dir():  # removed while we waited for the job's folder
            return
        phases.await_start(folder)
        state = states.read_state(str(folder))
        if not state:
            launch.send_supervisor(spec, folder, self.events, self.directory.parent, self.show)
            state = states.read_state(str(folder))
        if "start_error" in state:
            raise JobError(f"the program cannot start: {state['start_error']}")

    def limit_notes(self) -> list[str]:
        """What is bounded by watching, since this machine gives us no control group for it."""
        found = find_cgroup(f"c2d-look-{new_token()}")
        for folder in set(found.folders.values()):
            remove_group(folder)
        missing = [name for name in ("memory", "pids", "cpu") if name not in found.folders]
        return [f"no control group for {', '.join(missing)}: bounded by watching instead"] if missing else []

    def sandbox_notes(self) -> list[str]:
        """Why nothing can run here; empty when a trial shows that it can."""
        trouble = launch.trial(self.home / f"trial-{new_token()}", self.events, self.directory.parent)
        return [f"nothing can run here: {trouble}", *launch.hints()] if trouble else []


def is_job_id(name: str) -> bool:
    """Whether a name is safe as a folder's."""
    return _JOB_ID.fullmatch(name) is not None


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a job's folder; one that is removed meanwhile is unavailable for now."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        give_up_at = time.monotonic() + LOCK_WAIT_S
        while not try_lock(descriptor):
            if time.monotonic() > give_up_at:
                raise Unavailable("another pass holds this job")
            time.sleep(STEP_S)
        if os.fstat(descriptor).st_nlink == 0:
            raise Unavailable("the job was removed by another pass")
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_once(path: Path, text: str) -> None:
    """Write a file that the first writer decides."""
    draft = path.with_name(f"{path.name}.{new_token()}")
    draft.write_text(text)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def youngest_ms(folder: Path) -> int:
    """When anything last changed in a job's folder or directly below it; 0 where it vanished meanwhile."""
    try:
        facts = [folder.stat(), *(entry.stat() for entry in folder.iterdir())]
    except FileNotFoundError:
        return 0
    return max(fact.st_mtime_ns for fact in facts if stat.S_ISDIR(fact.st_mode)) // 1_000_000


def let_tidy_up(folder: Path) -> None:
    """Wait a little for a supervisor that has told the end and is only putting things away."""
    until = time.monotonic() + TIDY_S
    while states.supervisor_pid(str(folder)) is not None and time.monotonic() < until:
        if states.read_state(str(folder)).get("state") == states.RUNNING:
            return
        time.sleep(0.01)
