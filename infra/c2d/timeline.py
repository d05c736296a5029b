"""Own what happened to a workflow's jobs, as events tell it, and the picture of it in text; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.c2d.jobs import BY_NUMBER, STAGE_OF, STAGES, JobView
from infra.c2d.terminal import clean, size, span
from shared.lifecycle import FINISHED, JobStatus

MARKS = {"queue": "·", "image": "▁", "provision": "▒", "run": "█", "publish": "▓"}
WIDTH = 56


@dataclass(frozen=True)
class Happening:
    """One event of a job."""

    id: int
    job_id: str
    kind: str
    status: JobStatus | None
    at: float
    detail: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Happening:
        """Read an event as the node sends it."""
        return cls(
            id=int(document.get("id") or 0),
            job_id=str(document["jobId"]).rsplit("-", 1)[-1],
            kind=str(document.get("kind") or "move"),
            status=BY_NUMBER.get(int(document.get("status") or 0)),
            at=float(document["at"]),
            detail=document.get("detail") or {},
        )


def note_of(detail: Mapping[str, Any]) -> str:
    """What a note or a progress event says, in words."""
    said = [
        f"{word} {size(float(detail[name]))}" + (f" of {size(float(total))}" if total and total != detail[name] else "")
        for name, word in (("downloadedBytes", "downloaded"), ("uploadedBytes", "uploaded"))
        if detail.get(name) is not None
        for total in [detail.get("bytesTotal")]
    ]
    words = [str(detail[name]) for name in ("reason", "text", "error", "detail") if isinstance(detail.get(name), str)]
    return ", ".join([*said, *words]) or str(detail.get("state") or "")


@dataclass(frozen=True)
class Stretch:
    """How long a job was in one stage."""

    stage: str
    start: float
    end: float


@dataclass
class Lane:
    """One job, as far as it has come."""

    job: JobView
    moves: list[tuple[float, JobStatus]] = field(default_factory=list)
    downloaded: int = 0
    uploaded: int = 0
    note: str = ""

    @property
    def status(self) -> JobStatus:
        """The last status known."""
        return self.moves[-1][1] if self.moves else self.job.status

    @property
    def is_finished(self) -> bool:
        """Whether the last move was the last."""
        return self.status in FINISHED or self.job.is_finished

    @property
    def stages_done(self) -> int:
        """How many of the five stages lie behind it."""
        if self.is_finished and self.status is JobStatus.FINISHED:
            return len(STAGES)
        return STAGES.index(STAGE_OF[self.status])

    def stretches(self, now: float) -> list[Stretch]:
        """The stages it went through; neighbours of one stage are one."""
        found: list[Stretch] = []
        if not self.moves:
            return found
        ends = [*(at for at, _ in self.moves[1:]), self.job.finished_at or now]
        for (start, status), end in zip(self.moves, ends, strict=True):
            stage = STAGE_OF[status]
            if status in FINISHED:
                continue
            if found and found[-1].stage == stage:
                found[-1] = Stretch(stage, found[-1].start, end)
            else:
                found.append(Stretch(stage, start, end))
        return found


class Board:
    """All jobs of what is followed; events move them on, and one told twice changes nothing."""

    def __init__(self, jobs: Iterable[JobView]) -> None:
        self.lanes = {job.job_id: Lane(job) for job in sorted(jobs, key=lambda job: job.index)}
        self.last_id = 0
        self._seen: set[int] = set()
        self.began = min((lane.job.created_at for lane in self.lanes.values()), default=0.0)

    def apply(self, happening: Happening) -> bool:
        """Take an event in; tells whether it was new."""
        lane = self.lanes.get(happening.job_id)
        if lane is None or happening.id in self._seen:
            return False
        self._seen.add(happening.id)
        self.last_id = max(self.last_id, happening.id)
        if happening.kind == "move" and happening.status is not None:
            lane.moves.append((happening.at, happening.status))
        lane.downloaded = int(happening.detail.get("downloadedBytes") or lane.downloaded)
        lane.uploaded = int(happening.detail.get("uploadedBytes") or lane.uploaded)
        lane.note = "" if happening.kind == "move" else note_of(happening.detail)
        return True

    def refresh(self, jobs: Iterable[JobView]) -> None:
        """Take the records in: the last word on how jobs stand."""
        for job in jobs:
            if job.job_id in self.lanes:
                self.lanes[job.job_id].job = job

    @property
    def jobs(self) -> list[JobView]:
        """The records, in the workflow's order."""
        return [lane.job for lane in self.lanes.values()]

    @property
    def is_finished(self) -> bool:
        """Whether every record is final."""
        return all(job.is_finished for job in self.jobs)


def gantt(board: Board, now: float) -> list[str]:
    """Draw one bar a job on one scale, and say what the marks mean."""
    ended = [job.finished_at for job in board.jobs if job.finished_at]
    end = max(ended, default=now) if board.is_finished else now
    scale = WIDTH / max(end - board.began, 0.001)
    lines = [bar(lane, board.began, scale, end) for lane in board.lanes.values()]
    key = "  ".join(f"{MARKS[stage]} {stage}" for stage in STAGES)
    return [*lines, f"{'':8}{key}    {span(end - board.began)} in all"]


def bar(lane: Lane, began: float, scale: float, now: float) -> str:
    """Draw one job: every stage it was in has a mark at least."""
    cells = [" "] * (WIDTH + 1)
    for stretch in lane.stretches(now):
        first = min(int((stretch.start - began) * scale), WIDTH)
        last = min(max(first + 1, round((stretch.end - began) * scale)), WIDTH + 1)
        cells[first:last] = [MARKS[stretch.stage]] * (last - first)
    return f"job {lane.job.index:<4}{''.join(cells)} {in_words(lane, now)}"


def in_words(lane: Lane, now: float) -> str:
    """How long each stage took, and how it ended."""
    stretches: Sequence[Stretch] = [stretch for stretch in lane.stretches(now) if stretch.stage in ("run",)]
    ran = f"ran {span(sum(stretch.end - stretch.start for stretch in stretches))}, " if stretches else ""
    return clean(f"{ran}{lane.job.outcome()} after {lane.job.took()}")
