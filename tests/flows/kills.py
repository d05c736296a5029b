"""One job after another whose pass dies at a place of its work: what comes of it must be what comes undisturbed."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engines.environments import environment_id
from tests.file_server import Served, serve_files
from tests.flows.docker.harness import PATIENCE_S, Place, job, new_name, until
from tests.flows.killable import VERBS
from tests.services.node import FINALS, Consumer
from tests.services.parts import Parts

OFTEN = ("observe", "read_log", "log_chunk", "lease", "wake", "reason_detail")
"What a pass does as often as it looks or is woken, so that the number tells no place."
OUTSIDE = re.compile(rf"(before|after) ({'|'.join(VERBS)}|(POST|PATCH|DELETE) [a-z]+) #")
"A place around what is done on the engine."
SCRIPT = "cat /data/inputs/in.txt; echo run >>/data/outputs/runs.txt"


@dataclass(frozen=True)
class Life:
    """One job's, for who lets something happen to it."""

    place: Any
    consumer: Consumer
    record: dict[str, Any]
    served: Served
    "Has the job's one input, and waits for `drip` in its middle if there is one."

    def go_on(self) -> None:
        """Let the input come."""
        drip, self.served.drip = self.served.drip, None
        if drip is not None:
            drip.set()


@dataclass(frozen=True)
class Story:
    """What a job does, and what happens to it meanwhile, whichever pass lives."""

    script: str = SCRIPT
    happens: Callable[[Life], object] = Life.go_on
    is_held_up: bool = False
    "Whether its input waits until the story lets it go on."
    output: bytes | None = b"run\n"
    "Null where it is more than can be written here."
    compute: dict[str, float] = field(default_factory=dict)


PLAIN = Story()


@dataclass
class Yard:
    """A node whose passes die, some engines side by side."""

    parts: Parts
    place: Place
    folder: Path
    kind: str = "docker"
    "The engines' type."

    def environment_of(self, engine: str) -> str:
        """The id of an engine's one environment."""
        return environment_id(engine, self.kind, "main")

    def run(self, engine: str, kill_at: str = "", story: Story = PLAIN) -> tuple[dict[str, Any], list[str]]:
        """One job whose first pass dies at the place; its outcome, and the places that pass came to."""
        places = self.folder / f"places-{new_name()}"
        places.touch()
        told = {"KILL_AT": kill_at, "PLACES": str(places)}
        with self.life(engine, story) as life, ThreadPoolExecutor(1) as beside:
            process = self.parts.start_pass(engine, "--kind", self.kind, module="tests.flows.killed_pass", **told)
            try:
                happens, workflow = beside.submit(story.happens, life), life.record["workflowId"]
                until(lambda: process.poll() is not None or self.is_over(life))
                with self.parts.passing(engine, self.kind) if process.poll() is not None else contextlib.nullcontext():
                    happens.result()
                    [record] = life.consumer.wait(workflow, PATIENCE_S)
            finally:
                process.terminate()
                process.wait()
        return self.outcome(record, life.consumer), places.read_text().splitlines()

    @contextlib.contextmanager
    def life(self, engine: str, story: Story) -> Iterator[Life]:
        """A job that is handed in."""
        served = Served({"/in.txt": b"data\n"}, drip=threading.Event() if story.is_held_up else None)
        consumer, host = self.parts.consumer(), str(urlsplit(self.place.data_url).hostname)
        with serve_files(served, host) as url:
            files = {"type": "url", "url": f"{url}/in.txt", "method": "GET"}
            given = {"input": [{"index": 0, "files": files}], "environment": self.environment_of(engine)}
            wanted = job(0, story.script, compute=story.compute, **given)
            [record] = consumer.status(workflowId=self.place.submit(wanted, consumer=consumer))
            yield Life(self.place, consumer, record, served)

    def is_over(self, life: Life) -> bool:
        """Whether the job has come to its end."""
        return life.consumer.status(jobId=life.record["jobId"])[0]["status"] in FINALS

    def outcome(self, record: dict[str, Any], consumer: Any) -> dict[str, Any]:
        """What the owner gets, how often the algorithm ran, what is left outside."""
        results, job_id = self.place.results(record, consumer), record["jobId"]
        output = results["output"][1]
        held = {
            "reservations": self.place.rows("SELECT * FROM reservation WHERE job_id = ?", job_id),
            "nonces": self.place.rows("SELECT * FROM pod_nonce WHERE job_id = ?", job_id),
            "leased": self.place.rows("SELECT 1 FROM job WHERE job_id = ? AND status != 'finished'", job_id),
            "outside": self.left_of(job_id),
        }
        return {
            "status": record["status"],
            "details": record["terminationDetails"],
            "files": sorted((kind, name) for kind, (name, _) in results.items()),
            "output": output if len(output) < 1000 else hashlib.sha256(output).hexdigest(),
            "log": results["algorithmLog"][1],
            "runs": self.place.starts_of(job_id),
            **held,
        }

    def left_of(self, job_id: str) -> list[str]:
        """What is still outside of a job that has ended, once removals that are on their way are through."""
        end = time.monotonic() + PATIENCE_S
        while (left := [each for each in self.place.outside() if job_id[:40] in each]) and time.monotonic() < end:
            time.sleep(0.2)
        return left


@dataclass(frozen=True)
class Deaths:
    """Which deaths were asked for, and what came of those that were died."""

    of: int
    "Places that every undisturbed pass comes to."
    asked: list[str]
    found: dict[str, dict[str, tuple[Any, Any]]]
    "A place that was reached → what was not as without a death: as it is wanted, and as it was."

    def told(self) -> str:
        """The count, for who reads the test's output."""
        missed = [place for place in self.asked if place not in self.found]
        unreached = f"; not reached: {', '.join(missed)}" if missed else ""
        return f"died at {len(self.found)} of {len(self.asked)} places asked for, of {self.of} there are{unreached}"


def kill_at(yard: Yard, choose: Callable[[list[str]], list[str]], story: Story = PLAIN) -> Deaths:
    """Run undisturbed, then die at each of the places chosen of those that are sure, in a life of its own."""
    engines = yard.place.engines
    with ThreadPoolExecutor(len(engines)) as lanes:
        undisturbed = list(lanes.map(lambda engine: yard.run(engine, story=story), engines))
        wanted = undisturbed[0][0]
        assert wanted["status"] == 70 and wanted["runs"] == 1, wanted
        assert story.output is None or wanted["output"] == story.output, wanted
        assert all(outcome == wanted for outcome, _ in undisturbed), undisturbed
        sure = sure_places([places for _, places in undisturbed])
        chosen = choose(sure)
        done = [
            lanes.submit(one_lane, yard, engine, chosen[number :: len(engines)], wanted, story)
            for number, engine in enumerate(engines)
        ]
        deaths = Deaths(len(sure), chosen, {place: found for lane in done for place, found in lane.result()})
    print(deaths.told(), *deaths.found, sep="\n  ")
    wrong = [f"killed {place}: {problem}" for place, problem in deaths.found.items() if problem]
    assert not wrong, "\n".join(wrong)
    return deaths


def kill_at_so_many(yard: Yard, count: int) -> Deaths:
    """Die at so many places, spread over the whole life."""
    return kill_at(yard, lambda sure: [sure[round(at * (len(sure) - 1) / (count - 1))] for at in range(count)])


def outside(sure: list[str]) -> list[str]:
    """The places around what is done on the engine; the others are the same on all engines."""
    return [place for place in sure if OUTSIDE.match(place)]


def from_to(first: str, last: str) -> Callable[[list[str]], list[str]]:
    """Chooses the places on the engine from one to another."""

    def choose(sure: list[str]) -> list[str]:
        found = outside(sure)
        assert first in found and last in found, f"the story has no place {first} or {last}"
        return found[found.index(first) : found.index(last) + 1]

    return choose


def sure_places(lives: list[list[str]]) -> list[str]:
    """What all of these lives came to, in the order of the first; the rest hangs on how quick the others were."""
    common = set.intersection(*(set(places) for places in lives))
    return [place for place in lives[0] if place in common and not any(word in place for word in OFTEN)]


def one_lane(
    yard: Yard, engine: str, places: list[str], wanted: dict[str, Any], story: Story
) -> list[tuple[str, dict[str, tuple[Any, Any]]]]:
    """Die at each of the places in turn; those that were reached, and what was not as without a death."""
    done = []
    for kill_at in places:
        outcome, reached = yard.run(engine, kill_at, story)
        if kill_at in reached:
            done.append((kill_at, {key: (wanted[key], outcome[key]) for key in wanted if wanted[key] != outcome[key]}))
    return done
