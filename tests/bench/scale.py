"""How one engine's passes scale: 10,000 jobs in line, 1,000 running, PostgreSQL, several processes of passes.

    .venv/bin/python -m tests.bench.scale                        about five minutes on two quiet cores
    .venv/bin/python -m tests.bench.scale --write                the same, into engines/scale.md and engines/scale.svg
    .venv/bin/python -m tests.bench.scale --processes 1,4,16     on a larger machine
    .venv/bin/python -m tests.bench.scale --quick                a minute, smaller

Two questions. *Rate*: algorithms end faster than passes can follow; how many jobs a second go all the way, and what
takes the time. *Cost*: everything is taken and nothing ends; what it costs to look after what runs, once a second each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

from shared.addresses import address_of
from shared.db import reservations, workflows
from shared.db.base import DATABASE
from shared.db.connection import migrate, session
from shared.db.tables import Job
from shared.names import Address
from shared.secrets import NodeKeys
from shared.workflow import Workflow
from tests.bench import scale_picture
from tests.databases import opened
from tests.factories import NODE_KEY
from tests.flows.harness import job
from tests.needs import why_missing
from tests.services.postgres import PostgresServer, new_server

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "engines" / "scale.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
OWNERS = 100
START_S = 120
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    queued: int = 10_000
    running: int = 1_000
    processes: tuple[int, ...] = (1, 2, 4)
    window_s: float = 12
    run_s: float = 4


QUICK = Size(2_000, 200, (1, 2), 5, 2)
LONG_S = 3600
"How long algorithms run where nothing is to end."


@dataclass(frozen=True)
class Rate:
    """What so many processes do in a second."""

    processes: int
    jobs: float
    "Jobs that went all the way."
    claims: float
    "Leases taken."
    passes: float
    pass_ms: float
    "The median pass."
    cpu_ms: float
    "Processor time of passes for one job."
    database_ms: float
    "Processor time of PostgreSQL for one job."
    busy: float
    "Of all the machine's processors, passes and database together: 1 is all."
    waiting: float
    "Sessions that wait for a row another holds, on average."


@dataclass(frozen=True)
class Cost:
    """What so many processes need for all that runs while nothing ends."""

    processes: int
    queued: int
    running: int
    ramp: float
    "Jobs a second that were brought to run."
    looks: float
    "Looks at running jobs, a second; one each is what is wanted."
    look_ms: float
    "Processor time of passes for one look."
    database_ms: float
    every_s: float
    "So often each is looked at."
    promised_ms: float
    "To add up what is promised: once for each admission, under the engine's row."


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller")
    parser.add_argument("--write", action="store_true", help="write the page's figures and its picture")
    parser.add_argument("--processes", default="", help="how many at once, such as 1,2,4")
    options = parser.parse_args()
    if why_missing("postgres"):
        print(f"not measured, {why_missing('postgres')}", file=sys.stderr)
        return 1
    size = QUICK if options.quick else Size()
    if options.processes:
        size = replace(size, processes=tuple(int(each) for each in options.processes.split(",")))
    rates, costs = measure(size)
    figures = told(rates, costs)
    print(figures)
    print(json.dumps({"rates": [asdict(each) for each in rates], "costs": [asdict(each) for each in costs]}))
    if options.write:
        write(figures, scale_picture.drawn([(rate.processes, rate.jobs, rate.claims) for rate in rates]))
    return 0


def write(figures: str, picture: str) -> None:
    """Put the figures between the page's marks, and the picture beside it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    shown = f"Measured on {os.cpu_count()} processors.\n\n```\n{figures}\n```\n"
    PAGE.write_text(f"{before}{BEGIN}\n{shown}{END}{rest.partition(END)[2]}")
    PAGE.with_suffix(".svg").write_text(picture)


def measure(size: Size) -> tuple[list[Rate], list[Cost]]:
    """Every number of processes on a copy of the same database; then those with nothing that ends."""
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        os.chmod(folder, 0o755)
        server = new_server(Path(folder))
        try:
            server.template("queued", lambda url: fill(url, size))
            rates = []
            for processes in size.processes:
                print(f"{processes} processes …", file=sys.stderr, flush=True)
                rates.append(rate(server, Path(folder), size, processes))
            costs = []
            for processes in sorted({1, max(size.processes)}):
                print(f"{processes} processes, nothing ends …", file=sys.stderr, flush=True)
                costs.append(cost(server, Path(folder), size, processes))
            return rates, costs
        finally:
            server.stop("immediate")


def fast_folder() -> str | None:
    """Memory, where it can hold files: the bench is of passes, not of a disk."""
    return "/dev/shm" if shutil.disk_usage("/dev/shm").free > 2 << 30 else None


def fill(url: str, size: Size) -> None:
    """Put jobs of many owners in line."""
    box = NodeKeys.from_private_key(NODE_KEY).box
    each = size.queued // OWNERS
    with opened(url):
        migrate()
        for number in range(OWNERS):
            owner = Address(address_of(bytes([number + 1]) * 32).lower())
            wanted = Workflow(door="workflow", jobs=tuple(job(place) for place in range(each)), queue_max_wait_s=86_400)
            at_ms = time.time_ns() // 1_000_000
            workflows.insert(workflows.Submission(wanted, owner, owner, True, at_ms, box, lambda text: text))
        with session():
            Job.raw("ANALYZE").execute()


class Passes:
    """Processes of passes on one database and one world."""

    def __init__(self, folder: Path, url: str, size: Size, processes: int, run_s: float) -> None:
        self.world = Path(tempfile.mkdtemp(dir=folder, prefix="world-"))
        offered = {"id": "main", "maxJobs": size.running, "maxJobDuration": 86_400}
        offered["free"] = {"maxJobs": size.running, "maxJobDuration": 86_400}
        settings = {
            "C2D_DATABASE_URL": url, "C2D_DATA_DIR": str(folder), "C2D_STORAGE_URL": f"file://{self.world}.results",
            "C2D_PRIVATE_KEY": NODE_KEY.hex(), "C2D_POD_API_URL": "http://127.0.0.1:1",
            "C2D_ENGINES": json.dumps([{"name": "scale", "type": "memory", "environments": [offered]}]),
        }  # fmt: skip
        Path(f"{self.world}.results").mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("C2D_")}
        command = [sys.executable, "-m", "tests.bench.shared_world", str(self.world), str(run_s)]
        self._log = open(folder / "log", "ab")  # noqa: SIM115 - as long as the processes
        self.processes = [
            subprocess.Popen(command, env={**kept, **settings}, cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log)
            for _ in range(processes)
        ]

    def told(self) -> list[dict[str, object]]:
        """What each has done so far."""
        for process in self.processes:
            process.send_signal(signal.SIGUSR1)
        return [json.loads(process.stdout.readline()) for process in self.processes if process.stdout]

    def stop(self) -> None:
        """End them."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.communicate(timeout=60)
        self._log.close()


@contextlib.contextmanager
def passing(
    server: PostgresServer, folder: Path, size: Size, processes: int, run_s: float
) -> Iterator[tuple[Passes, str]]:
    """Passes on a fresh copy of the filled database, which is open in this process too."""
    url = server.create_database("queued")
    try:
        with opened(url):
            passes = Passes(folder, url, size, processes, run_s)
            try:
                until_at_work(passes, folder)
                yield passes, url
            finally:
                passes.stop()
    finally:
        server.drop_database(url)


def until_at_work(passes: Passes, folder: Path) -> None:
    """Wait for the first job to run; imports and connections are not what is measured."""
    deadline = time.monotonic() + START_S
    while not any(passes.world.iterdir()):
        assert time.monotonic() < deadline, (folder / "log").read_text()[-4000:]
        time.sleep(0.1)


def rate(server: PostgresServer, folder: Path, size: Size, processes: int) -> Rate:
    """Jobs that end faster than passes can follow, for a while."""
    with passing(server, folder, size, processes, size.run_s) as (passes, _):
        until_jobs_end(size)
        began, before, finished, database_s = time.monotonic(), passes.told(), counted("finished"), cpu_s(server)
        waiting = waiting_meanwhile(size.window_s)
        took_s, after = time.monotonic() - began, passes.told()
        jobs = counted("finished") - finished
        database_s = cpu_s(server) - database_s
    made = [each for one, two in zip(before, after, strict=True) for each in passes_between(one, two)]
    used_s = sum(float(str(two["cpu_s"])) - float(str(one["cpu_s"])) for one, two in zip(before, after, strict=True))
    return Rate(
        processes=processes,
        jobs=jobs / took_s,
        claims=sum(leased for _, leased in made) / took_s,
        passes=len(made) / took_s,
        pass_ms=1000 * statistics.median(seconds for seconds, _ in made) if made else 0.0,
        cpu_ms=1000 * used_s / max(jobs, 1),
        database_ms=1000 * database_s / max(jobs, 1),
        busy=(used_s + database_s) / took_s / (os.cpu_count() or 1),
        waiting=waiting,
    )


def cost(server: PostgresServer, folder: Path, size: Size, processes: int) -> Cost:
    """Everything taken, nothing that ends."""
    with passing(server, folder, size, processes, LONG_S) as (passes, _):
        began, deadline = time.monotonic(), time.monotonic() + START_S
        while (running := counted("running")) < size.running and time.monotonic() < deadline:
            time.sleep(0.2)
        ramp = running / (time.monotonic() - began)
        time.sleep(2)
        started = time.perf_counter()
        reservations.usage("scale")
        promised_s = time.perf_counter() - started
        before, database_s = passes.told(), cpu_s(server)
        time.sleep(size.window_s)
        after, database_s = passes.told(), cpu_s(server) - database_s
        queued = counted("queued")
    pairs = list(zip(before, after, strict=True))
    looks = sum(leased for one, two in pairs for _, leased in passes_between(one, two))
    used_s = sum(float(str(two["cpu_s"])) - float(str(one["cpu_s"])) for one, two in pairs)
    return Cost(
        processes, queued, running, ramp, looks / size.window_s, 1000 * used_s / max(looks, 1),
        1000 * database_s / max(looks, 1), running * size.window_s / max(looks, 1), 1000 * promised_s,
    )  # fmt: skip


def waiting_meanwhile(seconds: float) -> float:
    """Let the time pass; how many sessions waited for a lock on average, looked at ten times a second."""
    found, until = [], time.monotonic() + seconds
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with session():
        while time.monotonic() < until:
            found.append(int(DATABASE.execute_sql(asked).fetchone()[0]))
            time.sleep(0.1)
    return statistics.mean(found)


def until_jobs_end(size: Size) -> None:
    """Wait until half as many have ended as can run: a full engine is what is measured, not its filling."""
    deadline = time.monotonic() + START_S
    while counted("finished") < size.running // 2 and time.monotonic() < deadline:
        time.sleep(0.2)


def passes_between(before: dict[str, object], after: dict[str, object]) -> list[tuple[float, int]]:
    """Seconds and leases of each pass since."""
    first, second = before["passes"], after["passes"]
    assert isinstance(first, list) and isinstance(second, list)
    return [(float(seconds), int(leased)) for seconds, leased in second[len(first) :]]


def counted(status: str) -> int:
    """Jobs that have a status."""
    with session():
        return int(Job.select().where(Job.status == status).count())


def cpu_s(server: PostgresServer) -> float:
    """Processor time of the database so far: of its processes, and of those that have ended."""
    postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    ticks = 0
    for pid in (str(postmaster), *children):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(each) for each in (fields[11:15] if pid == str(postmaster) else fields[11:13]))
    return ticks / CLOCK_TICKS


RATES = ("processes", "jobs/s", "claims/s", "passes/s", "pass ms", "cpu ms/job", "db ms/job", "busy %", "waiting")
COSTS = ("processes", "in line", "running", "ramp jobs/s", "looks/s", "cpu ms/look", "db ms/look", "every s", "sums ms")


def told(rates: list[Rate], costs: list[Cost]) -> str:
    """The figures as two tables."""
    first = [
        (
            each.processes,
            each.jobs,
            each.claims,
            each.passes,
            each.pass_ms,
            each.cpu_ms,
            each.database_ms,
            100 * each.busy,
            each.waiting,
        )
        for each in rates
    ]
    second = [astuple(each) for each in costs]
    return "\n".join([lined(RATES), *map(lined, first), "", lined(COSTS), *map(lined, second)])


def lined(cells: Sequence[object]) -> str:
    """One line of a table."""
    return " ".join(f"{each:>11.1f}" if isinstance(each, float) else f"{each:>11}" for each in cells)


if __name__ == "__main__":
    sys.exit(main())
