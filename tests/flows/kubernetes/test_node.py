"""The node deployed by the shipped manifests on a real cluster: the example, pods killed under load, a rolling upgrade.

Jobs' pods call back through a Service's ClusterIP. Its figures are printed (`-s` shows them).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from infra.demonstration import data_owner
from tests.flows.kubernetes.stage import LIMIT_S, Stage, deployed, next_version, until
from tests.flows.kubernetes.work import check_the_examples_results, settings_of, sleeper, submitted
from tests.needs import needs
from tests.services.node import Consumer

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize", "postgres", "s3", "proxy"),
]

LONG_S = 60
"How long the job runs that an upgrade overtakes."
CALLERS = 3
KILLED = ("free-start", "status", "pods")
AWAKE = (*KILLED, "root", "nonce", "environments", "stop", "events", "logs", "result", "readyz")
"What the example and the callers ask; all the others have their turn in the overlay that is tried whole."
UNAVAILABLE, BROKEN = "503: ", "broken off"
'How a call may be refused while pods come and go; never with what a caller takes for "no such workflow".'


@dataclass
class Load:
    """What callers were promised, and how often they were refused."""

    promised: list[tuple[Consumer, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def test_nothing_is_lost_when_pods_are_killed_and_a_new_version_rolls_out(tmp_path: Path) -> None:
    pytest.importorskip("engines.run_kubernetes", reason="the engine's command is not there yet")
    from engines.drivers.kubernetes_connect import connect
    from tests.services.kubernetes import CLASS, volumes

    address = os.environ["C2D_KUBE_HOST_IP"]
    offered = {"environments": [environment("main", 8), environment("line", 1)], "slackSeconds": 300}
    with volumes(connect({})), deployed(tmp_path, address, CLASS, offered, awake=AWAKE, twice=KILLED) as stage:
        print(f"\ndeployed in {stage.deploy():.0f} s")
        until(lambda: len(offers(stage)) == 2, "the engine's offer")
        the_example_with_its_passes_killed(stage, tmp_path, address)
        held = hold_the_line(stage)
        with load(stage) as made:
            until(lambda: len(made.promised) > 10, "the load")
            killed = [stage.kill(f"c2d.node/handler={name}") for name in KILLED]
            kept = len(made.promised)
            until(lambda: len(made.promised) > kept + 10, "callers being served again")
            next_version(stage)
            refused = len(made.refused)
            rolled_s = stage.deploy()
        assert columns(stage) == [("upgraded",)], "the migration did not run"
        lost = missing(made)
        [ended] = held[0].wait(held[1], limit_s=240)
        print(
            f"killed {sum(killed)} pods of handlers, rolled out in {rolled_s:.0f} s; "
            f"promised {len(made.promised)} workflows, {len(lost)} lost; {len(made.refused)} calls refused, "
            f"{len(made.refused) - refused} of them since the new version"
        )
        assert not lost
        assert [why for why in made.refused if not why.startswith((UNAVAILABLE, BROKEN))] == []
        assert (ended["status"], ended["terminationDetails"]["exitCode"]) == (70, 0), ended


def environment(name: str, most: int) -> dict[str, Any]:
    """What is offered: small shares of a small machine."""
    shares = [
        {"id": "cpu", "total": 1.5, "min": 0.05, "max": 1},
        {"id": "ram", "total": 4, "min": 0.1, "max": 2},
        {"id": "disk", "total": 20, "min": 0.1, "max": 5},
    ]
    free = {"maxJobs": most, "maxJobDuration": 600, "resources": shares}
    return {"id": name, "maxJobs": most, "maxJobDuration": 600, "resources": shares, "free": free}


def the_example_with_its_passes_killed(stage: Stage, folder: Path, address: str) -> None:
    """The same bytes as anywhere, though every pass is killed while the jobs run."""
    settings = settings_of(stage.url, folder)
    began = time.monotonic()
    with data_owner(address) as data:
        process = submitted(data, settings)
        until(lambda: job_pods(stage) or process.poll() is not None, "a job's pod")
        killed = stage.kill("c2d.node/role=passes")
        assert process.wait(240) == 0, stage.logs()
        check_the_examples_results(folder / "out", settings)
    print(f"the example's three jobs took {time.monotonic() - began:.0f} s, with {killed} passes killed in between")


def hold_the_line(stage: Stage) -> tuple[Consumer, str]:
    """Start a long job in the environment that takes one: whatever comes after it waits."""
    consumer = stage.consumer()
    [started] = consumer.submit([sleeper(LONG_S)], environment=line(stage))
    until(lambda: consumer.status(workflowId=started["workflowId"])[0]["status"] == 40, "the long job")
    return consumer, str(started["workflowId"])


@contextlib.contextmanager
def load(stage: Stage) -> Iterator[Load]:
    """Callers who submit and ask a few times a second, for as long as the block lasts."""
    made, is_over, environment_id = Load(), threading.Event(), line(stage)

    def call() -> None:
        consumer = stage.consumer()
        while not is_over.wait(0.3):
            try:
                [started] = consumer.submit([sleeper(1)], environment=environment_id)
                made.promised.append((consumer, str(started["workflowId"])))
                consumer.status(workflowId=started["workflowId"])
            except urllib3.exceptions.HTTPError:
                made.refused.append(BROKEN)
            except AssertionError as error:
                made.refused.append(str(error))

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield made
    finally:
        is_over.set()
        for caller in callers:
            caller.join()


def missing(made: Load) -> list[str]:
    """Workflows that were promised and are not known."""
    promised = {consumer.address: consumer for consumer, _ in made.promised}
    known = {job["workflowId"] for consumer in promised.values() for job in answered(consumer.status)}
    return [workflow_id for _, workflow_id in made.promised if workflow_id not in known]


def answered(ask: Callable[[], Any]) -> Any:
    """The first good answer: pods may still come and go."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return ask()
        except (urllib3.exceptions.HTTPError, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def offers(stage: Stage) -> list[dict[str, Any]]:
    """The environments, as soon as there is an answer."""
    try:
        found: list[dict[str, Any]] = stage.consumer().get("/api/services/computeEnvironments")
    except (urllib3.exceptions.HTTPError, AssertionError):
        return []
    return found


def line(stage: Stage) -> str:
    """The id of the environment that takes one job at a time."""
    return str(next(each["id"] for each in offers(stage) if each["maxJobs"] == 1))


def job_pods(stage: Stage) -> list[str]:
    """Pods of jobs."""
    return stage.kubectl("get", "pods", "-o", "name", namespace=stage.wish.jobs).split()


def columns(stage: Stage) -> list[tuple[object, ...]]:
    """What the migration has added."""
    import psycopg

    database = stage.postgres.execute("SELECT datname FROM pg_database WHERE datname LIKE 't\\_%'")
    assert len(database) == 1
    asked = "SELECT column_name FROM information_schema.columns WHERE table_name = 'job' AND column_name = 'upgraded'"
    with psycopg.connect(stage.postgres.url(str(database[0][0]))) as connection:
        return connection.execute(asked).fetchall()
