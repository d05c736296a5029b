"""The shipped passes on a real cluster: a rollout in mid-job ends every pass there is, and others go on.

Its figures are printed (`-s` shows them).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import HTTPError

from engines.context import LEASE_MS
from tests.flows.kubernetes.harness import lines_of
from tests.flows.kubernetes.stage import Stage, deployed, until
from tests.flows.kubernetes.work import sleeper
from tests.needs import needs
from tests.services.node import Consumer

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("kubernetes"),
    needs("kube", "docker", "kustomize", "postgres", "s3", "proxy"),
]
AWAKE = ("healthz", "nonce", "environments", "free-start", "status", "pods")
PASSES = "c2d.node/role=passes"


def test_passes_told_to_end_give_back_what_they_hold_and_others_go_on(tmp_path: Path) -> None:
    from engines.drivers.kubernetes_connect import connect
    from tests.services.kubernetes import CLASS, volumes

    address, offered = os.environ["C2D_KUBE_HOST_IP"], {"environments": [environment()], "slackSeconds": 300}
    with volumes(connect({})), deployed(tmp_path, address, CLASS, offered, awake=AWAKE) as stage:
        stage.deploy()
        until(lambda: is_offered(stage), "the engine's offer")
        consumer = stage.consumer()
        [started] = consumer.submit([sleeper(45)])
        until(lambda: consumer.status(workflowId=started["workflowId"])[0]["status"] == 40, "the job's algorithm")
        with ends_of(stage) as ends, looks_at(stage) as looks:
            before = set(names(stage))
            began = time.monotonic()
            stage.kubectl("rollout", "restart", "deployment/passes")
            stage.kubectl("rollout", "status", "deployment/passes", "--timeout=240s")
            rolled_s = time.monotonic() - began
            until(lambda: before <= set(ends), "the end of every pass there was")
            [ended] = consumer.wait(started["workflowId"], 240)
        print(f"\nrolled out in {rolled_s:.1f} s; longest time without a look at the job {max(looks):.1f} s")
        print(f"passes ended with {ends}")
        assert (ended["status"], ended["terminationDetails"]["exitCode"]) == (70, 0), ended
        assert {ends[name] for name in before} == {0}, "killed instead of ended"
        assert max(looks) * 1000 < LEASE_MS, "somebody's lease had to run out"


def environment() -> dict[str, Any]:
    """What is offered."""
    shares = [
        {"id": "cpu", "total": 1.5, "min": 0.05, "max": 1},
        {"id": "ram", "total": 4, "min": 0.1, "max": 2},
        {"id": "disk", "total": 20, "min": 0.1, "max": 5},
    ]
    return {"id": "main", "maxJobDuration": 600, "resources": shares, "free": {"maxJobs": 4, "resources": shares}}


def is_offered(stage: Stage) -> bool:
    """Whether the engine has said what it has."""
    found = Consumer(stage.url).call("GET", "/api/services/computeEnvironments")
    return found.status == 200 and bool(found.json())


def names(stage: Stage) -> list[str]:
    """The passes' pods."""
    return [
        each["metadata"]["name"]
        for each in json.loads(stage.kubectl("get", "pods", "-l", PASSES, "-o", "json"))["items"]
    ]


@contextmanager
def ends_of(stage: Stage) -> Iterator[dict[str, int]]:
    """The exit codes of passes whose pods go while the block lasts, by name."""
    from engines.drivers.kubernetes_connect import connect

    found: dict[str, int] = {}
    path = f"/api/v1/namespaces/{stage.wish.namespace}/pods"

    def follow(response: Any) -> None:
        with suppress(HTTPError, OSError, ValueError):
            for line in lines_of(response):
                pod = json.loads(line)["object"]
                for each in pod["status"].get("containerStatuses", ()):
                    if "terminated" in each["state"]:
                        found[pod["metadata"]["name"]] = each["state"]["terminated"]["exitCode"]

    with connect({}).stream(path, query={"watch": "true", "labelSelector": PASSES}, timeout_s=600) as response:
        threading.Thread(target=follow, args=(response,), daemon=True).start()
        try:
            yield found
        finally:
            response.shutdown()


@contextmanager
def looks_at(stage: Stage) -> Iterator[list[float]]:
    """Seconds between two looks at the one job, as the passes write down when it is next due."""
    import psycopg

    [(name,)] = stage.postgres.execute("SELECT datname FROM pg_database WHERE datname LIKE 't\\_%'")
    found, is_over = [0.0], threading.Event()

    def watch() -> None:
        with psycopg.connect(stage.postgres.url(str(name)), autocommit=True) as connection:
            last, at = None, time.monotonic()
            while not is_over.wait(0.05):
                [(due,)] = connection.execute("SELECT due_at_ms FROM job WHERE status = 'running'").fetchall() or [(0,)]
                if due == 0:
                    return
                if due != last:
                    found.append(time.monotonic() - at)
                    last, at = due, time.monotonic()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
