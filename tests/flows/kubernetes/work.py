"""Own what a deployed node is given to do: the example, by the command a person types, and jobs that only take time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.demonstration import EXAMPLE, fetched
from infra.proof import check_results
from tests.needs import python_image
from tests.services.node import Consumer


def settings_of(url: str, folder: Path) -> dict[str, str]:
    """The environment of a person's commands: a wallet and downloads of their own."""
    return {**os.environ, "C2D_NODE_URL": url, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}


def submitted(data: str, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """The example handed in and followed to its end; `data` is where its owner serves it."""
    image, _, tag = python_image().rpartition(":")
    given = [
        part for pair in (("DATA_URL", data), ("IMAGE", image), ("TAG", tag)) for part in ("--set", "=".join(pair))
    ]
    command = [sys.executable, "-m", "infra.c2d", "submit", str(EXAMPLE / "workflow.json"), *given, "--follow"]
    return subprocess.Popen(command, env=settings, stdin=subprocess.DEVNULL)


def check_the_examples_results(folder: Path, settings: dict[str, str]) -> None:
    """Download the last workflow's results into a new folder, and compare their bytes."""
    files = fetched(["results", "-o", str(folder), "--unpack"], settings)
    check_results(EXAMPLE / "data" / "penguins.csv", files)
    [report] = [Path(file["path"]) for file in files if file["path"].endswith("report.svg")]
    assert report.read_bytes() == (EXAMPLE / "report.svg").read_bytes()


def offered(consumer: Consumer) -> bool:
    """Whether an environment is there."""
    found = consumer.call("GET", "/api/services/computeEnvironments")
    return found.status == 200 and bool(found.json())


def sleeper(seconds: int, cpu: float = 0.05, disk: float = 0.2) -> dict[str, Any]:
    """A job that takes so long."""
    image, _, tag = python_image().rpartition(":")
    container = {"image": image, "tag": tag, "entrypoint": "python3 $ALGO"}
    algorithm = {"rawcode": f"import time; time.sleep({seconds})", "container": container}
    compute = {"cpu": cpu, "ram": max(0.2, 2 * cpu), "disc": disk, "maxDuration": 600}
    return {"index": 0, "input": [], "algorithm": algorithm, "compute": compute}
