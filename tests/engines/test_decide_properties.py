"""What holds for every decision, whatever the row says and whatever is seen outside."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engines.actions import Create, Look, Move, Record, Start
from engines.decide import decide
from engines.endings import FAILURES, LOG_NAMES
from engines.job_view import JobView
from engines.observation import ContainerSeen, ContainerState, Seen
from shared.lifecycle import FINISHED, MOVES, UNFINISHED, JobStatus, Reason
from shared.names import JobId, Phase

NOW = 1_700_000_000_000
TIMES = st.sampled_from([None, NOW - 10**7, NOW - 61_000, NOW - 1, NOW])
REPORTS = st.sampled_from(
    [None, {"state": "done"}, {"state": "failed"}, {"state": "failed", "code": "algorithm_failed", "reason": "no"}]
)
OUTSIDE = (JobStatus.PROVISIONING, JobStatus.RUNNING, JobStatus.PUBLISHING)


@st.composite
def jobs(draw: st.DrawFn) -> JobView:
    """Any row that the code could have written."""
    status = draw(st.sampled_from(sorted(UNFINISHED)))
    endings = sorted(MOVES[status] & FINISHED)
    has_end = status is not JobStatus.QUEUED and draw(st.booleans())
    return JobView(
        job_id=JobId("j"),
        status=status,
        ending=draw(st.sampled_from(endings)) if has_end and endings else None,
        reason=draw(st.sampled_from([None, *Reason])),
        stop_requested=draw(st.booleans()),
        queue_ends_at_ms=draw(TIMES),
        max_duration_s=60,
        started_at_ms=draw(TIMES),
        exit_code=draw(st.sampled_from([None, 0, 1, 137])),
        oom_killed=draw(st.booleans()),
        provision_starts=draw(st.integers(0, 5)),
        publish_starts=draw(st.integers(0, 5)),
        provision_report=draw(REPORTS),
        publish_report=draw(REPORTS),
        heard_at_ms=draw(TIMES),
        is_starting_again=draw(st.booleans()),
        saved=frozenset(draw(st.sets(st.sampled_from(sorted(LOG_NAMES.values()))))),
    )


@st.composite
def containers(draw: st.DrawFn) -> ContainerSeen:
    """Any container that an engine could tell of."""
    state = draw(st.sampled_from(list(ContainerState)))
    has_ended = state is ContainerState.EXITED
    return ContainerSeen(
        state=state,
        exit_code=draw(st.sampled_from([0, 1, 137])) if has_ended else None,
        oom_killed=has_ended and draw(st.booleans()),
        was_killed=has_ended and draw(st.booleans()),
        started_at_ms=draw(TIMES),
        finished_at_ms=draw(TIMES) if has_ended else None,
        start_error=draw(st.sampled_from([None, "no such program"])) if state is ContainerState.CREATED else None,
    )


@st.composite
def sights(draw: st.DrawFn) -> Seen:
    """Anything that may be there."""
    found = draw(st.dictionaries(st.sampled_from(list(Phase)), containers()))
    return Seen(draw(st.booleans()), found, draw(st.sampled_from([None, 0, 1 << 40])))


def world(row: JobView, seen: Seen) -> Seen:
    """Nothing is looked at before there can be anything."""
    return seen if row.status in OUTSIDE else Seen()


EVERY = settings(max_examples=400, deadline=None)


@EVERY
@given(jobs(), sights())
def test_there_is_one_move_at_most_it_is_legal_and_last(row: JobView, seen: Seen) -> None:
    actions = decide(row, world(row, seen), NOW)
    moves = [each for each in actions if isinstance(each, Move)]
    assert len(moves) <= 1
    for move in moves:
        assert actions[-1] is move and move.to in MOVES[row.status]


@EVERY
@given(jobs(), sights())
def test_a_look_is_the_last_thing_and_never_in_the_past(row: JobView, seen: Seen) -> None:
    actions = decide(row, world(row, seen), NOW)
    for each in actions[:-1]:
        assert not isinstance(each, Look)
    if actions and isinstance(actions[-1], Look):
        assert actions[-1].at_ms > NOW


@EVERY
@given(jobs(), sights())
def test_the_algorithm_is_started_only_where_it_is_recorded_and_seen_as_made(row: JobView, seen: Seen) -> None:
    seen = world(row, seen)
    actions = decide(row, seen, NOW)
    assert Create(Phase.RUN, is_anew=True) not in actions
    run = seen.containers.get(Phase.RUN)
    is_made = row.status is JobStatus.RUNNING and run is not None and run.state is ContainerState.CREATED
    if not is_made:
        assert Start(Phase.RUN) not in actions
    if row.status is not JobStatus.PROVISIONING:
        assert Create(Phase.RUN) not in actions


@EVERY
@given(jobs(), sights())
def test_a_job_whose_end_is_known_starts_nothing(row: JobView, seen: Seen) -> None:
    if row.ending is not None:
        actions = decide(row, world(row, seen), NOW)
        assert not any(isinstance(each, Create | Start | Record) for each in actions)
        assert isinstance(actions[-1], Move) and actions[-1].to is row.ending


@EVERY
@given(jobs(), sights())
def test_the_status_is_never_among_what_is_recorded(row: JobView, seen: Seen) -> None:
    for each in decide(row, world(row, seen), NOW):
        if isinstance(each, Record):
            assert not {"status", "lease_token", "due_at_ms"} & set(each.changes)
            ending = each.changes.get("ending")
            assert ending is None or JobStatus(ending) in MOVES[row.status]


def test_every_status_may_fail_as_it_is_said_to() -> None:
    assert all(to in MOVES[status] for status, to in FAILURES.items())
    assert set(FAILURES) == UNFINISHED - {JobStatus.QUEUED}
    assert JobStatus.RUN_FAILED in MOVES[JobStatus.PROVISIONING]  # the algorithm cannot start
