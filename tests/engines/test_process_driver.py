"""The process engine: what programs see and may do, what is remembered of them, and who ends with whom."""

from __future__ import annotations

import http.server
import os
import random
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.drivers import process_state
from engines.drivers.base import GpuRequest, ImageRef, PhaseSpec
from engines.drivers.process_driver import ProcessDriver
from engines.observation import ContainerState
from shared.errors import JobError
from shared.names import JobId, Phase, new_job_id
from tests.engines.process_help import ENGINE, await_end, finish, make_spec, process_driver
from tests.needs import needs, require
from tests.starting import start, start_again

pytestmark = needs("namespaces")

PROJECT = Path(__file__).resolve().parents[2]
READY = "echo ready > /data/ready; "


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ProcessDriver]:
    with process_driver(tmp_path / "data" / "process") as made:
        yield made


def sh(script: str, **fields: object) -> PhaseSpec:
    return make_spec("sh", "-c", script, **fields)


def await_file(path: Path) -> None:
    """Wait until a program has made a file; the only sign that a shell can give."""
    give_up_at = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < give_up_at, f"{path.name} never came"
        time.sleep(0.005)


def volume(driver: ProcessDriver, spec: PhaseSpec) -> Path:
    return driver.job_folder(spec.job_id) / "volume"


class TestWhatAProgramSees:
    def test_it_has_its_volume_and_a_tmp_and_can_write_nowhere_else(self, driver: ProcessDriver) -> None:
        spec = sh(
            "echo a > /data/a && echo b > /tmp/b; for d in / /usr /etc /c2d /proc/sys/kernel; do touch $d/x; done"
        )
        _, log = finish(driver, spec)
        assert (volume(driver, spec) / "a").read_text() == "a\n"
        assert log.count("cannot touch") == 5, log

    def test_it_sees_no_process_but_its_own(self, driver: ProcessDriver) -> None:
        _, log = finish(driver, sh("echo /proc/[0-9]*"))
        assert log.split() == ["/proc/1", "/proc/2"]

    def test_it_has_no_rights_at_all(self, driver: ProcessDriver) -> None:
        _, log = finish(driver, sh("id -u; id -g; grep -E '^(Cap|NoNewPrivs)' /proc/self/status"))
        values = [line.split()[-1] for line in log.splitlines()]
        assert values == ["1000", "1000", *["0" * 16] * 5, "1"]

    def test_it_cannot_make_itself_a_user_namespace_to_be_root_in(self, driver: ProcessDriver) -> None:
        for way in ("unshare --user true", "unshare --user --map-root-user --mount true"):
            seen, log = finish(driver, sh(way))
            assert seen.exit_code != 0 and "Operation not permitted" in log
        threads = "import threading; t = threading.Thread(target=print, args=('ok',)); t.start(); t.join()"
        assert finish(driver, make_spec("python", "-c", threads))[1] == "ok\n"

    def test_root_is_not_to_be_had_even_when_the_spec_asks_for_it(self, driver: ProcessDriver) -> None:
        _, log = finish(driver, sh("id -u", user="0:0"))
        assert log == "1000\n"

    def test_the_nodes_data_is_hidden_even_inside_a_folder_that_is_shown(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "node.key").write_text("secret")
        (tmp_path / "offered").write_text("offered")
        with process_driver(tmp_path / "data" / "process", show=[str(tmp_path)]) as driver:
            _, log = finish(driver, sh(f"cat {tmp_path}/offered; ls -A {tmp_path}/data; cat {tmp_path}/data/node.key"))
        assert log.startswith("offered")
        assert "secret" not in log and "process" not in log

    def test_the_nodes_environment_is_not_handed_on(
        self, driver: ProcessDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("C2D_PRIVATE_KEY", "0xdeadbeef")
        _, log = finish(driver, sh("env; tr '\\0' '\\n' < /proc/1/environ", environment={"MINE": "yes"}))
        assert "MINE=yes" in log
        assert "deadbeef" not in log

    def test_a_secret_reaches_the_program_and_no_file(self, driver: ProcessDriver) -> None:
        spec = sh("echo ${#privateKey}", secret_environment={"privateKey": "k" * 40})
        _, log = finish(driver, spec)
        assert log == "40\n"
        kept = [path for path in driver.job_folder(spec.job_id).rglob("*") if path.is_file()]
        assert kept and not any(b"k" * 40 in path.read_bytes() for path in kept)
        assert "k" * 40 not in str(driver.manifest(spec))

    def test_python_is_the_nodes_own(self, driver: ProcessDriver) -> None:
        _, log = finish(driver, make_spec("python", "-c", "import sys; print(sys.prefix); import urllib3"))
        assert log == f"{sys.prefix}\n"

    def test_a_pod_finds_our_packages(self, driver: ProcessDriver) -> None:
        spec = make_spec("python", "-c", "import shared.names, pods; print(1)", phase=Phase.PROVISION, network="pod")
        assert finish(driver, spec)[1] == "1\n"

    def test_a_pod_reads_what_the_algorithm_kept_to_itself(self, driver: ProcessDriver) -> None:
        spec = sh("mkdir /data/closed; echo kept > /data/closed/file; chmod 0 /data/closed/file /data/closed")
        finish(driver, spec)
        pod = {"job_id": spec.job_id, "phase": Phase.PUBLISH, "user": "0:0"}
        granted = ("CHOWN", "DAC_OVERRIDE", "FOWNER")
        assert finish(driver, sh("cat /data/closed/file", capabilities=granted, **pod))[1] == "kept\n"

    def test_a_pod_reaches_the_node_and_an_algorithm_reaches_nobody(self, driver: ProcessDriver) -> None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            script = (
                f"import socket; socket.create_connection(('127.0.0.1', {server.server_port}), 5); print('reached')"
            )
            pod = finish(driver, make_spec("python", "-c", script, phase=Phase.PROVISION, network="pod"))
            algorithm = finish(driver, make_spec("python", "-c", script))
        finally:
            server.shutdown()
            server.server_close()
        assert pod[1] == "reached\n"
        assert "Connection refused" in algorithm[1] and algorithm[0].exit_code == 1

    def test_the_log_holds_both_streams_in_order_and_is_read_from_any_offset(self, driver: ProcessDriver) -> None:
        spec = sh("echo one; echo two >&2; echo three")
        assert finish(driver, spec)[1] == "one\ntwo\nthree\n"
        assert b"".join(driver.read_log(spec.job_id, Phase.RUN, offset=4)) == b"two\nthree\n"


class TestHowItEnds:
    @pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill $$", 143)])
    def test_its_exit_code_is_told_and_a_signal_of_its_own_is_no_excuse(
        self, driver: ProcessDriver, script: str, code: int
    ) -> None:
        seen, _ = finish(driver, sh(script))
        assert (seen.state, seen.exit_code, seen.was_killed) == (ContainerState.EXITED, code, False)
        assert seen.started_at_ms is not None and seen.finished_at_ms is not None
        assert seen.started_at_ms <= seen.finished_at_ms

    def test_what_it_left_running_ends_with_it(self, driver: ProcessDriver) -> None:
        spec = sh("(sleep 300; echo late) & echo early")
        seen, log = finish(driver, spec)
        assert (seen.exit_code, log) == (0, "early\n")

    def test_a_program_that_is_not_there_is_told_to_the_owner_in_one_line(self, driver: ProcessDriver) -> None:
        spec = make_spec("nonesuch")
        for _ in range(2):
            with pytest.raises(JobError, match="nonesuch: there is no such program"):
                start(driver, spec)
        seen, log = await_end(driver, spec.job_id)
        assert seen.start_error is not None and seen.start_error in log

    def test_too_much_memory_ends_it_as_out_of_memory(self, driver: ProcessDriver) -> None:
        program = "blocks = [bytearray(1 << 20) for _ in range(2000)]"
        seen, _ = finish(driver, make_spec("python", "-c", program, memory_bytes=64 << 20))
        assert (seen.exit_code, seen.oom_killed, seen.was_killed) == (137, True, False)

    def test_it_cannot_have_more_processes_than_granted(self, driver: ProcessDriver) -> None:
        script = "import os, time\nfor n in range(60):\n  if not os.fork(): time.sleep(60)\n"
        seen, log = finish(driver, make_spec("python", "-c", script, pids=20))
        assert seen.exit_code == 1 and "BlockingIOError" in log

    def test_the_time_granted_is_kept_though_no_pass_looks(self, driver: ProcessDriver) -> None:
        spec = sh("trap 'echo over; exit 0' TERM; sleep 300 & wait", max_seconds=1)
        _, log = finish(driver, spec)
        assert log == "over\n"
        assert process_state.read_state(str(driver.phase_folder(spec.job_id, Phase.RUN)))["ended_by"] == "timeout"

    def test_a_flood_of_output_is_cut_and_the_log_says_so(self, driver: ProcessDriver) -> None:
        spec = sh("head -c 70000000 /dev/zero; exit 5")
        seen, log = finish(driver, spec)
        assert seen.exit_code == 5
        assert len(log) < process_state.LOG_CAP_BYTES + 100 and "is cut at" in log[-100:]

    def test_stop_lets_a_polite_program_end_by_itself(self, driver: ProcessDriver) -> None:
        spec = sh(f"trap 'echo bye; exit 5' TERM; {READY} sleep 300 & wait")
        start(driver, spec)
        await_file(volume(driver, spec) / "ready")
        driver.stop(spec.job_id, Phase.RUN, grace_s=20)
        seen, log = await_end(driver, spec.job_id)
        assert (seen.exit_code, seen.was_killed, log) == (5, False, "bye\n")

    def test_stop_kills_a_stubborn_one_after_the_grace(self, driver: ProcessDriver) -> None:
        spec = sh(f"trap '' TERM; {READY} while :; do sleep 300; done")
        start(driver, spec)
        await_file(volume(driver, spec) / "ready")
        driver.stop(spec.job_id, Phase.RUN, grace_s=1)
        seen = driver.observe(spec.job_id).containers[Phase.RUN]
        assert (seen.state, seen.exit_code, seen.was_killed) == (ContainerState.EXITED, 137, False)

    def test_stop_of_what_never_was_is_success(self, driver: ProcessDriver) -> None:
        driver.stop(new_job_id(), Phase.RUN, grace_s=1)


class TestWhoeverIsKilled:
    def test_the_phase_outlives_the_pass_that_started_it(self, driver: ProcessDriver) -> None:
        spec = sh("sleep 300")
        start_elsewhere(driver, spec).wait(timeout=60)
        assert driver.observe(spec.job_id).is_running(Phase.RUN)

    def test_the_phase_dies_with_its_supervisor_and_counts_as_lost(self, driver: ProcessDriver) -> None:
        spec = sh(f"{READY} sleep 300 & wait")
        start(driver, spec)
        await_file(volume(driver, spec) / "ready")
        folder = str(driver.phase_folder(spec.job_id, Phase.RUN))
        init, supervisor = process_state.living_init(process_state.read_state(folder)), supervisor_of(driver, spec)
        assert init is not None
        watched = os.pidfd_open(init)
        os.kill(supervisor, signal.SIGKILL)
        signal_end(watched)
        seen, _ = await_end(driver, spec.job_id)
        assert (seen.state, seen.was_killed) == (ContainerState.EXITED, True)

    def test_a_lost_pod_starts_anew_and_a_lost_one_is_never_started_by_mere_repetition(
        self, driver: ProcessDriver
    ) -> None:
        spec = sh(f"echo run >> /data/runs; {READY} sleep 300", phase=Phase.PROVISION)
        start(driver, spec)
        await_file(volume(driver, spec) / "ready")
        watched = os.pidfd_open(supervisor_of(driver, spec))
        os.kill(supervisor_of(driver, spec), signal.SIGKILL)
        signal_end(watched)
        start(driver, spec)
        (volume(driver, spec) / "ready").unlink()
        start_again(driver, spec)
        await_file(volume(driver, spec) / "ready")
        start_again(driver, spec)  # it runs: left alone
        assert (volume(driver, spec) / "runs").read_text() == "run\n" * 2
        assert driver.observe(spec.job_id).is_running(Phase.PROVISION)

    def test_killed_from_outside_counts_as_lost(self, driver: ProcessDriver) -> None:
        spec = sh("sleep 300")
        start(driver, spec)
        init = process_state.living_init(process_state.read_state(str(driver.phase_folder(spec.job_id, Phase.RUN))))
        assert init is not None
        os.kill(init, signal.SIGKILL)
        seen, _ = await_end(driver, spec.job_id)
        assert (seen.exit_code, seen.was_killed) == (137, True)

    def test_many_passes_at_once_start_it_once(self, driver: ProcessDriver) -> None:
        spec = sh("echo run >> /data/runs")
        passes = [start_elsewhere(driver, spec) for _ in range(6)]
        assert [each.wait(timeout=60) for each in passes] == [0] * 6
        await_end(driver, spec.job_id)
        assert (volume(driver, spec) / "runs").read_text() == "run\n"

    def test_a_pass_killed_anywhere_in_the_start_leaves_one_start_to_the_next(self, driver: ProcessDriver) -> None:
        chance = random.Random(7)
        for _ in range(12):
            spec = sh("echo run >> /data/runs")
            victim = start_elsewhere(driver, spec)
            try:
                victim.wait(timeout=0.1 + chance.random() * 0.15)
            except subprocess.TimeoutExpired:
                victim.kill()
                victim.wait()
            start(driver, spec)
            seen, _ = await_end(driver, spec.job_id)
            assert (seen.exit_code, (volume(driver, spec) / "runs").read_text()) == (0, "run\n")

    def test_a_supervisor_killed_anywhere_in_the_start_never_makes_it_two(self, driver: ProcessDriver) -> None:
        chance = random.Random(11)
        for _ in range(10):
            spec = sh("echo run >> /data/runs; sleep 0.05; echo end >> /data/ends")
            starting = start_elsewhere(driver, spec)
            kill_supervisor(driver, spec, after_s=chance.random() * 0.03)
            starting.wait(timeout=60)
            start(driver, spec)
            seen, _ = await_end(driver, spec.job_id)
            runs, ends = (lines(volume(driver, spec) / name) for name in ("runs", "ends"))
            # (True, 1, 1): the program had ended, and its supervisor died before it could say so
            assert (seen.was_killed, runs, ends) in [(True, 0, 0), (True, 1, 0), (True, 1, 1), (False, 1, 1)]

    def test_a_start_that_was_cut_short_shows_as_made_and_is_taken_up(self, driver: ProcessDriver) -> None:
        spec = sh("echo run")
        driver.ensure_volume(spec.job_id, 1)
        driver.phase_folder(spec.job_id, Phase.RUN).mkdir()
        assert driver.observe(spec.job_id).containers[Phase.RUN].state is ContainerState.CREATED
        assert finish(driver, spec)[1] == "run\n"


class TestWhatIsLeft:
    def test_hostile_outputs_are_measured_and_removed_and_nothing_outside_is_touched(
        self, driver: ProcessDriver, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir(mode=0o755)
        (outside / "kept").write_text("kept")
        spec = make_spec("python", "-c", HOSTILE, str(outside))
        seen, log = finish(driver, spec)
        assert seen.exit_code == 0, log
        used = driver.measure_disk(spec.job_id)
        assert used is not None and 5 << 20 <= used < 40 << 20
        driver.remove(spec.job_id)
        assert not driver.job_folder(spec.job_id).exists()
        assert (outside / "kept").read_text() == "kept"
        assert stat.S_IMODE(outside.stat().st_mode) == 0o755

    def test_what_a_program_hides_in_tmp_is_measured_too(self, driver: ProcessDriver) -> None:
        spec = sh("head -c 3000000 /dev/zero > /tmp/x")
        finish(driver, spec)
        assert (driver.measure_disk(spec.job_id) or 0) >= 3_000_000

    def test_remove_ends_what_runs_and_may_be_repeated(self, driver: ProcessDriver) -> None:
        spec = sh("trap '' TERM; while :; do sleep 300; done")
        start(driver, spec)
        groups = process_state.read_state(str(driver.phase_folder(spec.job_id, Phase.RUN))).get("cgroups", "").split()
        supervisor = os.pidfd_open(supervisor_of(driver, spec))
        for _ in range(2):
            driver.remove(spec.job_id)
        signal_end(supervisor)
        assert not any(os.path.exists(group) for group in groups)
        assert driver.list_jobs() == {} and list(driver.events.iterdir()) == []

    def test_jobs_are_listed_for_their_own_engine_only(self, driver: ProcessDriver) -> None:
        spec = sh("exit 0")
        finish(driver, spec)
        listed = driver.list_jobs()
        assert list(listed) == [spec.job_id]
        assert abs(listed[spec.job_id] - time.time() * 1000) < 60_000
        assert ProcessDriver("other", {"directory": str(driver.directory)}).list_jobs() == {}


class TestTheEngine:
    def test_its_id_stays(self, driver: ProcessDriver) -> None:
        assert driver.daemon_id() == ProcessDriver(ENGINE, {"directory": str(driver.directory)}).daemon_id()

    def test_it_says_what_the_machine_has_and_that_programs_can_run(self, driver: ProcessDriver) -> None:
        found = driver.capabilities()
        assert found.kind == "process" and not found.enforces_disk_quota
        assert found.cpu_cores >= 1 and found.memory_bytes > 0 and found.disk_bytes > 0
        assert not [note for note in found.notes if "nothing can run" in note]
        assert sorted(path.name for path in driver.home.iterdir()) == ["events", "jobs"]

    def test_it_wakes_whoever_watches_when_a_phase_starts_and_ends(self, driver: ProcessDriver) -> None:
        woken: list[JobId] = []
        started, ended, stopped = threading.Event(), threading.Event(), threading.Event()

        def wake(job_id: JobId) -> None:
            (ended if woken else started).set()
            woken.append(job_id)

        spec = sh(f"{READY} sleep 300")
        watching = threading.Event()

        def is_stopped() -> bool:
            watching.set()
            return stopped.is_set()

        thread = threading.Thread(target=driver.watch, args=(wake, is_stopped))
        thread.start()
        assert watching.wait(20)
        start(driver, spec)
        assert started.wait(20)
        driver.stop(spec.job_id, Phase.RUN, grace_s=0)
        assert ended.wait(20)
        stopped.set()
        thread.join(20)
        assert woken == [spec.job_id] * 2

    def test_an_image_is_only_a_label(self, driver: ProcessDriver) -> None:
        lines: list[str] = []
        assert driver.ensure_image(new_job_id(), ImageRef("python:3.11"), lines.append) == "python:3.11"
        assert lines == ["the process engine runs the host's own programs; image python:3.11 is not used"]
        with pytest.raises(JobError, match="Dockerfile"):
            driver.ensure_image(new_job_id(), ImageRef("x", dockerfile="FROM x"), lines.append)

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"command": None}, "entrypoint"),
            ({"network": "lab"}, "no network lab"),
            ({"gpu": GpuRequest(({"Count": 1},))}, "devices"),
            ({"user": "nobody"}, "numeric user"),
            ({"capabilities": ("SYS_ADMIN",)}, "SYS_ADMIN"),
            ({"environment": {"A": "b\0c"}}, "zero byte"),
        ],
    )
    def test_what_it_cannot_give_is_refused_with_a_sentence(
        self, driver: ProcessDriver, fields: dict[str, object], why: str
    ) -> None:
        with pytest.raises(JobError, match=why):
            driver.ensure_created(sh("true", **fields))

    def test_a_job_id_never_becomes_a_path(self, driver: ProcessDriver) -> None:
        with pytest.raises(JobError):
            driver.remove(JobId("../../data"))


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0, reason="this run is an ordinary user's already")
def test_all_of_this_holds_for_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    require("namespaces")
    if not (shutil.which("setpriv") and shutil.which("unshare")):
        pytest.skip("setpriv and unshare make the ordinary user")
    base = Path("/tmp") / f"c2d-ordinary-{os.getpid()}"
    base.mkdir(mode=0o755)
    (base / "home").mkdir()
    os.chown(base / "home", 1000, 1000)
    needed = [str(PROJECT), sys.prefix, sys.base_prefix]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={base}/home/tmp", __file__]
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", AS_ORDINARY_USER, "sh", *needed, "--", *command],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "HOME": f"{base}/home", "KEEP": str(base), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=240,
        )
    finally:
        shutil.rmtree(base)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


AS_ORDINARY_USER = """
# Shows the folders given, in a mount namespace of its own, also where they lie below a folder that is closed to others.
kept=0
while [ "$1" != -- ]; do
    closed=$(python3 -c 'import os, sys
path, found = sys.argv[1], ""
while path != "/":
    found = path if not os.stat(path).st_mode & 1 else found
    path = os.path.dirname(path)
print(found)' "$1")
    if [ -n "$closed" ]; then
        mkdir "$KEEP/$kept"
        mount --bind "$1" "$KEEP/$kept"
        mount -t tmpfs -o mode=755 none "$closed"
        mkdir -p "$1"
        mount --bind "$KEEP/$kept" "$1"
        umount "$KEEP/$kept"
        kept=$((kept + 1))
    fi
    shift
done
shift
exec setpriv --reuid=1000 --regid=1000 --clear-groups "$@"
"""

HOSTILE = """
import os, sys
os.chdir('/data')
open('setuid', 'w').write('x'); os.chmod('setuid', 0o6777)
os.symlink(sys.argv[1], 'outside'); os.symlink('/', 'root'); os.mkfifo('fifo')
open('big', 'wb').write(bytes(5 << 20))
for n in range(20): os.link('big', f'big{n}')
os.mkdir('closed'); os.mkdir('closed/in'); open('closed/in/file', 'w').write('x' * 4096)
os.chmod('closed/in', 0); os.chmod('closed', 0)
for _ in range(3000):
    os.mkdir('d' * 40); os.chdir('d' * 40)
"""


def start_elsewhere(driver: ProcessDriver, spec: PhaseSpec) -> subprocess.Popen[bytes]:
    """Start a phase from another process, as another pass would."""
    program = (
        "import sys\nfrom tests.engines.process_help import *\n"
        f"start(ProcessDriver(ENGINE, {{'directory': {str(driver.directory)!r}}}), "
        f"make_spec(*{spec.command!r}, job_id={spec.job_id!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT)


def kill_supervisor(driver: ProcessDriver, spec: PhaseSpec, after_s: float) -> None:
    """Wait for a phase's supervisor, then kill it a moment later."""
    folder = str(driver.phase_folder(spec.job_id, spec.phase))
    give_up_at = time.monotonic() + 20
    while (pid := process_state.supervisor_pid(folder)) is None:
        assert time.monotonic() < give_up_at, "no supervisor came"
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)


def lines(path: Path) -> int:
    """How many lines a file has; none where it is missing."""
    return len(path.read_text().splitlines()) if path.exists() else 0


def supervisor_of(driver: ProcessDriver, spec: PhaseSpec) -> int:
    """The process id of a running phase's supervisor."""
    pid = process_state.supervisor_pid(str(driver.phase_folder(spec.job_id, spec.phase)))
    assert pid is not None
    return pid


def signal_end(descriptor: int) -> None:
    """Wait for the end of the process behind a pidfd."""
    assert select.select([descriptor], [], [], 20)[0]
    os.close(descriptor)
