"""One node in memory: real rows, real storage, real passes; the engine's world is a script and the clock is ours."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines import environments
from engines.context import Context
from engines.drivers.base import Capabilities, PhaseSpec
from engines.drivers.memory_driver import MemoryDriver, Script, World
from engines.housekeeping import keep_house
from engines.observation import ContainerState
from engines.phases import Pods
from engines.reconcile import reconcile_once
from shared.db import jobs, results, workflows
from shared.db.base import DATABASE
from shared.db.connection import session
from shared.db.node_tables import Engine, Lease, PodNonce, Reservation, Turn
from shared.db.tables import Event, Job, LogChunk, Result
from shared.engine_config import EngineConfig
from shared.errors import Unavailable
from shared.lifecycle import JobStatus, is_finished
from shared.names import Address, JobId, Phase, result_key
from shared.secrets import SecretBox
from shared.storage.base import Storage
from shared.storage.local import LocalStorage
from shared.workflow import AlgorithmRequest, InputRequest, JobRequest, Workflow
from tests.flows.killable import STORAGE, VERBS, Checkpoints, Killed, Watched

START_MS = 1_700_000_000_000
ALICE = Address("0x" + "a" * 40)
BOB = Address("0x" + "b" * 40)
IMAGE = {"image": "python", "tag": "3.11", "entrypoint": "python $ALGO"}

Act = Callable[["Site", PhaseSpec], None]


@dataclass
class Clock:
    """Time, which passes when the test says so."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += int(seconds * 1000)


class Inline:
    """A crew of one, which carries each job at once: the same order every time."""

    def room(self, most: int, *, is_slow: bool) -> int:
        """Always all of it."""
        return most

    def carry(
        self, context: Context, job_id: JobId, token: str, is_slow: bool, carry: Callable[[], None]
    ) -> Future[None]:
        """Carry it now."""
        carry()
        done: Future[None] = Future()
        done.set_result(None)
        return done


class StorageThatMayBeDown:
    """Storage that is out of reach while it is told to be."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.is_down = False

    def __getattr__(self, name: str) -> Any:
        if self.is_down:
            raise Unavailable("The storage is out of reach.")
        return getattr(self._inner, name)


@dataclass(frozen=True)
class Play:
    """What one start of a phase does: a script, and what its process does to the node and the world."""

    script: Script = field(default_factory=Script)
    act: Act | None = None


def says(state: str, **more: Any) -> Act:
    """A pod's signed report of its own phase."""

    def act(site: Site, spec: PhaseSpec) -> None:
        jobs.record_report(spec.job_id, spec.phase, {"state": state, **more}, site.clock())

    return act


def publishes(site: Site, spec: PhaseSpec) -> None:
    """What the publish command does with what a publishing pod sends, and the pod's report."""
    name = f"outputs-of-{site.index_of[spec.job_id]}.txt"
    try:
        stored = site.storage.write(result_key(spec.job_id, name), [f"what {name} says\n".encode()])
    except Unavailable as error:
        says("failed", code="publish_failed", reason=error.detail)(site, spec)
        return
    results.record_result(spec.job_id, name, stored, site.clock())
    says("done")(site, spec)


def vanishes(site: Site, spec: PhaseSpec) -> None:
    """Somebody deletes the container."""
    site.world.containers.pop((spec.engine, spec.job_id, spec.phase), None)


def is_killed(site: Site, spec: PhaseSpec) -> None:
    """The engine, or somebody else, kills the container."""
    found = site.world.containers[spec.engine, spec.job_id, spec.phase]
    found.seen = replace(found.seen, state=ContainerState.EXITED, exit_code=137, was_killed=True)


DONE = Play(Script(log=b"provided\n"), says("done"))
PUBLISHED = Play(Script(log=b"published\n"), publishes)
RAN = Play(Script(log=b"hello\n"))
RUNS_ON = Play(Script(exit_code=None, log=b"working\n"))
SILENT = Play(Script(exit_code=1, log=b"oops\n"))
LOST = Play(Script(exit_code=None), vanishes)
KILLED = Play(Script(exit_code=None), is_killed)
USUAL: Mapping[Phase, Play] = {Phase.PROVISION: DONE, Phase.RUN: RAN, Phase.PUBLISH: PUBLISHED}

FREE_4 = [{"id": "cpu", "total": 4, "min": 1, "max": 4}, {"id": "ram", "total": 8, "min": 1, "max": 8}]
DISK = {"id": "disk", "total": 50, "min": 1, "max": 50}


def offered(name: str = "default", cpu: int = 4, **more: Any) -> dict[str, Any]:
    """An environment as an operator declares it, free of charge."""
    resources = [{"id": "cpu", "total": cpu, "min": 1, "max": cpu}, FREE_4[1], DISK]
    free = {"maxJobDuration": 3600, "maxJobs": 20, "resources": [dict(each) for each in resources]}
    return {"id": name, "resources": resources, "maxJobs": 20, "free": free, **more}


def job(index: int, *after: int, **changes: Any) -> JobRequest:
    """One job of a workflow; it reads the outputs of those it runs after."""
    inputs = tuple(InputRequest(place, from_job=earlier) for place, earlier in enumerate(after))
    algorithm = AlgorithmRequest(container={**IMAGE, **changes.pop("container", {})}, **changes.pop("algorithm", {}))
    return JobRequest(index=index, algorithm=algorithm, inputs=inputs, run_after=after, **changes)


@dataclass
class Site:
    """A node with engines of the memory kind, and everything its passes work with."""

    folder: Path
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    clock: Clock = field(default_factory=Clock)
    world: World = field(default_factory=World)
    plays: dict[tuple[int, Phase], Sequence[Play]] = field(default_factory=dict)
    index_of: dict[JobId, int] = field(default_factory=dict)
    order: list[JobId] = field(default_factory=list)
    on_verb: dict[tuple[str, int], Callable[[], object]] = field(default_factory=dict)
    "What happens just before a driver's verb for a job, once."
    when: dict[tuple[int, JobStatus], Callable[[], object]] = field(default_factory=dict)
    "What happens between two passes when a job has a status, once."
    later: list[tuple[int, Callable[[], object]]] = field(default_factory=list)
    "What happens when a time has come."
    kills: list[int] = field(default_factory=list)
    "After how many more places each new process is killed."
    keeps_house: bool = False
    "Whether each pass does the duties beside the jobs as well."

    def __post_init__(self) -> None:
        self.root = self.folder / secrets.token_hex(4)
        self.root.mkdir()
        self.storage = StorageThatMayBeDown(LocalStorage(self.root))
        self.box = SecretBox(b"\x07" * 32)
        self.contexts: dict[str, Context] = {}
        self.offer("local", offered())

    def offer(self, engine: str, *declared: Mapping[str, Any]) -> None:
        """Declare an engine, as a pass does when it starts."""
        machine = Capabilities("memory", "1", False, 8.0, 16 << 30, 100 << 30, "x86_64")
        documents = environments.documents(EngineConfig(engine, "memory", {}, tuple(declared)), machine, "0x0")
        environments.record(engine, "memory", documents, machine, self.clock())
        self.contexts[engine] = self.context(engine)

    def context(self, engine: str) -> Context:
        """What a new process would work with."""
        driver = MemoryDriver(engine, self.world, self._script_of, self.clock)
        return Context(
            name=engine,
            driver=Prompted(Watched(driver, VERBS, self.checkpoints), self),  # type: ignore[arg-type]
            storage=Watched(self.storage, STORAGE, self.checkpoints),  # type: ignore[arg-type]
            box=self.box,
            pods=Pods("c2d/pod", "http://node", "0x" + "1" * 40),
            now_ms=self.clock,
        )

    def submit(self, *wanted: JobRequest, owner: Address = ALICE, wait_s: int = 86_400, **more: Any) -> list[JobId]:
        """Send a workflow in, as the start command does."""
        door = Workflow(door="workflow", jobs=wanted, queue_max_wait_s=wait_s, **more)
        sent = workflows.Submission(door, owner, owner, True, self.clock(), self.box, lambda text: text)
        _, ids = workflows.insert(sent)
        for job_id in ids:
            self.index_of[job_id] = len(self.index_of)
        self.order += ids
        return ids

    def play(self, index: int, phase: Phase, *plays: Play) -> None:
        """Say what the starts of a phase do; the last is repeated."""
        self.plays[index, phase] = plays

    def _script_of(self, spec: PhaseSpec) -> Script:
        plays = self.plays.get((self.index_of[spec.job_id], spec.phase), [USUAL[spec.phase]])
        started = self.world.runs.count((spec.job_id, spec.phase))
        play = plays[min(started, len(plays) - 1)]

        def act(spec: PhaseSpec) -> None:
            with self.checkpoints.outside():
                if play.act is not None:
                    play.act(self, spec)

        return replace(play.script, act=act)

    def restart(self) -> None:
        """The process is dead, its connections are cut; a new one starts."""
        DATABASE.obj.manual_close()
        DATABASE.obj.close_all()
        self.checkpoints.start_again(self.kills.pop(0) if self.kills else None)
        self.contexts = {name: self.context(name) for name in self.contexts}

    def pass_(self, engine: str = "local") -> bool:
        """One pass, as cron runs it; killed, a new process follows. Whether there was anything to do."""
        try:
            if self.keeps_house:
                keep_house(self.contexts[engine])
            report = reconcile_once(self.contexts[engine], Inline())  # type: ignore[arg-type]
            return bool(report.admitted or report.leased)
        except Killed:
            self.restart()
        except Unavailable:
            self.clock.advance(2)
        return True

    def settle(self, turns: int = 500) -> None:
        """Pass until every job is finished; time moves on to what is due next."""
        for _ in range(turns):
            self._happen()
            is_busy = sum(self.pass_(engine) for engine in list(self.contexts))
            if self.is_settled() and not self.later:
                return
            if not is_busy:
                self._wait()
        raise AssertionError(f"no end in sight: {self.story()}")

    def finish(self) -> None:
        """What follows the last job: leases of dead duties run out, what was left is cleared away."""
        self.keeps_house = True
        self.clock.advance(15 * 60)
        for _ in range(2):
            for engine in list(self.contexts):
                self.pass_(engine)
            self.clock.advance(61)

    def is_settled(self) -> bool:
        """Whether every job is finished."""
        return all(is_finished(status) for status in self.statuses())

    def _happen(self) -> None:
        with self.checkpoints.outside():
            now = self.clock()
            due = [each for each in self.later if each[0] <= now]
            self.later = [each for each in self.later if each[0] > now]
            for _, do in due:
                do()
            for index, status in enumerate(self.statuses()):
                self.when.pop((index, status), lambda: None)()

    def _wait(self) -> None:
        """To the next time that anything is due; not at all where something is due now."""
        with self.checkpoints.outside(), session():
            rows = Job.select(Job.due_at_ms, Job.lease_until_ms).where(Job.due_at_ms.is_null(False)).tuples()
            times = [max(due, until) for due, until in rows] + [at_ms for at_ms, _ in self.later]
        if times:
            self.clock.now_ms = max(self.clock.now_ms, min(times))

    def in_(self, seconds: float, do: Callable[[], object]) -> None:
        """Let something happen later."""
        self.later.append((self.clock() + int(seconds * 1000), do))

    def stop(self, *indexes: int) -> Callable[[], object]:
        """The owner asks for jobs to be stopped."""

        def ask() -> None:
            jobs.request_stop([self.order[index] for index in indexes], self.clock())

        return ask

    def rows(self) -> list[Job]:
        """All jobs as they were submitted."""
        with session():
            found = {row.job_id: row for row in Job.select()}
        return [found[job_id] for job_id in self.order]

    def statuses(self) -> list[JobStatus]:
        """Where each job stands."""
        return [JobStatus(row.status) for row in self.rows()]

    def ends(self) -> list[tuple[str, str | None]]:
        """Status and reason of each job."""
        return [(row.status, row.reason) for row in self.rows()]

    def result_names(self, index: int) -> set[str]:
        """The files a job left."""
        return set(results.filenames(self.order[index]))

    def content(self, index: int, name: str) -> bytes:
        """What a file says."""
        return b"".join(self.storage.read(result_key(self.order[index], name)))

    def runs(self, index: int, phase: Phase = Phase.RUN) -> int:
        """How often a phase really started."""
        return self.world.runs.count((self.order[index], phase))

    def moves(self, index: int) -> list[str]:
        """The statuses a job went through."""
        with session():
            query = Event.select().where((Event.job_id == self.order[index]) & (Event.kind == "move"))
            return [row.status for row in query.order_by(Event.id)]

    def outcome(self) -> list[dict[str, Any]]:
        """All that must be the same whatever was killed on the way."""
        with session():
            files = list(Result.select())
        return [
            {
                "status": row.status,
                "reason": row.reason,
                "detail": self._anonymous(row.reason_detail),
                "exit": (row.exit_code, row.oom_killed),
                "moves": self.moves(index),
                "ran": self.runs(index),
                "files": sorted((each.filename, each.sha256) for each in files if each.job_id == row.job_id),
            }
            for index, row in enumerate(self.rows())
        ]

    def _anonymous(self, text: str | None) -> str | None:
        for job_id, index in self.index_of.items():
            text = text and text.replace(job_id, f"job-{index}")
        return text

    def story(self) -> list[dict[str, Any]]:
        """What a failing test shows."""
        fields = ("status", "ending", "reason", "due_at_ms", "lease_until_ms", "error_count", "last_error", "unmet")
        return [{name: getattr(row, name) for name in fields} for row in self.rows()] + [{"now": self.clock()}]

    def leftovers(self) -> dict[str, Any]:
        """Everything that should not be there once all is finished."""
        with session():
            unclosed = [
                row.job_id
                for row in self.rows()
                if row.key_sealed or row.due_at_ms or row.lease_token or row.lease_until_ms or not row.finished_at_ms
            ]
            rows = {table: table.select().count() for table in (Reservation, Turn, LogChunk, PodNonce)}
            duties = [row.name for row in Lease.select().where(Lease.until_ms != 0)]
            known = {row.key for row in Result.select()}
            problems = [row.problem for row in Engine.select().where(Engine.problem.is_null(False))]
        stored = set(self.storage.keys())
        found = {
            "unclosed": unclosed,
            "duties": duties,
            "problems": problems,
            "outside": [*self.world.containers, *self.world.volumes, *self.world.made_at_ms],
            "unrecorded": stored - known,
            "unstored": known - stored,
            **{table.__name__: count for table, count in rows.items()},
        }
        return {name: what for name, what in found.items() if what}


class Prompted:
    """A driver before whose verbs things happen."""

    def __init__(self, driver: Any, site: Site) -> None:
        self._driver, self._site = driver, site

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._driver, name)
        if name not in VERBS:
            return verb

        def prompted(*arguments: Any, **options: Any) -> Any:
            job_id = getattr(arguments[0], "job_id", arguments[0])
            phase = getattr(arguments[0], "phase", None) or (arguments[1] if name == "stop" else "")
            for key in (name, f"{name} {phase}"):
                happen = self._site.on_verb.pop((key, self._site.index_of.get(job_id, -1)), None)
                if happen is not None:
                    with self._site.checkpoints.outside():
                        happen()
            return verb(*arguments, **options)

        return prompted
