"""Own following a workflow: the node's events as they come, reconnected where they break off, shown as they are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import urllib3

from infra.c2d.failures import Failure, Unreachable
from infra.c2d.history import Target
from infra.c2d.jobs import HEADS, PLAIN, STAGE_OF, JobView, exit_code_of, rows
from infra.c2d.live import LiveBoard
from infra.c2d.money import payment_lines
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.sse import events
from infra.c2d.terminal import Screen, clean, span
from infra.c2d.timeline import Board, Happening, gantt, note_of
from shared.lifecycle import FINISHED, JobStatus

RECONNECTS = 10
"How often in a row the stream may break off without bringing anything new."


def fetch_jobs(client: NodeClient, target: Target) -> list[JobView]:
    """The records of what is followed. Raises: Failure where the node knows none."""
    records = client.get(f"{SERVICES}/compute", target.query(), "getComputeStatus")
    if not records:
        raise Failure(f"the node knows no job or workflow {target.id}")
    return [JobView.from_record(record) for record in records]


def follow(client: NodeClient, target: Target, screen: Screen) -> Board:
    """Show how it goes until every job is finished. Raises: Unreachable when the node stays away."""
    board = Board(fetch_jobs(client, target))
    live: AbstractContextManager[object] = LiveBoard(board) if screen.is_live else nullcontext()
    with live:
        fruitless = 0
        while not board.is_finished:
            seen = board.last_id
            broken = listen(client, target, board, screen)
            fruitless = 0 if board.last_id > seen else fruitless + 1
            if fruitless > RECONNECTS:
                raise broken or Unreachable("the node's events stopped", f"c2d status {target.id[:12]} --follow")
            refresh(client, target, board)
            if not board.is_finished:
                time.sleep(min(0.2 * fruitless, 2.0))
    if not board.last_id:  # it was finished before anybody looked
        listen(client, target, board, screen)
    return board


def listen(client: NodeClient, target: Target, board: Board, screen: Screen) -> Unreachable | None:
    """Take events in until the stream ends; gives the break, if it was one."""
    try:
        for happening, document in stream(client, target, board.last_id):
            if board.apply(happening):
                screen.json_line(document)
                line = "" if screen.is_live else plain_line(board, happening)
                if line:
                    screen.say(line)
    except urllib3.exceptions.HTTPError:
        return Unreachable("the node's events broke off", f"c2d status {target.id[:12]} --follow")
    except Unreachable as unreachable:
        return unreachable
    return None


def refresh(client: NodeClient, target: Target, board: Board) -> None:
    """Take the records in; a node that is away for the moment is asked again later."""
    try:
        board.refresh(fetch_jobs(client, target))
    except Unreachable:
        return


def stream(client: NodeClient, target: Target, last_id: int) -> Iterator[tuple[Happening, object]]:
    """Yield events after the last one seen, each with the document it came as."""
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = str(last_id)
    response = client.stream(f"{SERVICES}/computeEvents", target.query(), "getComputeEvents", headers)
    try:
        for event in events(response.stream(1024)):
            document = json.loads(event.data)
            if isinstance(document, dict) and "jobId" in document:
                yield Happening.from_document({"id": event.id, **document}), document
    finally:
        response.close()


def plain_line(board: Board, happening: Happening) -> str:
    """One event as a line of a log; empty for a move within a stage."""
    lane = board.lanes[happening.job_id]
    if happening.kind != "move" or happening.status is None:
        words = note_of(happening.detail)
    elif happening.status in FINISHED:
        words = "finished" if happening.status is JobStatus.FINISHED else "failed"
        words += f" ({happening.detail['reason']})" if happening.detail.get("reason") else ""
    else:
        before = [STAGE_OF[status] for _, status in lane.moves[-2:-1]]
        words = "" if STAGE_OF[happening.status] in before else PLAIN.get(STAGE_OF[happening.status], "publishing")
    return clean(f"{span(max(0.0, happening.at - board.began)):>9}  job {lane.job.index}  {words}") if words else ""


def conclude(board: Board, identity: str, screen: Screen) -> int:
    """Print how it ended: the timeline, the jobs, what to type next."""
    short = identity[:12]
    screen.say()
    for line in gantt(board, time.time()):
        screen.say(line)
    screen.say()
    screen.table(HEADS, rows(board.jobs))
    failed = [job for job in board.jobs if not job.has_succeeded]
    for job in failed:
        if job.detail:
            screen.say(clean(f"job {job.index}: {job.detail}"))
    for line in payment_lines([job.record for job in board.jobs], time.time()):
        screen.say(line)
    screen.next(*(f"c2d logs {job.job_id[:12]}" for job in failed[:1]), f"c2d results {short} -o results")
    return exit_code_of(board.jobs)
