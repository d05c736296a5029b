"""Bench: from starting a pod's interpreter to its first request, against `python3 -c pass`, both in the pods' image.

One container measures both in turn, so that the engine's own time is not in it. `python -m tests.bench.pod_start`
"""

from __future__ import annotations

import json
import subprocess

from infra.c2d.pod_image import ensure_pod_image
from tests.bench.measuring import Figure, Size, at_most, per_size, table

BUDGET = 3.0
PODS = ("configuration", "publishing")
INSIDE = """
import json, os, socket, subprocess, sys, time
server = socket.create_server(("127.0.0.1", 0))
host = "http://127.0.0.1:%d" % server.getsockname()[1]
told = {**os.environ, "nodeHttpApi": host, "jobId": "ab" * 32, "nodeAddress": "0x" + "11" * 20,
        "privateKey": "0x" + "44" * 32, "C2D_DATA": "/tmp"}
def nothing():
    began = time.perf_counter()
    subprocess.run(["python3", "-c", "pass"])
    return time.perf_counter() - began
def first_request(pod):
    began = time.perf_counter()
    process = subprocess.Popen(["python", "-m", "pods." + pod], env=told, stdout=subprocess.DEVNULL)
    connection, _ = server.accept()
    connection.recv(1)
    took = time.perf_counter() - began
    process.kill()
    process.wait()
    connection.close()
    return took
found = {"nothing": [], "configuration": [], "publishing": []}
for number in range(int(sys.argv[1]) + 1):
    for name, times in found.items():
        took = nothing() if name == "nothing" else first_request(name)
        if number:
            times.append(took)
print(json.dumps(found))
"""


def measure(size: Size) -> list[Figure]:
    """A figure for each pod."""
    command = ["docker", "run", "--rm", "--network", "none", ensure_pod_image({}, lambda line: None)]
    rounds = str(per_size(size, 1, 20, 60))
    done = subprocess.run([*command, "python3", "-c", INSIDE, rounds], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return [at_most(f"pod start, {pod} / python3 -c pass", found[pod], found["nothing"], BUDGET) for pod in PODS]


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
