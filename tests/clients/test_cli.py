"""ocean-cli's compute commands by the calls of the SDK it makes, in its order and with its parsing (wire §25)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.sdk import HERE, VERSIONS, installed, node_process
from tests.clients.station import algorithm
from tests.flows.docker.harness import Place, until
from tests.needs import needs
from tests.services.node import FINALS

pytestmark = [needs("docker", "node")]


@dataclass(frozen=True)
class Cli:
    """The CLI with a wallet: each command a process of its own."""

    folder: Path
    place: Place

    def run(self, command: str, *arguments: str) -> Any:
        """What a command prints; it must go well."""
        key, url = self.place.consumer.key, self.place.node.url
        process = node_process(self.folder, HERE / "cli.mjs", key, command, url, *arguments)
        out, error = process.communicate(timeout=60)
        found = json.loads(out)
        assert "value" in found, (found, error)
        return found["value"]

    def start(self, script: str, *datasets: Any) -> str:
        """Start a free job the way the CLI is told to."""
        code = {"fileObject": self.place.file("code.sh", script.encode()), **algorithm()}
        code["meta"].pop("rawcode")
        environment = self.run("getComputeEnvironments")[0]["id"]
        files = json.dumps(list(datasets)).replace('"', "'")
        return str(self.run("startFreeCompute", files, json.dumps(code), environment)["jobId"])


@pytest.fixture(scope="module", params=[VERSIONS[0], pytest.param(VERSIONS[1], marks=pytest.mark.full)])
def cli(request: pytest.FixtureRequest, node: Place) -> Cli:
    """On each version of the SDK."""
    return Cli(installed(request.param), node)


def test_the_cli_starts_watches_reads_and_downloads_a_free_job(cli: Cli, tmp_path: Path) -> None:
    dataset = {"fileObject": cli.place.file("rows.csv", b"1\n2\n")}
    job_id = cli.start("wc -l < /data/inputs/rows.csv; cp /data/inputs/rows.csv /data/outputs/", dataset)
    assert cli.run("computeStreamableLogs", job_id).endswith("2\n")

    until(lambda: cli.place.consumer.status(jobId=job_id)[0]["status"] in FINALS)
    (job,) = cli.run("getJobStatus", job_id)
    assert job["status"] == 70
    for result in job["results"][1:4:2]:
        target = tmp_path / result["filename"]
        cli.run("downloadJobResults", job_id, str(result["index"]), str(target))
        assert target.stat().st_size == result["filesize"] > 0


@pytest.mark.full
def test_the_cli_stops_a_job(cli: Cli) -> None:
    job_id = cli.start("sleep 100")
    (stopped,) = cli.run("stopCompute", job_id)
    assert stopped["stopRequested"] is True
    assert cli.run("getJobStatus", job_id, "did:op:ab12")[0]["stopRequested"] is True


def test_the_cli_makes_and_ends_a_token(cli: Cli) -> None:
    token = cli.run("generateAuthToken")
    assert cli.run("invalidateAuthToken", token) == {"success": True}
