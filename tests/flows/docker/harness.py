"""A node whose jobs are real containers: the words its flows are told in, and what must not be left of them."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.c2d.docker_here import docker_capabilities
from shared.names import LABEL_ENGINE, JobId, Phase, container_name
from tests.file_server import Served, serve_files
from tests.needs import busybox_image
from tests.services.node import Consumer, RealNode, real_node
from tests.services.parts import Parts

PATIENCE_S = 90
POD_IMAGE = "c2d/pod:latest"
"Python is in it, and a node has built it."
RESOURCES = (
    {"id": "cpu", "total": 2, "min": 0.1, "max": 2},
    {"id": "ram", "total": 4, "min": 0.05, "max": 4},
    {"id": "disk", "total": 40, "min": 0.01, "max": 40},
)
Json = dict[str, Any]


def environment(**changes: Any) -> Json:
    """An environment for many small jobs at once."""
    limits = {"minJobDuration": 1, "maxJobDuration": 600, "maxJobs": 40}
    resources = changes.pop("resources", RESOURCES)
    free = {**limits, "resources": list(resources)}
    return {"id": "main", **limits, "resources": list(resources), "free": free, **changes}


def job(index: int, script: str, **changes: Any) -> Json:
    """A job that runs a shell script in a tiny image, with little of everything."""
    image, _, tag = str(changes.pop("image", busybox_image())).rpartition(":")
    container = {"image": image, "tag": tag, "entrypoint": changes.pop("entrypoint", "sh $ALGO")}
    limits = {"cpu": 0.1, "ram": 0.1, "disc": 1, "maxDuration": 120, **changes.pop("compute", {})}
    algorithm = {"rawcode": script, "container": container, **changes.pop("algorithm", {})}
    return {"index": index, "input": changes.pop("input", []), "algorithm": algorithm, "compute": limits, **changes}


def python_job(index: int, script: str, **changes: Any) -> Json:
    """The same for a script in Python."""
    return job(index, script, image=POD_IMAGE, entrypoint="python3 $ALGO", **changes)


@dataclass
class Place:
    """A running node, who uses it, and a server of files that its pods reach."""

    node: RealNode | Parts
    consumer: Consumer
    engines: Sequence[str]
    data_url: str
    served: Served
    starts: Path
    "Who started, a name a line."

    def file(self, name: str, content: bytes, **more: Any) -> Json:
        """A file object for what this server now has."""
        self.served.files[f"/{name}"] = content
        return {"type": "url", "url": f"{self.data_url}/{name}", "method": "GET", **more}

    def run(self, *jobs: Json, limit_s: float = PATIENCE_S) -> list[Json]:
        """Submit a workflow and wait for its end."""
        return self.consumer.wait(self.submit(*jobs), limit_s)

    def run_one(self, script: str, **changes: Any) -> Json:
        """Submit one job and wait for its end."""
        return self.run(job(0, script, **changes))[0]

    def submit(self, *jobs: Json, consumer: Consumer | None = None, **more: Any) -> str:
        """Submit a workflow; its id."""
        records = (consumer or self.consumer).submit(list(jobs), **more)
        return str(records[0]["workflowId"])

    def results(self, record: Json, consumer: Consumer | None = None) -> dict[str, tuple[str, bytes]]:
        """Type → name and bytes of each result, as they are downloaded."""
        return {
            each["type"]: self.download(record, int(each["index"]), consumer or self.consumer)
            for each in record["results"]
        }

    def download(self, record: Json, index: int, consumer: Consumer) -> tuple[str, bytes]:
        """One result's name and bytes."""
        signed = consumer.signed("getComputeResult")
        found = consumer.call("GET", "/api/services/computeResult", **signed, jobId=record["jobId"], index=index)
        assert found.status == 200, found.data
        return found.headers["Content-Disposition"].partition('filename="')[2].partition('"')[0], bytes(found.data)

    def output(self, record: Json, consumer: Consumer | None = None) -> bytes:
        """What the algorithm left."""
        return self.results(record, consumer)["output"][1]

    def log(self, record: Json, which: str = "algorithmLog") -> str:
        """One of the job's logs."""
        return self.results(record)[which][1].decode()

    def until_status(self, workflow_id: str, *numbers: int) -> Json:
        """The workflow's first job, once it has one of these statuses."""

        def look() -> Json | None:
            record = self.consumer.status(workflowId=workflow_id)[0]
            return record if record["status"] in numbers else None

        return until(look)

    def until_running(self, workflow_id: str) -> Json:
        """The workflow's first job, once its algorithm has started: that comes after the status, a step of its own."""

        def look() -> Json | None:
            record = self.consumer.status(workflowId=workflow_id)[0]
            return record if record["status"] == 40 and record["algoStartTimestamp"] != "0" else None

        return until(look)

    def starts_of(self, job_id: str, phase: Phase = Phase.RUN) -> int:
        """How often the machine's engine started the phase's container."""
        return self.starts.read_text().splitlines().count(container_name(JobId(job_id), phase))

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Look into the node's database."""
        with contextlib.closing(sqlite3.connect(self.node.folder / "c2d.sqlite", timeout=20)) as database:
            return database.execute(query, arguments).fetchall()

    def outside(self) -> list[str]:
        """What the engines still have of these jobs."""
        return outside(self.engines)

    def leftovers(self) -> Json:
        """What should not be there once every job has ended; empty when all is well."""
        held = {table: self.rows(f"SELECT * FROM {table}") for table in ("reservation", "turn")}
        leases = self.rows("SELECT job_id FROM job WHERE lease_token IS NOT NULL")
        chunks = self.rows("SELECT DISTINCT job_id FROM log_chunk")
        found = {**held, "leases": leases, "chunks": chunks, "outside": self.outside()}
        return {what: some for what, some in found.items() if some}

    def until_clean(self) -> None:
        """Wait for the moment after the last move in which the lease is given back."""
        until(lambda: not self.leftovers() or None, lambda: self.leftovers())


@contextlib.contextmanager
def place(folder: Path, *engines: Json, **settings: str) -> Iterator[Place]:
    """A node with these engines (by default one); all that is left of them on Docker is removed at the end."""
    chosen = [
        {"name": new_name(), "type": "docker", "environments": [environment()], **each} for each in engines or [{}]
    ]
    names = [str(each["name"]) for each in chosen]
    served, gateway = Served(), gateway_of(chosen[0])
    own = {"C2D_ENGINES": json.dumps(chosen), "C2D_FETCH_ALLOW": f"{gateway}/32", **settings}
    try:
        folder.mkdir(exist_ok=True)
        with (
            serve_files(served, gateway) as url,
            starts_told(folder / "starts") as starts,
            real_node(folder, **own) as node,
        ):
            yield Place(node, node.consumer(), names, url, served, starts)
    finally:
        remove_all(names)


@contextlib.contextmanager
def as_place(parts: Parts, engines: Sequence[str]) -> Iterator[Place]:
    """The same for a node in parts."""
    served = Served()
    with serve_files(served, gateway_of({})) as url, starts_told(parts.folder / "starts") as starts:
        yield Place(parts, parts.consumer(), engines, url, served, starts)


def new_name() -> str:
    """An engine nobody else has."""
    return f"flow-{secrets.token_hex(4)}"


def gateway_of(engine: Mapping[str, Any]) -> str:
    """Where containers of the engine reach this machine."""
    connection = {key: value for key, value in engine.items() if key not in ("name", "type", "environments")}
    return docker_capabilities("probe", connection).pod_gateway or "127.0.0.1"


def docker(*arguments: str) -> str:
    """What the machine's own engine answers to its client."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def outside(engines: Sequence[str]) -> list[str]:
    """Containers and volumes labelled with one of these engines."""
    shown = '{{.Label "' + LABEL_ENGINE + '"}}'
    lines = docker("ps", "-a", "--filter", f"label={LABEL_ENGINE}", "--format", f"container {{{{.Names}}}} {shown}")
    lines += "\n" + docker(
        "volume", "ls", "--filter", f"label={LABEL_ENGINE}", "--format", f"volume {{{{.Name}}}} {shown}"
    )
    mine = [line.split() for line in lines.splitlines() if line.count(" ") == 2]
    return [f"{kind} {name}" for kind, name, engine in mine if engine.partition(".")[0] in engines]


def remove_all(engines: Sequence[str]) -> None:
    """Remove what a failed test has left."""
    for thing in sorted(outside(engines)):
        kind, name = thing.split()
        subprocess.run(["docker", *(("volume",) if kind == "volume" else ()), "rm", "-f", name], capture_output=True)


@contextlib.contextmanager
def starts_told(path: Path) -> Iterator[Path]:
    """Write down each container of an engine's as it starts; Docker itself remembers its last 256 events only."""
    filters = ("type=container", "event=start", f"label={LABEL_ENGINE}")
    told = [part for each in filters for part in ("--filter", each)]
    with open(path, "wb") as file:
        command = ["docker", "events", *told, "--format", "{{.Actor.Attributes.name}}"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file)
    try:
        yield path
    finally:
        process.terminate()
        process.wait()


def container_of(record: Json, phase: Phase) -> str:
    """The name of the container of one phase."""
    return container_name(JobId(record["jobId"]), phase)


def is_there(container: str) -> bool:
    """Whether the container runs."""
    return bool(docker("ps", "-q", "--filter", f"name=^{container}$"))


def until(look: Callable[[], Any], told: Callable[[], object] = lambda: "nothing to be seen") -> Any:
    """Look ten times a second for what other processes do."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, told()
        time.sleep(0.1)
