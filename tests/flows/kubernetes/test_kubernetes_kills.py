"""kill -9 on passes of a real cluster: at many places of their work, and two of them at once on one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.c2d.pod_image import ensure_pod_image
from tests.flows.docker.harness import POD_IMAGE, job
from tests.flows.kills import Yard, from_to, kill_at, kill_at_so_many, outside
from tests.flows.kubernetes.harness import KubernetesPlace, OnePodPlace, parts_on_kubernetes
from tests.flows.kubernetes.stories import STRETCHES
from tests.needs import needs
from tests.services import kubernetes

pytestmark = [needs("kube", "docker"), pytest.mark.xdist_group("kubernetes")]
LANES = 3
KINDS: dict[str, tuple[type[KubernetesPlace], dict[str, Any]]] = {
    "claim": (KubernetesPlace, {}),
    "emptyDir": (OnePodPlace, {"volume": "emptyDir", "sharedNetwork": True}),
}
"What a job's volume is, and so of how many pods a job is made."
SOME, MANY = 6, 44
ALGORITHM_STARTED = "after PATCH pods #3"
JOBS = 8
Tell = Callable[[str, object], None]


@pytest.fixture(scope="module", params=KINDS)
def volume(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory, volume: str) -> Iterator[Yard]:
    (kind, engine), folder = KINDS[volume], tmp_path_factory.mktemp(f"kills-{volume}")
    if kubernetes.POD_IMAGE == POD_IMAGE:
        ensure_pod_image({}, print)  # what happens in these stories hangs on how today's pods end
    with parts_on_kubernetes(folder, LANES, kind, **engine) as (parts, place):
        yield Yard(parts, place, folder, "kubernetes")


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_pass_killed_at_some_places_changes_nothing(yard: Yard, volume: str, record_property: Tell) -> None:
    deaths = kill_at_so_many(yard, SOME) if volume == "claim" else kill_at(yard, where_most_is_at_stake)
    record_property("told", deaths.told())
    assert len(deaths.found) == len(deaths.asked), deaths.told()


def where_most_is_at_stake(sure: list[str]) -> list[str]:
    """For one pod a job: its pod is there, or its algorithm runs, and nothing says so. An image may have had a pod."""
    made = [place for place in sure[sure.index("before ensure_created #1") :] if place.startswith("after POST pods")]
    return [made[0], ALGORITHM_STARTED]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_pass_killed_at_many_places_changes_nothing(yard: Yard, volume: str, record_property: Tell) -> None:
    deaths = kill_at_so_many(yard, MANY) if volume == "claim" else kill_at(yard, outside)
    record_property("told", deaths.told())
    assert len(deaths.found) >= 40, deaths.told()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", STRETCHES)
def test_a_pass_killed_while_something_else_happens_changes_nothing(
    yard: Yard, volume: str, what: str, record_property: Tell
) -> None:
    stretch = STRETCHES[what]
    if volume not in stretch.kinds:
        pytest.skip(f"with a {volume} this is another story")
    deaths = kill_at(yard, from_to(stretch.first, stretch.last), stretch.story)
    record_property("told", deaths.told())
    assert deaths.found, deaths.told()


@pytest.mark.full
@pytest.mark.timeout(600)
def test_two_passes_at_once_run_each_job_once(yard: Yard) -> None:
    engine, consumer = yard.place.engines[0], yard.parts.consumer()
    given = {"environment": yard.environment_of(engine)}
    with yard.parts.passing(engine, yard.kind), yard.parts.passing(engine, yard.kind):
        workflows = [
            yard.place.submit(
                job(0, f"echo {number} >>/data/outputs/runs.txt", **given),
                job(1, "cat $INPUTS/*/runs.txt", input=[{"index": 0, "fromJob": 0}], **given),
                consumer=consumer,
            )
            for number in range(JOBS // 2)
        ]
        ended = [consumer.wait(each, 400) for each in workflows]
    for number, (one, two) in enumerate(ended):
        assert [record["status"] for record in (one, two)] == [70, 70]
        assert yard.place.output(one, consumer) == f"{number}\n".encode()
        assert yard.place.results(two, consumer)["algorithmLog"][1] == f"{number}\n".encode()
        assert [yard.place.starts_of(record["jobId"]) for record in (one, two)] == [1, 1]
        assert not yard.left_of(one["jobId"]) and not yard.left_of(two["jobId"])
