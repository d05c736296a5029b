"""What every engine's driver promises, run on each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines.drivers.base import Driver, ImageRef
from engines.observation import ContainerSeen, ContainerState, Seen
from shared.errors import JobError, Unavailable
from shared.names import JobId, Phase, new_job_id
from tests.contracts.driver_backends import BACKENDS, Backend, until
from tests.needs import needs

NEEDS = {"docker": ("docker",), "process": ("namespaces",), "memory": ()}
SLOW = {"kubernetes": [pytest.mark.full], "kubernetes_one_pod": [pytest.mark.long]}
"A cluster takes seconds where others take a blink."
ALL = [
    pytest.param(name, marks=[needs(*NEEDS[name])])
    if name in NEEDS
    else pytest.param(name, marks=[needs("kube"), pytest.mark.xdist_group("kubernetes"), *SLOW[name]])
    for name in BACKENDS
]
real = pytest.mark.parametrize("engine", [param for param in ALL if param.values != ("memory",)], indirect=True)
"For what takes programs that truly run: files, networks, limits."


@pytest.fixture(params=ALL)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with BACKENDS[request.param](tmp_path) as backend:
        yield backend


def test_a_phase_runs_and_its_end_is_seen(engine: Backend) -> None:
    job = engine.job()
    before = time.time() * 1000
    seen = engine.run(job, "exit 7")
    assert seen.exit_code == 7
    assert not seen.oom_killed and not seen.was_killed and seen.start_error is None
    assert seen.started_at_ms is not None and seen.finished_at_ms is not None
    assert before - 1000 <= seen.started_at_ms <= seen.finished_at_ms <= time.time() * 1000 + 1000


def test_what_is_made_is_not_started(engine: Backend) -> None:
    job = engine.job()
    spec = engine.spec(job, "echo up; sleep 60")
    for _ in range(2):
        engine.driver.ensure_created(spec)
        assert engine.driver.observe(job).containers[Phase.RUN] == ContainerSeen(ContainerState.CREATED)
    assert engine.log(job) == b"" and list(engine.driver.list_jobs()) == [job]
    engine.driver.start(spec)
    engine.says(job, b"up")
    engine.driver.ensure_created(spec)
    assert engine.driver.observe(job).is_running(Phase.RUN)


def test_what_was_not_made_is_not_started(engine: Backend) -> None:
    job = engine.job()
    engine.driver.start(engine.spec(job, "exit 7"))
    assert engine.driver.observe(job) == Seen(has_volume=True)
    engine.driver.start(engine.spec(new_job_id(), "exit 7"))
    assert list(engine.driver.list_jobs()) == [job]


def test_a_pod_that_is_made_anew_waits_for_its_start(engine: Backend) -> None:
    job = engine.job()
    engine.run(job, "exit 4", Phase.PUBLISH)
    for _ in range(2):
        engine.driver.recreate(engine.spec(job, "exit 4", Phase.PUBLISH))
        assert engine.driver.observe(job).containers[Phase.PUBLISH] == ContainerSeen(ContainerState.CREATED)


def test_what_is_made_can_be_removed(engine: Backend) -> None:
    job = engine.job()
    engine.driver.ensure_created(engine.spec(job, "exit 4"))
    engine.driver.stop(job, Phase.RUN, 1)
    engine.driver.remove(job)
    assert engine.driver.observe(job) == Seen()


def test_a_running_phase_is_seen_running(engine: Backend) -> None:
    job = engine.job()
    engine.start(engine.spec(job, "echo up; sleep 60"))
    engine.says(job, b"up")
    seen = engine.driver.observe(job)
    assert seen.is_running(Phase.RUN) and seen.exited(Phase.RUN) is None
    assert seen.containers[Phase.RUN].exit_code is None


@real
def test_what_ran_is_not_started_again(engine: Backend) -> None:
    job = engine.job()
    first = engine.run(job, "echo ran >>/data/runs")
    again = engine.run(job, "echo ran >>/data/runs")
    assert again == first
    engine.run(job, "cat /data/runs", Phase.PUBLISH)
    assert engine.log(job, Phase.PUBLISH) == b"ran\n"


@real
def test_started_by_many_at_once_it_runs_once(engine: Backend) -> None:
    job = engine.job()
    spec = engine.spec(job, "echo ran >>/data/runs; sleep 2")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(engine.start, [spec] * 8))
    engine.ended(job)
    engine.run(job, "cat /data/runs", Phase.PUBLISH)
    assert engine.log(job, Phase.PUBLISH) == b"ran\n"


def test_a_command_that_is_not_there_is_told_as_such(engine: Backend) -> None:
    job = engine.job()
    spec = engine.spec(job, "", command=("no-such-program", "x"))
    try:
        engine.start(spec)
    except JobError as error:
        assert "no-such-program" in error.detail
    told = until(lambda: (seen := engine.driver.observe(job).containers.get(Phase.RUN)) and seen.start_error)
    assert "no-such-program" in told and "\n" not in told
    assert not engine.driver.observe(job).is_running(Phase.RUN)


def test_a_program_may_exit_like_a_missing_one(engine: Backend) -> None:
    seen = engine.run(engine.job(), "exit 127")
    assert seen.exit_code == 127 and seen.start_error is None and not seen.was_killed


def test_a_log_is_read_whole_and_from_an_offset(engine: Backend) -> None:
    job = engine.job()
    engine.run(job, "echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three")
    assert engine.log(job) == b"one\ntwo\nthree"
    assert engine.log(job, offset=5) == b"wo\nthree"
    assert engine.log(job, offset=13) == b"" and engine.log(job, offset=99) == b""


@real
def test_a_large_log_comes_in_pieces(engine: Backend) -> None:
    job = engine.job()
    engine.run(job, "yes 0123456789abcde | head -c 4000000")
    pieces = list(engine.driver.read_log(job, Phase.RUN))
    assert b"".join(pieces) == b"0123456789abcde\n" * 250_000
    assert max(map(len, pieces)) <= 1 << 20
    assert engine.log(job, offset=3_999_990) == b"6789abcde\n"


@real
def test_a_log_can_be_read_while_it_grows(engine: Backend) -> None:
    job = engine.job()
    engine.start(engine.spec(job, "echo one; while [ ! -e /data/go ]; do sleep 0.05; done; echo two"))
    engine.says(job, b"one\n")
    engine.run(job, "touch /data/go", Phase.PUBLISH)
    engine.ended(job)
    assert engine.log(job, offset=4) == b"two\n"


def test_where_nothing_ran_the_log_is_empty(engine: Backend) -> None:
    assert engine.log(engine.job()) == b"" and engine.log(new_job_id()) == b""


@real
def test_stopping_asks_first(engine: Backend) -> None:
    job = engine.job()
    script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    engine.start(engine.spec(job, script))
    engine.says(job, b"ready")
    engine.driver.stop(job, Phase.RUN, grace_s=20)
    seen = engine.driver.observe(job).exited(Phase.RUN)
    assert seen is not None and seen.exit_code == 3
    assert engine.log(job) == b"ready\nbye\n"


def test_a_program_without_a_handler_ends_at_once_when_asked(engine: Backend) -> None:
    job = engine.job()
    engine.start(engine.spec(job, "echo ready; exec sleep 100"))
    engine.says(job, b"ready")
    began = time.monotonic()
    engine.driver.stop(job, Phase.RUN, grace_s=30)
    assert time.monotonic() - began < 20
    seen = engine.driver.observe(job).exited(Phase.RUN)
    assert seen is not None and seen.exit_code == engine.ends_unheard_at


@real
def test_what_does_not_listen_is_killed_after_the_grace(engine: Backend) -> None:
    job = engine.job()
    engine.start(engine.spec(job, "trap '' TERM; echo ready; while :; do sleep 0.05; done"))
    engine.says(job, b"ready")
    began = time.monotonic()
    engine.driver.stop(job, Phase.RUN, grace_s=1)
    assert 0.9 <= time.monotonic() - began < 20
    seen = engine.driver.observe(job).exited(Phase.RUN)
    assert seen is not None and seen.exit_code == 137 and not seen.oom_killed


def test_what_does_not_run_is_stopped_already(engine: Backend) -> None:
    job = engine.job()
    seen = engine.run(job, "true")
    engine.driver.stop(job, Phase.RUN, grace_s=5)
    engine.driver.stop(job, Phase.PUBLISH, grace_s=5)
    engine.driver.stop(new_job_id(), Phase.RUN, grace_s=5)
    assert engine.driver.observe(job).exited(Phase.RUN) == seen


@real
def test_one_phase_sees_the_files_of_the_one_before(engine: Backend) -> None:
    job = engine.job()
    engine.run(job, "mkdir /data/outputs; echo left >/data/outputs/file", Phase.PROVISION)
    engine.run(job, "cat /data/outputs/file")
    assert engine.log(job) == b"left\n"


@real
def test_one_job_does_not_see_the_files_of_another(engine: Backend) -> None:
    one, other = engine.job(), engine.job()
    engine.run(one, "touch /data/mine")
    engine.run(other, "ls /data")
    assert engine.log(other) == b""


@real
def test_an_algorithm_has_no_network(engine: Backend) -> None:
    job = engine.job()
    if engine.network_shown is not None:
        engine.start(engine.spec(job, "true"))
        assert engine.network_shown(job) == []
        return
    engine.run(job, "tail -n +3 /proc/net/dev | cut -d: -f1; tail -n +2 /proc/net/route")
    assert engine.log(job).split() == [b"lo"]


@real
def test_the_environment_is_delivered_and_secrets_are_never_shown(engine: Backend) -> None:
    job = engine.job()
    secret = "s3cret value $HOME"
    variables = {"environment": {"PLAIN": "a=b c"}, "secret_environment": {"KEY": secret}}
    spec = engine.spec(job, 'printf "%s|%s" "$PLAIN" "$KEY"', **variables)
    engine.start(spec)
    engine.ended(job)
    assert engine.log(job) == f"a=b c|{secret}".encode()
    shown = str(engine.driver.manifest(spec.without_secrets()))
    assert "PLAIN" in shown and "s3cret" not in shown and "s3cret" not in repr(spec)


@real
def test_too_much_memory_ends_the_phase_and_says_why(engine: Backend) -> None:
    job = engine.job()
    seen = engine.run(job, "head -c 400m /dev/zero | tail", memory_bytes=48 << 20)
    assert seen.oom_killed and seen.exit_code not in (0, None)
    assert not seen.was_killed


@real
def test_too_many_processes_cannot_be_started(engine: Backend) -> None:
    if not engine.bounds_processes:
        pytest.skip("the nodes of a cluster bound the number of processes, not its engine")
    job = engine.job()
    script = "i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done; echo all started"
    engine.run(job, script, pids=20)
    assert b"all started" not in engine.log(job)


def test_removing_leaves_nothing_and_may_be_repeated(engine: Backend) -> None:
    job = engine.job()
    engine.run(job, "true", Phase.PROVISION)
    engine.start(engine.spec(job, "sleep 100"))
    assert set(engine.driver.list_jobs()) == {job}
    engine.driver.remove(job)
    engine.driver.remove(job)
    assert engine.driver.observe(job) == Seen()
    assert engine.driver.list_jobs() == {}
    assert engine.log(job) == b""


def test_jobs_are_listed_with_the_time_of_their_youngest_thing(engine: Backend) -> None:
    before = time.time() * 1000
    jobs = {engine.job(), engine.job()}
    listed = engine.driver.list_jobs()
    assert set(listed) == jobs
    assert all(before - 2000 <= made_at <= time.time() * 1000 + 2000 for made_at in listed.values())


def test_of_an_unknown_job_there_is_nothing(engine: Backend) -> None:
    assert engine.driver.observe(new_job_id()) == Seen()
    engine.driver.remove(new_job_id())


@real
def test_a_volume_is_made_once(engine: Backend) -> None:
    job = engine.job()
    engine.run(job, "echo kept >/data/file")
    engine.driver.ensure_volume(job, 1 << 30)
    assert engine.driver.observe(job).has_volume
    engine.run(job, "cat /data/file", Phase.PUBLISH)
    assert engine.log(job, Phase.PUBLISH) == b"kept\n"


@real
def test_only_what_has_ended_is_restarted(engine: Backend) -> None:
    job = engine.job()
    script = "echo ran >>/data/runs; cat /data/runs; while [ ! -e /data/go ]; do sleep 0.05; done"
    spec = engine.spec(job, script, Phase.PROVISION)
    engine.start(spec)
    engine.says(job, b"ran\n", Phase.PROVISION)
    engine.start_again(spec)
    assert engine.driver.observe(job).is_running(Phase.PROVISION)
    engine.run(job, "touch /data/go")
    engine.ended(job, Phase.PROVISION)
    engine.start_again(spec)
    if engine.keeps_inputs:
        engine.ended(job, Phase.PROVISION)
    engine.says(job, b"ran\nran\n" if engine.keeps_inputs else b"ran\n", Phase.PROVISION)


def test_what_never_ran_can_be_restarted(engine: Backend) -> None:
    job = engine.job()
    engine.start_again(engine.spec(job, "exit 4", Phase.PUBLISH))
    assert engine.ended(job, Phase.PUBLISH).exit_code == 4


@real
def test_disk_use_is_seen_from_outside(engine: Backend) -> None:
    job = engine.job()
    fills = "mkdir -p /data/deep/er; head -c 5000000 /dev/zero >/data/deep/er/file; ln -s / /data/root"
    engine.start(engine.spec(job, f"{fills}; echo filled; sleep 100"))
    engine.says(job, b"filled")
    if engine.driver.capabilities().enforces_disk_quota:
        return
    used = until(lambda: (found := engine.driver.measure_disk(job) or 0) >= 5_000_000 and found)
    assert used <= 6_000_000


def test_engines_do_not_see_each_others_jobs(engine: Backend) -> None:
    other = engine.open(f"other-{engine.engine}")
    job = engine.job()
    engine.run(job, "true")
    assert other.list_jobs() == {}
    assert other.observe(job) == Seen()
    assert engine.driver.list_jobs().keys() == {job}


def test_who_watches_is_woken_when_a_phase_ends(engine: Backend) -> None:
    job = engine.job()
    woken: list[JobId] = []
    ends = threading.Event()

    def wake(woken_job: JobId) -> None:
        woken.append(woken_job)
        if engine.driver.observe(job).exited(Phase.RUN):
            ends.set()

    thread = threading.Thread(target=engine.driver.watch, args=(wake, ends.is_set), daemon=True)
    thread.start()
    engine.start(engine.spec(job, "sleep 0.5"))
    assert ends.wait(30), "nobody was woken"
    thread.join(10)
    assert not thread.is_alive() and set(woken) == {job}


def test_watching_ends_when_asked_though_nothing_happens(engine: Backend) -> None:
    stopped = threading.Event()
    thread = threading.Thread(target=engine.driver.watch, args=(lambda _: None, stopped.is_set), daemon=True)
    thread.start()
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_engine_keeps_its_identity(engine: Backend) -> None:
    assert engine.driver.daemon_id() == engine.driver.daemon_id() == engine.open("another").daemon_id() != ""


def test_the_engine_tells_what_it_has(engine: Backend) -> None:
    has = engine.driver.capabilities()
    assert has.kind and has.version and has.os == "linux" and has.architecture in ("x86_64", "aarch64")
    assert has.cpu_cores >= 1 and has.memory_bytes > 1 << 28 and has.disk_bytes > 1 << 28


def test_an_image_that_is_there_is_noted(engine: Backend) -> None:
    notes: list[str] = []
    assert engine.driver.ensure_image(engine.job(), ImageRef(engine.image), notes.append)
    assert notes and all("\n" not in note for note in notes)


def test_an_image_that_is_nowhere_ends_the_job(engine: Backend) -> None:
    if engine.missing_image is None:
        pytest.skip("this engine has no images")
    with pytest.raises(JobError):
        engine.driver.ensure_image(engine.job(), ImageRef(engine.missing_image), lambda _: None)


@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(lambda driver, job, spec: driver.daemon_id(), id="daemon_id"),
        pytest.param(lambda driver, job, spec: driver.capabilities(), id="capabilities"),
        pytest.param(lambda driver, job, spec: driver.ensure_image(job, ImageRef("x:1"), print), id="ensure_image"),
        pytest.param(lambda driver, job, spec: driver.ensure_volume(job, 1), id="ensure_volume"),
        pytest.param(lambda driver, job, spec: driver.ensure_created(spec), id="ensure_created"),
        pytest.param(lambda driver, job, spec: driver.recreate(spec), id="recreate"),
        pytest.param(lambda driver, job, spec: driver.start(spec), id="start"),
        pytest.param(lambda driver, job, spec: driver.observe(job), id="observe"),
        pytest.param(lambda driver, job, spec: driver.measure_disk(job), id="measure_disk"),
        pytest.param(lambda driver, job, spec: driver.stop(job, Phase.RUN, 1), id="stop"),
        pytest.param(lambda driver, job, spec: list(driver.read_log(job, Phase.RUN)), id="read_log"),
        pytest.param(lambda driver, job, spec: driver.remove(job), id="remove"),
        pytest.param(lambda driver, job, spec: driver.list_jobs(), id="list_jobs"),
        pytest.param(lambda driver, job, spec: driver.watch(print, lambda: False), id="watch"),
    ],
)
def test_an_engine_out_of_reach_is_unavailable(engine: Backend, verb: Callable[..., object]) -> None:
    if engine.unreachable is None:
        pytest.skip("this engine cannot be out of reach")
    driver: Driver = engine.unreachable
    job = new_job_id()
    with pytest.raises(Unavailable):
        verb(driver, job, engine.spec(job, "true"))
