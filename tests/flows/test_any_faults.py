"""Whatever goes wrong, in any order, passes converge: every job ends, no algorithm runs twice, nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.drivers.memory_driver import Script
from shared.names import Phase
from tests.databases import empty
from tests.flows.flows import CRASHES, PROVISION_FAILS, PUBLISH_FAILS
from tests.flows.harness import DONE, KILLED, LOST, PUBLISHED, RAN, RUNS_ON, SILENT, Play, Site, job
from tests.flows.killable import watched_database

PLAYS = {
    Phase.PROVISION: [DONE, SILENT, LOST, KILLED, PROVISION_FAILS, Play(Script(start_error="no")), Play(Script(None))],
    Phase.RUN: [
        RAN,
        CRASHES,
        LOST,
        KILLED,
        RUNS_ON,
        Play(Script(start_error="no")),
        Play(Script(137, oom_killed=True)),
    ],
    Phase.PUBLISH: [PUBLISHED, SILENT, LOST, KILLED, PUBLISH_FAILS, Play(Script(start_error="no"))],
}
GRAPHS = [[()], [(), ()], [(), (0,)], [(), (0,), (0,)], [(), (), (0, 1)], [(), (0,), (1,)]]
FAULTS = ("engine down", "storage down", "stop", "delete containers", "remove volumes")


@st.composite
def stories(draw: st.DrawFn) -> dict[str, object]:
    """A small workflow, what its containers do, when the process is killed, and what else happens meanwhile."""
    graph = draw(st.sampled_from(GRAPHS))
    plays = {
        (index, phase): draw(st.lists(st.sampled_from(PLAYS[phase]), min_size=1, max_size=5))
        for index in range(len(graph))
        for phase in Phase
        if draw(st.booleans())
    }
    times = st.integers(0, 120)
    faults = draw(st.lists(st.tuples(times, st.sampled_from(FAULTS), st.integers(0, 2)), max_size=4))
    return {"graph": graph, "plays": plays, "faults": faults, "kills": draw(st.lists(st.integers(1, 120), max_size=3))}


def fault(site: Site, name: str, index: int) -> Callable[[], object]:
    """What happens then."""
    index %= len(site.order)

    def change() -> None:
        if name == "engine down":
            site.world.is_down = True
            site.in_(100, lambda: setattr(site.world, "is_down", False))
        elif name == "storage down":
            site.storage.is_down = True
            site.in_(100, lambda: setattr(site.storage, "is_down", False))
        elif name == "stop":
            site.stop(index)()
        elif name == "delete containers":
            site.world.containers.clear()
        else:
            site.world.containers.clear()
            site.world.volumes.clear()

    return change


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories())
def test_passes_converge(quick_database: str, tmp_path: Path, story: dict[str, object]) -> None:
    empty()
    site = Site(tmp_path)
    graph = story["graph"]
    site.submit(*[job(index, *after, max_duration_s=30) for index, after in enumerate(graph)])  # type: ignore[arg-type]
    site.plays = story["plays"]  # type: ignore[assignment]
    for at_s, name, index in story["faults"]:  # type: ignore[attr-defined]
        site.in_(at_s, fault(site, name, index))
    site.kills = list(story["kills"])  # type: ignore[call-overload]
    site.restart()
    with watched_database(site.checkpoints):
        site.settle(3000)
    site.finish()
    assert all(site.runs(index) <= 1 for index in range(len(site.order)))
    left = site.leftovers()
    left.pop("unrecorded", None)  # a log whose row a death prevented; it goes when the job's results expire
    assert left == {}
