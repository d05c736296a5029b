"""One job after another whose pass dies at a place of its work: what comes of it must be what comes undisturbed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.environments import environment_id
from tests.flows.docker.harness import PATIENCE_S, Place, job, new_name, until
from tests.flows.killable import VERBS
from tests.services.node import FINALS
from tests.services.parts import Parts

OFTEN = ("observe", "read_log", "log_chunk", "lease", "wake", "reason_detail")
"What a pass does as often as it looks or is woken, so that the number tells no place."
OUTSIDE = re.compile(rf"(before|after) ({'|'.join(VERBS)}|(POST|PATCH|DELETE) [a-z]+) #")
"A place around what is done on the engine."
SCRIPT = "cat /data/inputs/in.txt; echo run >>/data/outputs/runs.txt"


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

    def run(self, engine: str, kill_at: str = "") -> tuple[dict[str, Any], list[str]]:
        """One job whose first pass dies at the place; its outcome, and the places that pass came to."""
        places = self.folder / f"places-{new_name()}"
        consumer = self.parts.consumer()
        files = self.place.file("in.txt", b"data\n")
        given = {"input": [{"index": 0, "files": files}], "environment": self.environment_of(engine)}
        workflow = self.place.submit(job(0, SCRIPT, **given), consumer=consumer)
        told = {"KILL_AT": kill_at, "PLACES": str(places)}
        process = self.parts.start_pass(engine, "--kind", self.kind, module="tests.flows.killed_pass", **told)
        try:
            until(lambda: process.poll() is not None or consumer.status(workflowId=workflow)[0]["status"] in FINALS)
            with self.parts.passing(engine, self.kind) if process.poll() is not None else contextlib.nullcontext():
                [record] = consumer.wait(workflow, PATIENCE_S)
        finally:
            process.terminate()
            process.wait()
        return self.outcome(record, consumer), places.read_text().splitlines()

    def outcome(self, record: dict[str, Any], consumer: Any) -> dict[str, Any]:
        """What the owner gets, how often the algorithm ran, what is left outside."""
        results = self.place.results(record, consumer)
        job_id = record["jobId"]
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
            "output": results["output"][1],
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


def kill_at(yard: Yard, choose: Callable[[list[str]], list[str]]) -> Deaths:
    """Run undisturbed, then die at each of the places chosen of those that are sure, in a life of its own."""
    engines = yard.place.engines
    with ThreadPoolExecutor(len(engines)) as lanes:
        undisturbed = list(lanes.map(yard.run, engines))
        wanted = undisturbed[0][0]
        assert wanted["status"] == 70 and wanted["output"] == b"run\n" and wanted["runs"] == 1, wanted
        assert all(outcome == wanted for outcome, _ in undisturbed), undisturbed
        sure = sure_places([places for _, places in undisturbed])
        chosen = choose(sure)
        done = [
            lanes.submit(one_lane, yard, engine, chosen[number :: len(engines)], wanted)
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


def sure_places(lives: list[list[str]]) -> list[str]:
    """What all of these lives came to, in the order of the first; the rest hangs on how quick the others were."""
    common = set.intersection(*(set(places) for places in lives))
    return [place for place in lives[0] if place in common and not any(word in place for word in OFTEN)]


def one_lane(
    yard: Yard, engine: str, places: list[str], wanted: dict[str, Any]
) -> list[tuple[str, dict[str, tuple[Any, Any]]]]:
    """Die at each of the places in turn; those that were reached, and what was not as without a death."""
    done = []
    for kill_at in places:
        outcome, reached = yard.run(engine, kill_at)
        if kill_at in reached:
            done.append((kill_at, {key: (wanted[key], outcome[key]) for key in wanted if wanted[key] != outcome[key]}))
    return done
