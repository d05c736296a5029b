"""The parts by themselves: each handler its own process behind the shipped proxy configuration, PostgreSQL, S3, passes
from cron that overlap. The example workflow ends with the same bytes as anywhere."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3

from infra.c2d.docker_here import docker_capabilities
from infra.c2d.pod_image import ensure_pod_image
from infra.demonstration import EXAMPLE, data_owner, fetched, free_port
from infra.proof import check_results
from infra.routing import STREAMING, commands
from shared.secrets import NodeKeys
from tests.needs import needs, proxy_binary, require
from tests.services.moto_server import CREDENTIALS

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(600),
    needs("docker", "postgres", "s3", "proxy"),
]

ROOT = Path(__file__).parents[2]
EVERY_S, LASTS_S = 4.0, 6.0
"A process each minute-equivalent, which lasts into the next one's time."
AT_ONCE = 3
"A machine too slow for the pace gets no more than that."
START_LIMIT_S = 120


def test_the_example_ends_with_the_same_bytes_when_every_part_runs_alone(
    tmp_path: Path, postgres_url: str, s3_url: str
) -> None:
    gateway = docker_capabilities("probe", {}).pod_gateway or "127.0.0.1"
    image, _, tag = ensure_pod_image({}, print).rpartition(":")
    port = free_port()
    environment = environment_of(tmp_path, postgres_url, s3_url, f"http://{gateway}:{port}", f"{image}:{tag}", gateway)
    subprocess.run([sys.executable, "-m", "infra.c2d", "migrate"], env=environment, check=True)
    consumer = {**environment, "C2D_NODE_URL": f"http://127.0.0.1:{port}"}
    with (
        cron(environment),
        handlers(tmp_path, environment),
        proxy(tmp_path, port, gateway),
        data_owner(gateway) as data,
    ):
        until_ready(f"http://127.0.0.1:{port}")
        given = {"DATA_URL": data, "IMAGE": image, "TAG": tag}
        settings = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
        submit = [sys.executable, "-m", "infra.c2d", "submit", str(EXAMPLE / "workflow.json"), *settings, "--follow"]
        subprocess.run(submit, env=consumer, check=True, timeout=300)
        files = fetched(["results", "-o", str(tmp_path / "out"), "--unpack"], consumer)
    check_results(EXAMPLE / "data" / "penguins.csv", files)
    [report] = [Path(file["path"]) for file in files if file["path"].endswith("report.svg")]
    assert report.read_bytes() == (EXAMPLE / "report.svg").read_bytes()


def environment_of(
    folder: Path, database: str, storage: str, pod_api: str, pod_image: str, gateway: str
) -> dict[str, str]:
    """What every process is told; the wallet's key is added for passes alone, as design §8 allows."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("C2D_")}
    engine = f'[{{"name": "deploy-{secrets.token_hex(4)}", "type": "docker", "podImage": "{pod_image}"}}]'
    return {
        **clean,
        **CREDENTIALS,
        "PYTHONPATH": str(ROOT),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
        "C2D_DATA_DIR": str(folder / "node"),
        "C2D_DATABASE_URL": database,
        "C2D_STORAGE_URL": storage,
        "C2D_POD_API_URL": pod_api,
        "C2D_ENGINES": engine,
        "C2D_FETCH_ALLOW": f"{gateway}/32",
    }


def keys(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What a pass is given, and what a handler is: the second cannot spend."""
    key = bytes.fromhex("5e" * 32)
    return {"C2D_PRIVATE_KEY": key.hex()}, {"C2D_SECRETS_KEY": NodeKeys.from_private_key(key).secrets_key}


@contextlib.contextmanager
def handlers(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Each core command as a gunicorn of its own, on a unix socket."""
    sockets, logs = folder / "run", folder / "logs"
    sockets.mkdir()
    logs.mkdir()
    _, secret = keys(environment)
    started = []
    try:
        for module, _ in commands():
            threads = {"C2D_THREADS": "60"} if module in STREAMING else {}
            command = [
                sys.executable, "-m", "gunicorn", "-c", str(ROOT / "infra/gunicorn.conf.py"),
                "--bind", f"unix:{sockets}/{module}.sock", f"handlers.{module}:create_app()",
            ]  # fmt: skip
            with open(logs / f"{module}.log", "wb") as log:
                process = subprocess.Popen(
                    command, env={**environment, **secret, **threads}, cwd=folder, stdout=log, stderr=log
                )
            started.append(process)
        until(lambda: all((sockets / f"{module}.sock").exists() for module, _ in commands()), "every socket")
        yield
    finally:
        stop(started)


@contextlib.contextmanager
def proxy(folder: Path, port: int, gateway: str) -> Iterator[None]:
    """nginx with the shipped configuration, but for where its sockets are and where it listens."""
    binary = proxy_binary()
    if not binary.endswith("nginx"):
        require("proxy")
        pytest.skip("needs nginx")
    shipped = (ROOT / "infra" / "nginx.conf").read_text()
    listening = f"listen 127.0.0.1:{port}; listen {gateway}:{port};"
    own = shipped.replace("/run/c2d/", f"{folder}/run/").replace("listen 8080;", listening)
    assert own.count(listening) == 1
    (folder / "nginx.conf").write_text(f"pid {folder}/nginx.pid;\nuser root;\n{own}")
    (folder / "proxy").mkdir()
    command = [binary, "-c", str(folder / "nginx.conf"), "-p", str(folder / "proxy"), "-e", str(folder / "nginx.log")]
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        yield
    finally:
        stop([process])


@contextlib.contextmanager
def cron(environment: Mapping[str, str]) -> Iterator[None]:
    """Start a pass process again and again, whether or not the one before has ended."""
    wallet, _ = keys(environment)
    name = environment["C2D_ENGINES"].split('"')[3]
    command = [sys.executable, "-m", "engines.run_docker", "--engine", name, "--for", str(LASTS_S)]
    is_over = threading.Event()
    started: list[subprocess.Popen[bytes]] = []

    def tick() -> None:
        while not is_over.is_set():
            if sum(process.poll() is None for process in started) < AT_ONCE:
                started.append(subprocess.Popen(command, env={**environment, **wallet}))
            is_over.wait(EVERY_S)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        for process in started:
            process.wait(60)
    assert len(started) > 1
    assert {process.returncode for process in started} == {0}


def until_ready(url: str) -> None:
    """Wait until the node's own words for it are good, and an engine has said what it offers."""

    def answers(path: str) -> Any:
        try:
            response = urllib3.request("GET", url + path, retries=False, timeout=5)
        except urllib3.exceptions.HTTPError:
            return None
        return response.json() if response.status == 200 else None

    until(lambda: bool(answers("/readyz") and answers("/api/services/computeEnvironments")), "the node")


def until(is_so: Any, what: str) -> None:
    """Wait, looking ten times a second, for what another process will do."""
    deadline = time.monotonic() + START_LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what} was not there within {START_LIMIT_S} s"
        time.sleep(0.1)


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End what we started, by its id."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
