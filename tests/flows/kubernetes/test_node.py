"""The node deployed by the shipped manifests on a real cluster: the example, pods killed under load, a rolling upgrade.

Jobs' pods call back through a Service's ClusterIP. Its figures are printed (`-s` shows them).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from infra.demonstration import EXAMPLE, data_owner, fetched
from infra.proof import check_results
from tests.flows.kubernetes.stage import Stage, deployed, next_version, until
from tests.needs import needs, python_image
from tests.services.node import Consumer

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize", "postgres", "s3", "proxy"),
]

LONG_S = 60
"How long the job runs that an upgrade overtakes."
CALLERS = 3
UNAVAILABLE, BROKEN = "503", "broken off"
"How a call may be refused while pods come and go."


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
    with volumes(connect({})), deployed(tmp_path, address, CLASS, offered) as stage:
        print(f"\ndeployed in {stage.deploy():.0f} s")
        until(lambda: len(offers(stage)) == 2, "the engine's offer")
        the_example_with_its_passes_killed(stage, tmp_path, address)
        held = hold_the_line(stage)
        with load(stage) as made:
            until(lambda: len(made.promised) > 10, "the load")
            killed = [stage.kill(f"c2d.node/handler={name}") for name in ("free-start", "status", "pods")]
            time.sleep(5)
            next_version(stage)
            rolled_s = stage.deploy()
        assert columns(stage) == [("upgraded",)], "the migration did not run"
        lost = missing(made)
        [ended] = held[0].wait(held[1], limit_s=240)
        print(
            f"killed {sum(killed)} pods of handlers, rolled out in {rolled_s:.0f} s; "
            f"promised {len(made.promised)} workflows, {len(lost)} lost; {len(made.refused)} calls refused"
        )
        assert not lost
        assert set(made.refused) <= {UNAVAILABLE, BROKEN}, made.refused
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
    image, _, tag = python_image().rpartition(":")
    settings = {
        **os.environ, "C2D_NODE_URL": stage.url, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder),
    }  # fmt: skip
    began = time.monotonic()
    with data_owner(address) as data:
        given = [
            part for pair in (("DATA_URL", data), ("IMAGE", image), ("TAG", tag)) for part in ("--set", "=".join(pair))
        ]
        submit = [sys.executable, "-m", "infra.c2d", "submit", str(EXAMPLE / "workflow.json"), *given, "--follow"]
        process = subprocess.Popen(submit, env=settings, stdin=subprocess.DEVNULL)
        until(lambda: job_pods(stage) or process.poll() is not None, "a job's pod")
        killed = stage.kill("c2d.node/role=passes")
        assert process.wait(240) == 0, stage.logs()
        files = fetched(["results", "-o", str(folder / "out"), "--unpack"], settings)
    check_results(EXAMPLE / "data" / "penguins.csv", files)
    [report] = [Path(file["path"]) for file in files if file["path"].endswith("report.svg")]
    assert report.read_bytes() == (EXAMPLE / "report.svg").read_bytes()
    print(f"the example's three jobs took {time.monotonic() - began:.0f} s, with {killed} passes killed in between")


def hold_the_line(stage: Stage) -> tuple[Consumer, str]:
    """Start a long job in the environment that takes one: whatever comes after it waits."""
    consumer = stage.consumer()
    [started] = consumer.submit([sleeper(LONG_S)], environment=line(stage))
    until(lambda: consumer.status(workflowId=started["workflowId"])[0]["status"] == 40, "the long job")
    return consumer, str(started["workflowId"])


def sleeper(seconds: int) -> dict[str, Any]:
    """A job that takes so long."""
    image, _, tag = python_image().rpartition(":")
    container = {"image": image, "tag": tag, "entrypoint": "python3 $ALGO"}
    algorithm = {"rawcode": f"import time; time.sleep({seconds})", "container": container}
    return {
        "index": 0, "input": [], "algorithm": algorithm,
        "compute": {"cpu": 0.05, "ram": 0.2, "disc": 0.2, "maxDuration": 600},
    }  # fmt: skip


@contextlib.contextmanager
def load(stage: Stage) -> Iterator[Load]:
    """Callers who submit and ask as fast as they are answered, for as long as the block lasts."""
    made, is_over, environment_id = Load(), threading.Event(), line(stage)

    def call() -> None:
        consumer = stage.consumer()
        while not is_over.wait(0.2):
            try:
                [started] = consumer.submit([sleeper(1)], environment=environment_id)
                made.promised.append((consumer, str(started["workflowId"])))
                consumer.status(workflowId=started["workflowId"])
            except urllib3.exceptions.HTTPError:
                made.refused.append(BROKEN)
            except AssertionError as error:
                made.refused.append(str(error).partition(":")[0])

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
    """Workflows that were promised and are not known; those that are known are stopped."""
    lost = []
    for consumer, workflow_id in made.promised:
        if not consumer.status(workflowId=workflow_id):
            lost.append(workflow_id)
        else:
            consumer.stop(workflowId=workflow_id)
    return lost


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
