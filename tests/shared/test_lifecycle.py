"""Statuses and moves: the wire's table, and what counts as an end."""

from __future__ import annotations

import pytest

from shared.errors import Conflict
from shared.lifecycle import (
    FINISHED,
    MOVES,
    UNFINISHED,
    WIRE,
    JobStatus,
    Reason,
    check_move,
    ending,
    has_succeeded,
    is_finished,
)

S = JobStatus


def test_every_status_has_its_own_number_and_text() -> None:
    assert set(WIRE) == set(JobStatus)
    assert len({number for number, _ in WIRE.values()}) == len(JobStatus)
    assert WIRE[S.RUNNING] == (40, "Running algorithm ")


def test_a_failed_status_stays_failed_and_nothing_leaves_an_end() -> None:
    assert set(JobStatus) == UNFINISHED | FINISHED and not UNFINISHED & FINISHED
    for end in FINISHED:
        assert is_finished(end)
        for to in JobStatus:
            with pytest.raises(Conflict):
                check_move(end, to)


def test_every_status_can_be_reached_and_every_unfinished_one_can_end() -> None:
    reached, line = {S.QUEUED}, [S.QUEUED]
    while line:
        new = MOVES.get(line.pop(), frozenset()) - reached
        reached |= new
        line += new
    assert reached == set(JobStatus)
    assert all(MOVES[status] & (FINISHED | {S.PUBLISHING}) for status in UNFINISHED)


def test_no_move_goes_back() -> None:
    for was, targets in MOVES.items():
        assert all(WIRE[to][0] > WIRE[was][0] for to in targets - FINISHED), was


@pytest.mark.parametrize(
    ("exit_code", "oom", "reason", "expected"),
    [
        (0, False, None, S.FINISHED),
        (1, False, None, S.RUN_FAILED),
        (137, True, Reason.OUT_OF_MEMORY, S.RUN_FAILED),
        (0, True, None, S.RUN_FAILED),
        (143, False, Reason.TIMEOUT, S.FINISHED),
        (137, True, Reason.STOPPED, S.FINISHED),
        (143, False, Reason.DISK_QUOTA, S.DISK_EXCEEDED),
        (None, False, Reason.LOST, S.RUN_FAILED),
        (None, False, None, S.RUN_FAILED),
    ],
)
def test_how_a_job_ends_once_published(
    exit_code: int | None, oom: bool, reason: Reason | None, expected: JobStatus
) -> None:
    assert ending(exit_code, oom, reason) is expected


def test_only_a_good_exit_without_a_reason_is_success() -> None:
    assert has_succeeded(S.FINISHED, 0, None)
    assert not has_succeeded(S.FINISHED, 0, "timeout")
    assert not has_succeeded(S.FINISHED, 3, None)
    assert not has_succeeded(S.FINISHED, None, None)
    assert not has_succeeded(S.RUN_FAILED, 0, None)
