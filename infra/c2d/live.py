"""Own the live picture on a terminal: every job's five stages, what it moves, and why it ended."""

from __future__ import annotations

import time
from typing import Any

from infra.c2d.jobs import PLAIN, STAGE_OF, STAGES
from infra.c2d.money import payment_lines
from infra.c2d.terminal import clean, size, span
from infra.c2d.timeline import Board, Lane
from shared.lifecycle import FINISHED, JobStatus

try:
    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text
except ImportError:  # the extra `cli` is not installed: Screen.is_live is never true then
    Live = object  # type: ignore[assignment,misc]

FRAMES_PER_S = 8


class LiveBoard(Live):
    """Redraws the board several times a second, so that times run."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._spinner = Spinner("dots")
        super().__init__(get_renderable=self._draw, refresh_per_second=FRAMES_PER_S, transient=True)

    def _draw(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for head in ("job", "after", *STAGES, "down", "up", "time", ""):
            table.add_column(head, no_wrap=True, overflow="ellipsis")
        indexes = {lane.job.job_id: str(lane.job.index) for lane in self._board.lanes.values()}
        for lane in self._board.lanes.values():
            after = ", ".join(sorted(indexes.get(earlier, "…") for earlier in lane.job.run_after)) or "-"
            stages = [self._stage(lane, position) for position in range(len(STAGES))]
            table.add_row(
                str(lane.job.index),
                after,
                *stages,
                moved(lane.downloaded),
                moved(lane.uploaded),
                took(lane),
                words(lane),
            )
        total = span(max(0.0, time.time() - self._board.began))
        money = payment_lines([told(lane) for lane in self._board.lanes.values()], time.time())
        foot = [*money, f"{total} since it was handed in; Ctrl-C leaves it running"]
        return Group(table, *(Text(line, style="dim") for line in foot))

    def _stage(self, lane: Lane, position: int) -> RenderableType:
        done = lane.stages_done
        if position < done:
            return Text("━━━━━", style="green")
        if position > done:
            return Text("┄┄┄┄┄", style="dim")
        if lane.is_finished:
            return Text("━━ ✗ ━", style="red")
        return Text("waits", style="dim") if waits(lane) else self._spinner


def told(lane: Lane) -> dict[str, Any]:
    """The job's record with the times that events told: the record itself is only asked for at the end."""
    record = dict(lane.job.record)
    began = next((at for at, status in lane.moves if status is JobStatus.RUNNING), None)
    ended = next((at for at, status in lane.moves if status is JobStatus.PUBLISHING or status in FINISHED), None)
    if began is not None and not lane.job.is_finished:
        record |= {"algoStartTimestamp": str(began), "algoStopTimestamp": str(ended or 0)}
    if record.get("payment") and any(STAGE_OF[status] != "queue" for _, status in lane.moves):
        state = {"lock_prepared": "locked", "lock_sent": "locked"}.get(str(record["payment"].get("state")))
        record["payment"] = {**record["payment"], **({"state": state} if state else {})}
    return record


def waits(lane: Lane) -> bool:
    """Whether nothing is done for the job yet."""
    return STAGE_OF[lane.status] == "queue" and not lane.is_finished


def moved(count: int) -> str:
    """Bytes, or nothing."""
    return size(count) if count else ""


def took(lane: Lane) -> str:
    """Time since the job left the queue, standing still once it is finished."""
    begin = next((at for at, status in lane.moves if STAGE_OF[status] != "queue"), None)
    if begin is None:
        return ""
    finished_at = next((at for at, status in lane.moves if status in FINISHED), None)
    return span(max(0.0, (finished_at or time.time()) - begin))


def words(lane: Lane) -> Text:
    """The phase in words, or how it ended."""
    if not lane.is_finished:
        return Text(clean(lane.note or PLAIN.get(STAGE_OF[lane.status], "publishing")), style="dim")
    has_failed = lane.job.is_finished and not lane.job.has_succeeded
    return Text(
        clean(lane.job.outcome() if lane.job.is_finished else "finished"), style="red" if has_failed else "green"
    )
