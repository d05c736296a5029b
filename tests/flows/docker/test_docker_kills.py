"""kill -9 on the real engine: a pass at many places of its work, handlers in mid-upload, everything at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.environments import environment_id
from tests.flows.docker.harness import (
    as_place,
    environment,
    gateway_of,
    job,
    new_name,
    place,
    remove_all,
    until,
)
from tests.flows.kills import Yard, kill_at_so_many
from tests.needs import needs
from tests.services.node import RealNode, real_node
from tests.services.parts import node_in_parts

pytestmark = [needs("docker"), pytest.mark.xdist_group("docker-kills")]
LANES = 3
EVERYDAY, MANY = 3, 42


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("docker-kills")
    engines = [new_name() for _ in range(LANES)]
    chosen = [{"name": name, "type": "docker", "environments": [environment()]} for name in engines]
    settings = {"C2D_ENGINES": json.dumps(chosen), "C2D_FETCH_ALLOW": f"{gateway_of({})}/32"}
    try:
        with node_in_parts(folder, **settings) as parts, as_place(parts, engines) as found:
            for process in [parts.start_pass(engine) for engine in engines]:
                assert process.wait(60) == 0
            yield Yard(parts, found, folder)
    finally:
        remove_all(engines)


def test_a_pass_killed_at_a_few_places_changes_nothing(yard: Yard) -> None:
    kill_at_so_many(yard, EVERYDAY)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_pass_killed_at_many_places_changes_nothing(yard: Yard) -> None:
    assert len(kill_at_so_many(yard, MANY).found) >= 20


@pytest.mark.full
def test_handlers_killed_in_mid_upload_lose_nothing(yard: Yard) -> None:
    engine, consumer = yard.place.engines[0], yard.parts.consumer()
    size = 400_000_000
    script = f"echo run >>/data/outputs/runs.txt; head -c {size} /dev/zero >/data/outputs/big"
    workflow = yard.place.submit(
        job(0, script, environment=environment_id(engine, "docker", "main")), consumer=consumer
    )
    with yard.parts.passing(engine):
        [record] = until(lambda: consumer.status(workflowId=workflow))
        wait_for_upload(yard.parts.folder / "results" / record["jobId"])
        yard.parts.kill()
        time.sleep(1)
        yard.parts.start()
        [record] = consumer.wait(workflow)
    assert (record["status"], record["terminationDetails"]["exitCode"]) == (70, 0)
    assert yard.place.starts_of(record["jobId"]) == 1
    [output] = [each for each in record["results"] if each["type"] == "output"]
    assert output["filesize"] > size
    left = [path.name for path in (yard.parts.folder / "results" / record["jobId"]).iterdir()]
    assert sorted(left) == sorted(each["filename"] for each in record["results"]), left


def wait_for_upload(folder: Path) -> None:
    """Wait until some of a large result has arrived."""
    until(
        lambda: (
            folder.exists() and any(path.stat().st_size > 20_000_000 for path in folder.rglob("*") if path.is_file())
        )
    )


@pytest.mark.full
@pytest.mark.timeout(240)
@pytest.mark.parametrize("status", [30, 40, 60])
def test_everything_killed_at_once_goes_on_where_it_was(tmp_path: Path, status: int) -> None:
    with place(tmp_path) as first:
        jobs = [
            job(0, "sleep 2; echo run >>/data/outputs/runs.txt"),
            job(1, "cat $INPUTS/*/runs.txt", input=[{"index": 0, "fromJob": 0}]),
        ]
        workflow = first.submit(*jobs)
        first.until_status(workflow, status)
        kill_tree(first.node)
        port = first.node.url.rpartition(":")[2]
        settings = {name: value for name, value in first.node.environment.items() if name.startswith("C2D_")}
        with real_node(tmp_path, "--port", port, **settings):
            one, two = first.consumer.wait(workflow, 150)
            assert [record["status"] for record in (one, two)] == [70, 70]
            assert first.output(one) == b"run\n" and first.log(two) == "run\n"
            assert [first.starts_of(record["jobId"]) for record in (one, two)] == [1, 1]
            first.until_clean()


def kill_tree(node: RealNode) -> None:
    """kill -9 for the node and all its children, at once."""
    found, todo = [], [node.process.pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
        todo += [int(each) for each in listed.stdout.split()]
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    node.process.wait()
