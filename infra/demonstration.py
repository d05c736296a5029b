"""Own the demo: a data owner's server, a node and a consumer on this machine, one workflow, and a check of its results.

It types what a person would type (`c2d up`, `c2d submit`, `c2d results`) and stops all it started, however it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from infra.c2d.docker_here import docker_capabilities
from infra.c2d.failures import INTERRUPTED, Failure
from infra.c2d.local_node import is_free
from infra.c2d.pod_image import ensure_pod_image
from infra.c2d.processes import die_with_parent
from infra.proof import check_results

EXAMPLE = Path(__file__).parent / "examples" / "penguins"
START_LIMIT_S = 90
STOP_LIMIT_S = 15
LOOPBACK = "127.0.0.1"
C2D = (sys.executable, "-m", "infra.c2d")
FOREIGN = frozenset({"PRIVATE_KEY", "RPCS", "DOCKER_COMPUTE_ENVIRONMENTS"})
"Settings of an ocean-node that ours understands too."


@dataclass(frozen=True)
class Stage:
    """Where the demo plays."""

    engine: str
    image: str
    tag: str
    address: str
    "Where pods reach the data owner's server."


class QuietServer(http.server.SimpleHTTPRequestHandler):
    """The data owner's server: the files of one folder, nothing said of each request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the screen is the workflow's."""


def main() -> int:
    """Play the demo; the exit code tells whether all went well."""
    parser = argparse.ArgumentParser(prog="infra/demo", description="Run a workflow of three jobs on real data.")
    parser.add_argument("--engine", choices=("docker", "process"), help="insist on one of the two")
    parser.add_argument("--folder", type=Path, required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    began = time.monotonic()
    try:
        stage = choose_stage(arguments.engine)
        play(arguments.folder.absolute() / stage.engine, stage)
    except Failure as failure:
        print(f"demo: {failure.sentence}\n      {failure.hint}".rstrip(), file=sys.stderr)
        return failure.exit_code
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything it started is stopped", file=sys.stderr)
        return INTERRUPTED
    print(f"demo: done in {time.monotonic() - began:.1f} s")
    return 0


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that everything is stopped on the way out."""
    raise KeyboardInterrupt


def choose_stage(engine: str | None) -> Stage:
    """Docker with an image built here, else processes; says which, and why."""
    if engine != "process":
        try:
            gateway = docker_capabilities("local", {}).pod_gateway or LOOPBACK
            image, _, tag = ensure_pod_image({}, lambda line: print(f"demo: {line}")).rpartition(":")
            print(f"demo: Docker it is; pods and algorithms run in {image}:{tag}")
            return Stage("docker", image, tag, gateway)
        except Failure as failure:
            if engine == "docker":
                raise
            print(f"demo: Docker cannot be used here: {failure.sentence}")
    print("demo: jobs run as PROCESSES OF THIS MACHINE, without containers")
    return Stage("process", "python", "3.11-slim", LOOPBACK)


def play(folder: Path, stage: Stage) -> None:
    """Start data owner and node, submit, follow, download, verify. Raises: Failure."""
    node_folder, results = folder / "node", folder / "results"
    node_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.rmtree(results, ignore_errors=True)
    environment = private_environment(folder, stage)
    with data_owner(stage.address) as data_url, node(stage, node_folder, environment) as url:
        consumer = {**environment, "C2D_NODE_URL": url}
        for workflow_id in handed_in(folder)[-1:]:  # of a run that was killed; a finished one is none the worse for it
            quietly(["stop", workflow_id], consumer)
        given = {"DATA_URL": data_url, "IMAGE": stage.image, "TAG": stage.tag}
        settings = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
        with stopped_on_the_way_out(folder, consumer):
            say_and_run(["submit", str(EXAMPLE / "workflow.json"), *settings, "--follow"], consumer)
        files = fetched(["results", "-o", str(results), "--unpack"], consumer)
    for line in check_results(EXAMPLE / "data" / "penguins.csv", files):
        print(f"demo: {line}")
    print(f"demo: the picture: {picture_of(files)}")


def private_environment(folder: Path, stage: Stage) -> dict[str, str]:
    """Our environment without the operator's settings and the user's keys: the demo has its own of both."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("C2D_") and name not in FOREIGN}
    own = {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
        "C2D_FETCH_ALLOW": f"{stage.address}/32",
    }
    pods = {name: os.environ[name] for name in ("C2D_PYTHON_IMAGE",) if name in os.environ}
    return {**kept, **own, **pods}


@contextlib.contextmanager
def stopped_on_the_way_out(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Stop the workflow if the block is interrupted, and wait for that: no container is left running."""
    before = handed_in(folder)
    try:
        yield
    except KeyboardInterrupt:
        for workflow_id in handed_in(folder)[len(before) :]:
            print("\ndemo: stopping the workflow", file=sys.stderr, flush=True)
            quietly(["stop", workflow_id], environment)
            quietly(["status", "--follow", workflow_id], environment)
        raise


def handed_in(folder: Path) -> list[str]:
    """The workflows that the demo has ever submitted, the latest last."""
    history = folder / "data" / "c2d" / "submissions.jsonl"
    lines = history.read_text().splitlines() if history.exists() else []
    return [str(json.loads(line)["workflowId"]) for line in lines]


def quietly(words: list[str], environment: Mapping[str, str]) -> None:
    """Run a command that nobody need see, out of Ctrl-C's reach; what comes of it does not matter."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*C2D, *words], env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=STOP_LIMIT_S, check=False, start_new_session=True,
        )  # fmt: skip


@contextlib.contextmanager
def data_owner(address: str) -> Iterator[str]:
    """Serve the example's data at an address that pods reach; gives the server's URL."""
    handler = functools.partial(QuietServer, directory=str(EXAMPLE / "data"))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()


@contextlib.contextmanager
def node(stage: Stage, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run `c2d up` for as long as the block lasts; gives its URL. Raises: Failure where it does not come up."""
    command = [
        *C2D,
        "up",
        "--json",
        "--port",
        str(own_port(folder / "port")),
        "--data-dir",
        str(folder),
        "--engine",
        stage.engine,
    ]
    process = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        watchdog = threading.Timer(START_LIMIT_S, process.terminate)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        told = json.loads(line if line.startswith('{"url"') else line + process.stdout.read())
        if "url" not in told:
            raise Failure(f"the node did not start: {told.get('error')}", str(told.get("hint", "")))
        print(f"demo: the node is up at {told['url']}, its data in {folder}")
        yield str(told["url"])
    except json.JSONDecodeError as error:
        raise Failure("the node did not start", f"its logs: {folder}/logs") from error
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """Let it stop what it started, and wait for that."""
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def own_port(record: Path) -> int:
    """The port of the last run if it is free: pods that outlived a killed run still find the node. Else a new one."""
    last = int(record.read_text()) if record.exists() else 0
    port = last if last and is_free(LOOPBACK, last) else free_port()
    record.write_text(str(port))
    return port


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def say_and_run(words: list[str], environment: Mapping[str, str]) -> None:
    """Show the command as one would type it, and run it on this terminal. Raises: Failure where it failed."""
    print(f"\n$ c2d {' '.join(words)}", flush=True)
    done = subprocess.run([*C2D, *words], env=dict(environment), check=False)
    if done.returncode != 0:
        raise Failure(f"c2d {words[0]} ended with {done.returncode}")


def fetched(words: list[str], environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Download; what arrived, as the command lists it. Raises: Failure."""
    print(f"\n$ c2d {' '.join(words)}", flush=True)
    done = subprocess.run(
        [*C2D, *words, "--json"], env=dict(environment), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise Failure(f"c2d {words[0]} ended with {done.returncode}: {done.stdout.strip()}")
    files: list[dict[str, Any]] = json.loads(done.stdout)
    return files


def picture_of(files: list[dict[str, Any]]) -> Path:
    """The last job's output."""
    return next(Path(file["path"]) for file in files if file["path"].endswith("report.svg"))


if __name__ == "__main__":
    sys.exit(main())
