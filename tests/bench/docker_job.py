"""Bench: a trivial three-container job, submit → finished, against a shell script that runs the same three containers.

Both run the same images with the same limits, pods and all; the script's pods talk to a small node that knows the
answers. Paired: one job, one script, and so on; the ratio is of the medians. `python -m tests.bench.docker_job`
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from engines.drivers.docker_driver import DockerDriver
from infra.c2d.pod_image import ensure_pod_image
from tests.bench.measuring import Figure, Size, at_most, in_turn, per_size, percentile, seconds, table
from tests.needs import busybox_image
from tests.pods.node_server import JOB, Node, serve_node
from tests.services.node import Consumer, real_node

HARDENED = "--rm --init --cap-drop ALL --security-opt no-new-privileges --pids-limit 512 -m 512m --memory-swap 512m"
OF_A_POD = "--cpus 1 --user 0:0 --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --network c2d-pods"
OF_AN_ALGORITHM = "--cpus 0.5 --user 1000:1000 --network none --entrypoint true"
VOLUME = "c2d-bench"
SCRIPT = f"""set -e
docker volume create {VOLUME} >/dev/null
docker run {HARDENED} {OF_A_POD} $VARIABLES -v {VOLUME}:/data:nocopy $POD python -m pods.configuration >/dev/null
docker run {HARDENED} {OF_AN_ALGORITHM} -v {VOLUME}:/data:nocopy $ALGORITHM
docker run {HARDENED} {OF_A_POD} $VARIABLES -v {VOLUME}:/data:nocopy $POD python -m pods.publishing >/dev/null
docker volume rm {VOLUME} >/dev/null
"""
DOCUMENT = {
    "jobId": JOB, "workflowId": JOB, "index": 0, "door": "workflow", "layout": "did", "fetchAllow": [],
    "maxBytes": 1 << 30, "inputs": [], "customData": {}, "ddos": {},
    "algorithm": {"did": None, "rawcode": "nothing", "files": [], "checksum": None},
}  # fmt: skip


def measure(size: Size) -> list[Figure]:
    """Jobs and scripts in turn; and what lies between the containers of a job, by the engine's own clock."""
    pod = ensure_pod_image({}, lambda line: None)
    algorithm = busybox_image()
    gateway = DockerDriver("bench", {}).capabilities().pod_gateway
    assert gateway is not None
    with (
        tempfile.TemporaryDirectory() as folder,
        real_node(Path(folder), "--engine", "docker") as node,
        serve_node(Node(document=DOCUMENT), gateway) as environment,
    ):
        variables = " ".join(f"-e {name}={value}" for name, value in environment.items())
        given = {**os.environ, "VARIABLES": variables, "POD": pod, "ALGORITHM": algorithm}
        consumer = node.consumer()
        gaps: list[float] = []
        rounds = per_size(size, 1, 5, 15)
        jobs, scripts = in_turn(rounds, lambda: run_job(consumer, algorithm, gaps), lambda: run_script(given))
    p50, p99 = statistics.median(gaps), percentile(gaps, 0.99)
    return [
        at_most("trivial Docker job / shell script", jobs, scripts, 1.15),
        Figure(
            "Docker: a container's end → the next is made", f"p50 {seconds(p50)}, p99 {seconds(p99)}", "-", None, "-",
            None, len(gaps),
        ),
    ]  # fmt: skip


def run_job(consumer: Consumer, image: str, gaps: list[float]) -> float:
    """Seconds from the request to the final status; notes the gaps."""
    name, _, tag = image.rpartition(":")
    job = {
        "index": 0,
        "input": [],
        "algorithm": {"rawcode": "nothing", "container": {"image": name, "tag": tag, "entrypoint": "true"}},
        "compute": {"cpu": 0.5, "ram": 0.5, "disc": 1, "maxDuration": 60},
    }
    since, began = time.time(), time.monotonic()
    started = consumer.submit([job])
    follow(consumer, started[0]["workflowId"])
    took = time.monotonic() - began
    records = consumer.wait(started[0]["workflowId"])
    assert records[0]["status"] == 70, records
    gaps += gaps_of(records[0]["jobId"].rpartition("-")[2], since, time.time())
    return took


def follow(consumer: Consumer, workflow_id: str) -> None:
    """Read the events until they end with the workflow: who asks again and again slows down what is measured."""
    url = f"{consumer.url}/api/services/computeEvents?workflowId={workflow_id}"
    answer = consumer.pool.request("GET", url, headers={"Accept": "text/event-stream"}, preload_content=False)
    for _ in answer.stream():
        pass
    answer.release_conn()


def gaps_of(job_id: str, since: float, until: float) -> list[float]:
    """Seconds from each pod's or algorithm's volume being let go to the next container's being made.

    The engine lets the volume go last when a container ends; making one is its own work and part of the gap.
    """
    times = ["--since", f"{since:.6f}", "--until", f"{until:.6f}"]
    told = subprocess.run(["docker", "events", *times, "--format", "{{json .}}"], capture_output=True, check=True)
    events = [json.loads(line) for line in told.stdout.splitlines()]
    at = [(f"{each['Type']} {each['Action']}", each["timeNano"] / 1e9) for each in events if job_id[:40] in str(each)]
    made = [when for what, when in at if what == "container create"]
    left = [when for what, when in at if what == "volume unmount"]
    return [after - before for before, after in zip(left, made[1:], strict=False)]


def run_script(given: dict[str, str]) -> float:
    """Seconds that the three containers take by hand."""
    began = time.monotonic()
    subprocess.run(["sh", "-c", SCRIPT], env=given, check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
