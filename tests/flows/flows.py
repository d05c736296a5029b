"""The flows: what is sent in, what happens meanwhile, and how it must end, whoever is killed on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines.drivers.memory_driver import Script
from engines.pod_rules import SILENCE_MS
from shared.lifecycle import JobStatus
from shared.names import Phase
from tests.flows.harness import (
    BOB,
    DONE,
    KILLED,
    LOST,
    PUBLISHED,
    RUNS_ON,
    SILENT,
    Play,
    Site,
    is_killed,
    job,
    offered,
    says,
    vanishes,
)

End = tuple[str, str | None]
GOOD: End = ("finished", None)
STOPPED: End = ("finished", "stopped")
TIMEOUT: End = ("finished", "timeout")
DEPENDENCY: End = ("data_failed", "dependency")
LOST_RUN: End = ("run_failed", "lost")
CRASHED: End = ("run_failed", None)

CRASHES = Play(Script(exit_code=3, log=b"Traceback\n"))
PROVISION_FAILS = Play(
    Script(exit_code=1), says("failed", code="data_failed", reason="https://data/x answered 404 Not Found")
)
ALGORITHM_FAILS = Play(Script(exit_code=1), says("failed", code="algorithm_failed", reason="No algorithm there"))
PUBLISH_FAILS = Play(Script(exit_code=1), says("failed", code="publish_failed", reason="The node answered 503"))


@dataclass(frozen=True)
class Flow:
    """One story; `ends` are the statuses and reasons of its jobs, `runs` how often each algorithm starts."""

    build: Callable[[Site], None]
    ends: tuple[End, ...]
    runs: tuple[int, ...]
    is_short: bool = False
    "Among those that are killed everywhere in the everyday set."
    is_timed: bool = False
    "Somebody stops it or it is a race of times, so a pass's death may change how far each job came."


def one_job(site: Site) -> None:
    site.submit(job(0))


def parallel(site: Site) -> None:
    site.submit(job(0), job(1), job(2))


def serial(site: Site) -> None:
    site.submit(job(0), job(1, 0), job(2, 1))


def diamond(site: Site) -> None:
    site.submit(job(0), job(1, 0), job(2, 0), job(3, 1, 2))


def failing_branch(site: Site) -> None:
    site.submit(job(0), job(1, 0), job(2, 0), job(3, 1), job(4, 2), job(5, 3, 4))
    site.play(1, Phase.RUN, CRASHES)


def one_at_a_time(site: Site) -> None:
    site.submit(job(0, wanted={"cpu": 4}), job(1, wanted={"cpu": 3}))
    site.submit(job(0, wanted={"cpu": 4}), owner=BOB)


def stopped_in_line(site: Site) -> None:
    site.offer("local", offered(cpu=1))
    site.submit(job(0), job(1))
    site.on_verb["ensure_image", 0] = site.stop(1)


def stopped_before_ready(site: Site) -> None:
    site.submit(job(0), job(1, 0), job(2, 1))
    site.on_verb["ensure_image", 0] = site.stop(1)


def stopped_while_pulling(site: Site) -> None:
    site.submit(job(0))
    site.on_verb["ensure_image", 0] = site.stop(0)


def stopped_while_making_the_volume(site: Site) -> None:
    site.submit(job(0))
    site.on_verb["ensure_volume", 0] = site.stop(0)


def stopped_while_provisioning(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PROVISION, Play(Script(exit_code=None, log=b"downloading\n")))
    site.when[0, JobStatus.PROVISIONING] = site.stop(0)


def stopped_while_running(site: Site) -> None:
    site.submit(job(0), job(1, 0))
    site.play(0, Phase.RUN, RUNS_ON)
    site.when[0, JobStatus.RUNNING] = site.stop(0)


def stopped_while_publishing(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PUBLISH, PUBLISH_FAILS, PUBLISHED)
    site.when[0, JobStatus.PUBLISHING] = site.stop(0)


def stopped_all(site: Site) -> None:
    site.submit(job(0), job(1), job(2, 0, 1), job(3, 2))
    site.play(0, Phase.RUN, RUNS_ON)
    site.when[0, JobStatus.RUNNING] = site.stop(0, 1, 2, 3)


def timeout(site: Site) -> None:
    site.submit(job(0, max_duration_s=60))
    site.play(0, Phase.RUN, RUNS_ON)


def deaf_to_sigterm(site: Site) -> None:
    site.submit(job(0, max_duration_s=60))
    site.play(0, Phase.RUN, Play(Script(exit_code=None, ignores_term=True)))


def crashing(site: Site) -> None:
    site.submit(job(0), job(1, 0))
    site.play(0, Phase.RUN, CRASHES)


def out_of_memory(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.RUN, Play(Script(exit_code=137, oom_killed=True)))


def disk_exceeded(site: Site) -> None:
    site.submit(job(0, wanted={"disk": 1}))
    site.play(0, Phase.RUN, Play(Script(exit_code=None, writes_bytes=2 << 30)))


def missing_image(site: Site) -> None:
    site.submit(job(0, container={"image": "missing"}), job(1, 0))


def built_image(site: Site) -> None:
    site.submit(job(0, algorithm={"dockerfile": "FROM python:3.11"}))


def entrypoint_missing(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.RUN, Play(Script(start_error="no-such-program: not found")))


def data_missing(site: Site) -> None:
    site.submit(job(0), job(1, 0))
    site.play(0, Phase.PROVISION, PROVISION_FAILS)


def algorithm_missing(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PROVISION, ALGORITHM_FAILS)


def provision_dies_silently(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PROVISION, SILENT)


def publish_dies_silently(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PUBLISH, SILENT)


def provision_says_nothing(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PROVISION, Play(Script(exit_code=None)))
    assert SILENCE_MS


def lost(phase: Phase, times: int, play: Play) -> Callable[[Site], None]:
    good = DONE if phase is Phase.PROVISION else PUBLISHED

    def build(site: Site) -> None:
        site.submit(job(0))
        site.play(0, phase, *[play] * times, good)

    return build


def run_is_deleted(site: Site) -> None:
    site.submit(job(0), job(1, 0))
    site.play(0, Phase.RUN, Play(Script(exit_code=None), vanishes))


def run_is_deleted_later(site: Site) -> None:
    (job_id,) = site.submit(job(0, max_duration_s=600))
    site.play(0, Phase.RUN, RUNS_ON)
    gone = ("local", job_id, Phase.RUN)
    site.when[0, JobStatus.RUNNING] = lambda: site.in_(120, lambda: site.world.containers.pop(gone, None))


def run_is_killed_by_the_engine(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.RUN, Play(Script(exit_code=None), is_killed))


def nobody_can_publish_what_is_left(site: Site) -> None:
    """A lost algorithm stays lost, and costs nothing, whatever is wrong beside."""
    run_is_killed_by_the_engine(site)
    site.play(0, Phase.PUBLISH, Play(Script(start_error="the namespace is being removed")))


def publish_fails_twice(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PUBLISH, PUBLISH_FAILS, PUBLISH_FAILS, PUBLISHED)


def publish_always_fails(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.PUBLISH, PUBLISH_FAILS)


def storage_is_down(site: Site) -> None:
    site.submit(job(0))
    site.on_verb["ensure_image", 0] = lambda: setattr(site.storage, "is_down", True)
    site.in_(100, lambda: setattr(site.storage, "is_down", False))


def storage_goes_while_running(site: Site) -> None:
    site.submit(job(0, max_duration_s=60))
    site.play(0, Phase.RUN, RUNS_ON)
    site.when[0, JobStatus.RUNNING] = lambda: setattr(site.storage, "is_down", True)
    site.in_(75, lambda: setattr(site.storage, "is_down", False))


def engine_is_down(site: Site) -> None:
    site.submit(job(0))
    site.play(0, Phase.RUN, RUNS_ON)
    site.in_(5, lambda: setattr(site.world, "is_down", True))
    site.in_(300, lambda: setattr(site.world, "is_down", False))
    site.in_(400, lambda: site.world.containers.pop(("local", site.order[0], Phase.RUN), None))


def another_daemon(site: Site) -> None:
    """The daemon under the name is another one for a while: what it does not have is not lost."""
    site.submit(job(0), job(1, 0))
    site.play(0, Phase.PROVISION, Play(Script(exit_code=None), says("progress", bytesDone=1)))
    kept: dict[str, object] = {}

    def swap() -> None:
        kept.update(containers=site.world.containers, volumes=site.world.volumes)
        site.world.containers, site.world.volumes, site.world.daemon_id = {}, {}, "another"

    def swap_back() -> None:
        site.world.containers, site.world.volumes = kept["containers"], kept["volumes"]  # type: ignore[assignment]
        site.world.daemon_id = "memory"

    site.in_(20, swap)
    site.in_(90, swap_back)
    site.in_(120, lambda: says("failed", code="data_failed", reason="gave up")(site, spec_of(site)))


def spec_of(site: Site) -> object:
    return site.world.containers["local", site.order[0], Phase.PROVISION].spec


def queue_expires(site: Site) -> None:
    site.offer("local", offered(cpu=1))
    site.submit(job(0, max_duration_s=200))
    site.play(0, Phase.RUN, RUNS_ON)
    site.submit(job(0), job(1, 0), wait_s=100, owner=BOB)


def two_engines(site: Site) -> None:
    site.offer("local", offered(cpu=1))
    site.offer("second", offered(cpu=1))
    site.submit(job(0), job(1), job(2, 0), job(3, 1), job(4))


FLOWS: dict[str, Flow] = {
    "one job": Flow(one_job, (GOOD,), (1,), is_short=True),
    "parallel": Flow(parallel, (GOOD,) * 3, (1, 1, 1)),
    "serial": Flow(serial, (GOOD,) * 3, (1, 1, 1)),
    "diamond": Flow(diamond, (GOOD,) * 4, (1, 1, 1, 1)),
    "failing branch": Flow(failing_branch, (GOOD, CRASHED, GOOD, DEPENDENCY, GOOD, DEPENDENCY), (1, 1, 1, 0, 1, 0)),
    "one at a time": Flow(one_at_a_time, (GOOD,) * 3, (1, 1, 1)),
    "stopped in line": Flow(stopped_in_line, (GOOD, STOPPED), (1, 0), is_timed=True),
    "stopped before it is ready": Flow(stopped_before_ready, (GOOD, STOPPED, DEPENDENCY), (1, 0, 0), is_timed=True),
    "stopped while pulling": Flow(stopped_while_pulling, (STOPPED,), (0,), is_short=True, is_timed=True),
    "stopped while making the volume": Flow(stopped_while_making_the_volume, (STOPPED,), (0,), is_timed=True),
    "stopped while provisioning": Flow(stopped_while_provisioning, (STOPPED,), (0,), is_timed=True),
    "stopped while running": Flow(stopped_while_running, (STOPPED, DEPENDENCY), (1, 0), is_timed=True),
    "stopped while publishing": Flow(stopped_while_publishing, (GOOD,), (1,), is_timed=True),
    "all stopped": Flow(stopped_all, (STOPPED, GOOD, STOPPED, STOPPED), (1, 1, 0, 0), is_timed=True),
    "timeout": Flow(timeout, (TIMEOUT,), (1,)),
    "deaf to SIGTERM": Flow(deaf_to_sigterm, (TIMEOUT,), (1,)),
    "crashing": Flow(crashing, (CRASHED, DEPENDENCY), (1, 0)),
    "out of memory": Flow(out_of_memory, (("run_failed", "oom"),), (1,)),
    "disk exceeded": Flow(disk_exceeded, (("disk_exceeded", "disk"),), (1,)),
    "missing image": Flow(missing_image, (("image_pull_failed", "error"), DEPENDENCY), (0, 0), is_short=True),
    "built image": Flow(built_image, (GOOD,), (1,)),
    "entrypoint missing": Flow(entrypoint_missing, (("run_failed", "error"),), (0,)),
    "data missing": Flow(data_missing, (("data_failed", "error"), DEPENDENCY), (0, 0)),
    "algorithm missing": Flow(algorithm_missing, (("algorithm_failed", "error"),), (0,)),
    "provision dies silently": Flow(provision_dies_silently, (("data_failed", "error"),), (0,)),
    "publish dies silently": Flow(publish_dies_silently, (("publish_failed", "error"),), (1,)),
    "provision says nothing": Flow(provision_says_nothing, (("data_failed", "timeout"),), (0,)),
    **{
        f"{phase} {how} {times} times": Flow(
            lost(phase, times, play),
            (GOOD,) if times < 4 else ((failed, "lost"),),
            (0,) if phase is Phase.PROVISION and times == 4 else (1,),
        )
        for phase, failed in ((Phase.PROVISION, "data_failed"), (Phase.PUBLISH, "publish_failed"))
        for how, play in (("deleted", LOST), ("killed", KILLED))
        for times in (1, 3, 4)
    },
    "run is deleted": Flow(run_is_deleted, (LOST_RUN, DEPENDENCY), (1, 0)),
    "run is deleted later": Flow(run_is_deleted_later, (LOST_RUN,), (1,)),
    "run is killed by the engine": Flow(run_is_killed_by_the_engine, (LOST_RUN,), (1,)),
    "run is lost, and nobody can publish what it left": Flow(nobody_can_publish_what_is_left, (LOST_RUN,), (1,)),
    "publish fails twice": Flow(publish_fails_twice, (GOOD,), (1,)),
    "publish always fails": Flow(publish_always_fails, (("publish_failed", "error"),), (1,)),
    "storage is down": Flow(storage_is_down, (GOOD,), (1,)),
    "storage goes while it runs": Flow(storage_goes_while_running, (TIMEOUT,), (1,)),
    "engine is down": Flow(engine_is_down, (LOST_RUN,), (1,)),
    "another daemon": Flow(another_daemon, (("data_failed", "error"), DEPENDENCY), (0, 0)),
    "queue expires": Flow(queue_expires, (TIMEOUT, ("queue_expired", "queue"), DEPENDENCY), (1, 0, 0)),
    "two engines": Flow(two_engines, (GOOD,) * 5, (1,) * 5),
}
