"""Run a node on this machine, in the foreground: handlers, passes, database and results in one folder."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import urllib3

from infra.c2d.failures import Failure
from infra.c2d.local_node import LocalNode, Wish, folder_of_logs, plan_node
from infra.c2d.options import DEFAULT_HOST, DEFAULT_PORT, add_data_dir, add_json, screen_of, settings_environment
from infra.c2d.processes import Child, Supervisor
from infra.c2d.terminal import Screen
from shared.db.connection import migrate, open_database

GUNICORN = Path(__file__).parent.parent / "gunicorn.conf.py"
APPS = {"all": "handlers.all_in_one:create_app()", "pods": "handlers.all_in_one:create_pod_app()"}
PASSES = {"docker": "engines.run_docker", "process": "engines.run_process", "kubernetes": "engines.run_kubernetes"}
SETTLEMENT = "engines.run_settlement"
THREADS = {"all": "300", "pods": "32"}
READY_LIMIT_S = 60.0
LOOK_EVERY_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on (default %(default)s)")
    add_data_dir(parser)
    parser.add_argument(
        "--engine", choices=("docker", "process"), help="insist on one; else C2D_ENGINES, else Docker if there is one"
    )
    parser.add_argument(
        "--process-anywhere",
        action="store_true",
        help="let a node whose jobs are plain processes listen on any address",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start everything, say where it is, keep it running until Ctrl-C."""
    screen = screen_of(arguments)
    wish = Wish(arguments.host, arguments.port, arguments.engine, arguments.process_anywhere)
    node = plan_node(settings_environment(arguments), wish)
    for notice in node.notices:
        screen.note(f"c2d: {notice}")
    open_database(node.settings.database_url)
    migrate()
    with Supervisor(children_of(node), lambda line: screen.note(f"c2d: {line}")) as supervisor:
        supervisor.start_all()
        wait_until_ready(node, supervisor)
        if not supervisor.is_stopping:
            tell(node, screen)
        supervisor.watch()
    screen.note("c2d: stopped")
    return 0


def children_of(node: LocalNode) -> list[Child]:
    """The processes of the node: the app, the pods' own door, a pass an engine, settlement where there are chains."""
    logs = folder_of_logs(node.settings)
    children = [handlers(node, "all", node.host, node.port, logs)]
    if node.pod_listen is not None:
        children.append(handlers(node, "pods", *node.pod_listen, logs))
    for engine in node.settings.engines:
        if engine.type not in PASSES:
            raise Failure(f"engine {engine.name} is of type {engine.type}; known: {', '.join(PASSES)}")
        command = [sys.executable, "-m", PASSES[engine.type], "--engine", engine.name, "--watch"]
        children.append(Child(f"pass {engine.name}", command, node.environment, logs / f"pass-{engine.name}.log"))
    if node.settings.chains:
        command = [sys.executable, "-m", SETTLEMENT, "--watch"]
        children.append(Child("settlement", command, node.environment, logs / "settlement.log"))
    return children


def handlers(node: LocalNode, which: str, host: str, port: int, logs: Path) -> Child:
    """One gunicorn."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    command = [sys.executable, "-m", "gunicorn", "-c", str(GUNICORN), "--bind", bind, APPS[which]]
    environment: Mapping[str, str] = {"C2D_THREADS": THREADS[which], **node.environment}
    return Child(f"handlers ({which})", command, environment, logs / f"handlers-{which}.log")


def wait_until_ready(node: LocalNode, supervisor: Supervisor) -> None:
    """Wait for /readyz; a child that dies before is the reason it never comes. Raises: Failure."""
    deadline = time.monotonic() + READY_LIMIT_S
    while not supervisor.is_stopping and not is_ready(node.url):
        dead = supervisor.dead()
        if dead is not None:
            raise Failure(f"{dead.name} did not start: {dead.last_words()}", f"its log: {dead.log}")
        if time.monotonic() > deadline:
            raise Failure(
                f"the node was not ready within {READY_LIMIT_S:.0f} s", f"its logs: {node.settings.data_dir}/logs"
            )
        supervisor.wait(LOOK_EVERY_S)


def is_ready(url: str) -> bool:
    """Ask the node itself."""
    try:
        return urllib3.request("GET", f"{url}/readyz", retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def tell(node: LocalNode, screen: Screen) -> None:
    """Say in one line that it is up, and where."""
    engines = ", ".join(f"{engine.name} ({engine.type})" for engine in node.settings.engines)
    screen.json_line({"url": node.url, "dataDir": str(node.settings.data_dir), "pid": os.getpid()})
    screen.say(f"c2d: up at {node.url} · engine {engines} · data in {node.settings.data_dir} · Ctrl-C stops it")
