"""What is made of a node's events: read from any pieces, applied once, drawn as bars."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.c2d.jobs import STAGE_OF, JobView, exit_code_of
from infra.c2d.sse import ServerEvent, events
from infra.c2d.terminal import clean, plain_table, size, span
from infra.c2d.timeline import Board, Happening, gantt
from shared.lifecycle import JobStatus

STREAM = b': hello\n\nid: 7\nevent: move\ndata: {"a":\ndata: 1}\n\n: still here\n\nid: 8\r\ndata: 2\r\n\r\n'


def record(index: int, job_id: str, **more: Any) -> dict[str, Any]:
    return {
        "jobId": job_id, "index": index, "status": 70, "statusText": "Job finished", "dateCreated": "100",
        "dateFinished": "110", "terminationDetails": {"exitCode": 0, "OOMKilled": False}, "results": [],
        "algoStartTimestamp": "104", "algoStopTimestamp": "106", "runAfter": [], "environment": "e", **more,
    }  # fmt: skip


def moved(identity: int, status: int, at: float, job_id: str = "aa") -> Happening:
    return Happening.from_document({"id": identity, "jobId": job_id, "kind": "move", "status": status, "at": at})


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    assert list(events(chunks)) == [ServerEvent("7", "move", '{"a":\n1}'), ServerEvent("8", "message", "2")]


def test_every_status_belongs_to_a_stage() -> None:
    assert set(STAGE_OF) == set(JobStatus)


def test_an_event_told_twice_changes_nothing() -> None:
    board = Board([JobView.from_record(record(0, "aa", dateFinished=None, status=1))])
    assert board.apply(moved(1, 1, 100)) and board.apply(moved(2, 30, 101))
    assert not board.apply(moved(2, 30, 101))
    assert board.lanes["aa"].stages_done == 2


def test_a_finished_workflow_is_drawn_on_one_scale() -> None:
    jobs = [JobView.from_record(record(0, "aa")), JobView.from_record(record(1, "bb", dateFinished="105"))]
    board = Board(jobs)
    moves = [(1, 100), (10, 101), (20, 102), (30, 103), (40, 104), (60, 106), (70, 110)]
    for identity, (status, at) in enumerate(moves, 1):
        board.apply(moved(identity, status, at))
    first, _second, key = gantt(board, 500)
    assert [mark for mark in "·▁▒█▓" if mark in first] == list("·▁▒█▓")
    assert first.index("·") < first.index("▁") < first.index("▒") < first.index("█") < first.index("▓")
    assert "ran 2.0 s, succeeded" in first and "10 s in all" in key


def test_success_is_exit_code_0_and_no_reason() -> None:
    def job(**end: Any) -> JobView:
        details = {"exitCode": 0, "OOMKilled": False, **end}
        return JobView.from_record(record(0, "aa", terminationDetails=details))

    assert exit_code_of([job()]) == 0
    assert exit_code_of([job(), job(exitCode=3)]) == exit_code_of([job(reason="timeout")]) == 1
    assert job(exitCode=3).outcome() == "failed (exit code 3)"
    assert job(reason="stopped").outcome() == "stopped"


def test_a_table_is_aligned_and_cannot_steer_the_terminal() -> None:
    assert plain_table(("a", "long head"), [("xyz", "1"), ("\x1b[2J", "")])[1:] == ["xyz   1", "\ufffd[2J"]
    assert clean("a\tb\x07") == "a\ufffdb\ufffd"


def test_sizes_and_spans_are_written_for_people() -> None:
    assert [size(0), size(1536), size(5 << 30)] == ["0 B", "1.5 KiB", "5.0 GiB"]
    assert [span(0.25), span(61), span(125), span(7300)] == ["0.2 s", "61 s", "2 min 05 s", "2 h 01 min"]
