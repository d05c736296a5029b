"""Own carrying out what was decided, one action after the other, each only while the lease holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from engines.actions import (
    Action,
    Create,
    EnsureImage,
    EnsureVolume,
    Look,
    Move,
    Record,
    Remove,
    SaveLog,
    ShipLog,
    Start,
    Stop,
)
from engines.context import Context
from engines.drivers.base import PhaseSpec
from engines.endings import LOG_NAMES
from engines.job_view import JobView, disk_bytes
from engines.orders import read_order
from engines.phases import Order, image_of, placement_of, pod_spec, run_spec
from shared.db import jobs, leases, log_chunks, moves, results
from shared.db.tables import Job
from shared.errors import JobError
from shared.names import JobId, Phase, result_key

IMAGE = "image"
"The log that has no container: what pulling or building said."
IMAGE_TIME_S = 900
"An image that is not there after this long cannot be had."
MAX_SHIPPED_BYTES = 16 << 20
"So much of a running container's log can be followed live; all of it is in the stored log."


class NotOurs(Exception):
    """The lease has gone to somebody else: drop everything, write nothing."""


class Interrupted(Exception):
    """The owner asked for a stop while something long was going on."""


class Act:
    """Carries out actions for one leased job."""

    _row: Job

    def __init__(self, context: Context, job_id: JobId, token: str) -> None:
        self._context = context
        self._job_id = job_id
        self._token = token
        self._made: dict[Phase, PhaseSpec] = {}
        self._order: Order | None = None
        self._verbs: dict[type, Callable[[Any, JobView], None]] = {
            EnsureImage: self._ensure_image,
            EnsureVolume: self._ensure_volume,
            Create: self._create,
            Start: self._start,
            Stop: self._stop,
            ShipLog: self._ship_log,
            SaveLog: self._save_log,
            Remove: self._remove,
            Record: self._record,
            Move: self._move,
            Look: lambda action, job: None,
        }

    def perform(self, action: Action, job: JobView) -> None:
        """Do one thing. Raises: NotOurs, Interrupted, JobError, Unavailable."""
        is_fenced = isinstance(action, Record | Move | Look)  # these name the lease themselves, where they write
        if not is_fenced:
            self._check_ours()
        self._verbs[type(action)](action, job)

    def _check_ours(self) -> None:
        if not leases.is_ours(self._job_id, self._token, self._context.now_ms()):
            raise NotOurs

    def stand_at(self, row: Job) -> None:
        """Go on from the job's row as it was just read; what is written here is kept up in it."""
        self._row = row

    def _ensure_image(self, action: EnsureImage, job: JobView) -> None:
        notes: list[str] = []
        note = self._noting(notes)
        order = self._read_order()
        building = {"build_started_at_ms": self._context.now_ms()} if order.dockerfile else {}
        try:
            image = self._context.driver.ensure_image(self._job_id, image_of(order), note)
        except JobError as error:
            note(error.detail)
            raise
        finally:
            self._store(IMAGE + ".log", iter(["".join(f"{line}\n" for line in notes).encode()]))
        stopped = {"build_stopped_at_ms": self._context.now_ms()} if order.dockerfile else {}
        self._write({**building, **stopped, "specs": {**self._row.specs, IMAGE: image}})

    def _noting(self, notes: list[str]) -> Callable[[str], None]:
        """Keep and ship each line; notice a stop, and the end of patience, while an image is on its way."""
        until = time.monotonic() + IMAGE_TIME_S
        looked = 0.0

        def note(line: str) -> None:
            nonlocal looked
            notes.append(line)
            log_chunks.append(self._job_id, IMAGE, log_chunks.size(self._job_id, IMAGE), f"{line}\n".encode())
            if time.monotonic() - looked < 1:
                return
            looked = time.monotonic()
            if jobs.is_stop_requested(self._job_id):
                raise Interrupted
            if looked > until:
                raise JobError(f"The image was not there after {IMAGE_TIME_S // 60} minutes.")

        return note

    def _ensure_volume(self, action: EnsureVolume, job: JobView) -> None:
        placement = placement_of(self._read_order())
        self._context.driver.ensure_volume(self._job_id, disk_bytes(self._row.resources or []), placement)

    def _create(self, action: Create, job: JobView) -> None:
        spec, driver = self._kept_spec(action.phase), self._context.driver
        if action.is_anew:
            driver.recreate(spec)
        else:
            driver.ensure_created(spec)

    def _start(self, action: Start, job: JobView) -> None:
        spec = self._made.get(action.phase) or self._spec(action.phase)
        self._context.driver.start(spec)

    def _kept_spec(self, phase: Phase) -> PhaseSpec:
        """The phase's container; what is kept of it has no secret."""
        spec = self._made[phase] = self._spec(phase)
        shown = self._context.driver.manifest(spec.without_secrets())
        self._write({"specs": {**self._row.specs, phase.value: shown}})
        return spec

    def _spec(self, phase: Phase) -> PhaseSpec:
        """The phase's container, and beside it the job's others: some engines make all at once."""
        order = self._read_order()
        run = run_spec(order, self._row.specs.get(IMAGE) or image_of(order).reference)
        specs = {each: run if each is Phase.RUN else pod_spec(order, self._context.pods, each) for each in Phase}
        own = specs.pop(phase)
        return replace(own, others=tuple(specs.values()))

    def _read_order(self) -> Order:
        if self._order is None:
            self._order = read_order(self._row, self._context)
        return self._order

    def _stop(self, action: Stop, job: JobView) -> None:
        self._context.driver.stop(self._job_id, action.phase, action.grace_s)

    def _ship_log(self, action: ShipLog, job: JobView) -> None:
        offset = log_chunks.size(self._job_id, action.phase.value)
        for piece in self._context.driver.read_log(self._job_id, action.phase, offset):
            if offset + len(piece) > MAX_SHIPPED_BYTES:
                return
            offset = log_chunks.append(self._job_id, action.phase.value, offset, piece)

    def _save_log(self, action: SaveLog, job: JobView) -> None:
        log = self._context.driver.read_log(self._job_id, action.phase)
        kept = _or_else(log, lambda: log_chunks.read_all(self._job_id, action.phase.value))
        detail = self._row.reason_detail if action.phase is Phase.RUN else None  # written down a moment ago, perhaps
        self._store(LOG_NAMES[action.phase], _explained(kept, detail))

    def _store(self, filename: str, chunks: Iterator[bytes]) -> None:
        """Make it a result. Raises: NotOurs, with nothing stored: who has the job by now stores its own there."""
        stored = self._context.storage.write(result_key(self._job_id, filename), self._ours_to_the_end(chunks))
        results.record_result(self._job_id, filename, stored, self._context.now_ms())

    def _ours_to_the_end(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        self._check_ours()

    def _remove(self, action: Remove, job: JobView) -> None:
        self._context.driver.remove(self._job_id)
        log_chunks.forget(self._job_id)

    def _record(self, action: Record, job: JobView) -> None:
        if action.is_told:
            jobs.tell(self._job_id, self._token, action.changes["reason_detail"], self._context.now_ms())
        else:
            self._write(action.changes)

    def _write(self, changes: dict[str, Any]) -> None:
        if not jobs.record(self._job_id, self._token, changes):
            raise NotOurs
        for name, value in changes.items():
            setattr(self._row, name, value)

    def _move(self, action: Move, job: JobView) -> None:
        changes = {"reason": action.reason.value, "reason_detail": action.detail} if action.reason else {}
        if not moves.move(self._job_id, job.status, action.to, self._token, self._context.now_ms(), changes):
            raise NotOurs


def _or_else(log: Iterator[bytes], instead: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """The log; where it went with its container, what was followed of it while it ran."""
    first = next(log, None)
    if first is None:
        yield from instead()
        return
    yield first
    yield from log


def _explained(log: Iterator[bytes], detail: str | None) -> Iterator[bytes]:
    """The log; where it is empty, the one line that says why."""
    is_empty = True
    for piece in log:
        is_empty = is_empty and not piece
        yield piece
    if is_empty and detail:
        yield f"{detail}\n".encode()
