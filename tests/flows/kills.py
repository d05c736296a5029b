"""One job after another whose pass dies at a place of its work: what comes of it must be what comes undisturbed."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.environments import environment_id
from tests.flows.docker.harness import PATIENCE_S, Place, job, new_name, until
from tests.services.node import FINALS
from tests.services.parts import Parts

OFTEN = ("observe", "read_log", "log_chunk", "lease")
"What a pass does as often as it looks, so that the number tells no place."
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


def kill_at_so_many(yard: Yard, count: int) -> set[str]:
    """Run undisturbed, then with so many deaths spread over the whole life; the places, each another."""
    wanted, places = yard.run(yard.place.engines[0])
    assert wanted["status"] == 70 and wanted["output"] == b"run\n" and wanted["runs"] == 1, wanted
    sure = [place for place in places if not any(word in place for word in OFTEN)]
    chosen = [sure[round(index * (len(sure) - 1) / (count - 1))] for index in range(count)]
    lanes_open = len(yard.place.engines)
    with ThreadPoolExecutor(lanes_open) as lanes:
        done = [
            lanes.submit(one_lane, yard, engine, chosen[number::lanes_open], wanted)
            for number, engine in enumerate(yard.place.engines)
        ]
        found = [each for lane in done for each in lane.result()]
    wrong = [f"killed {place}: {problem}" for place, problem in found if problem]
    assert not wrong, "\n".join(wrong)
    print(f"{len(found)} of {len(sure)} places, of {count} tried:", *(place for place, _ in found), sep="\n  ")
    return {place for place, _ in found}


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
