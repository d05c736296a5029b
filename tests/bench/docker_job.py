"""Bench: a trivial three-container job, submit → finished, against a shell script that runs the same three containers.

Both run the same images with the same limits, pods and all; the script's pods talk to a small node that knows the
answers. Paired: one job, one script, and so on; the ratio is of the medians. `python -m tests.bench.docker_job [N]`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engines.drivers.docker_driver import DockerDriver
from infra.c2d.pod_image import ensure_pod_image
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


def main(rounds: int) -> None:
    """Print every pair, the medians and their ratio."""
    pod = ensure_pod_image({}, print)
    algorithm = busybox_image()
    gateway = DockerDriver("bench", {}).capabilities().pod_gateway
    assert gateway is not None
    document = {
        "jobId": JOB, "workflowId": JOB, "index": 0, "door": "workflow", "layout": "did", "fetchAllow": [],
        "maxBytes": 1 << 30, "inputs": [], "customData": {}, "ddos": {},
        "algorithm": {"did": None, "rawcode": "nothing", "files": [], "checksum": None},
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as folder,
        real_node(Path(folder), "--engine", "docker") as node,
        serve_node(Node(document=document), gateway) as environment,
    ):
        variables = " ".join(f"-e {name}={value}" for name, value in environment.items())
        given = {**os.environ, "VARIABLES": variables, "POD": pod, "ALGORITHM": algorithm}
        consumer = node.consumer()
        pairs = [(run_job(consumer, algorithm), run_script(given)) for _ in range(rounds + 1)][1:]
    for ours, theirs in pairs:
        print(f"  job {ours:6.3f} s   script {theirs:6.3f} s   ratio {ours / theirs:.2f}")
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"trivial Docker job, submit → finished {ours:.3f} s; the script {theirs:.3f} s; ratio {ours / theirs:.2f}")
    print("budget: ratio ≤ 1.15")


def run_job(consumer: Consumer, image: str) -> float:
    """Seconds from the request to the final status."""
    name, _, tag = image.rpartition(":")
    job = {
        "index": 0,
        "input": [],
        "algorithm": {"rawcode": "nothing", "container": {"image": name, "tag": tag, "entrypoint": "true"}},
        "compute": {"cpu": 0.5, "ram": 0.5, "disc": 1, "maxDuration": 60},
    }
    began = time.monotonic()
    started = consumer.submit([job])
    records = consumer.wait(started[0]["workflowId"], pause_s=0.005)
    took = time.monotonic() - began
    assert records[0]["status"] == 70, records
    return took


def run_script(given: dict[str, str]) -> float:
    """Seconds that the three containers take by hand."""
    began = time.monotonic()
    subprocess.run(["sh", "-c", SCRIPT], env=given, check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
