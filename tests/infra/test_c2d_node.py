"""The command against a node of its own: `c2d up` with the process engine, and every word a consumer has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.demonstration import free_port
from tests.needs import needs, require

pytestmark = [needs("namespaces"), pytest.mark.xdist_group("c2d-node")]

C2D = [sys.executable, "-m", "infra.c2d"]
HELLO = "import os\nprint('hello from', os.environ['VOLUME'])\nopen('/data/outputs/a.txt', 'w').write('a' * 100_000)\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's environment with folders of its own."""
    folder = tmp_path_factory.mktemp("c2d")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("C2D_")}
    own = {name: str(folder / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    return {**clean, **own, "C2D_DATA_DIR": str(folder / "node"), "PYTHONPATH": os.getcwd()}


@pytest.fixture(scope="module")
def node(environment: dict[str, str]) -> Iterator[str]:
    """A node that is up; gives its URL."""
    require("namespaces")
    command = [*C2D, "up", "--engine", "process", "--port", str(free_port()), "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.fixture
def c2d(environment: dict[str, str], node: str, tmp_path: Path) -> Run:
    """Type a command."""

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*C2D, *words], env={**environment, "C2D_NODE_URL": node}, cwd=tmp_path, capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"c2d {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


def workflow(folder: Path, *codes: str, **more: Any) -> str:
    """A file of jobs that run beside each other."""
    container = {"entrypoint": "python3 $ALGO", "image": "python", "tag": "3.11-slim"}
    jobs = [{"index": i, "algorithm": {"rawcode": code, "container": container}} for i, code in enumerate(codes)]
    (folder / "w.json").write_text(json.dumps({"workflow": jobs, **more}))
    return "w.json"


def ids(submitted: str) -> tuple[str, Sequence[str]]:
    """The workflow's id and its jobs' of what `submit --json` printed."""
    records = json.loads(submitted)
    return records[0]["workflowId"], [record["jobId"] for record in records]


def test_environments_are_shown_and_told_in_json(c2d: Run) -> None:
    [environment] = json.loads(c2d("environments", "--json").stdout)
    assert environment["free"]
    assert "half of this machine" in c2d("environments").stdout.lower()


def test_a_workflow_is_followed_to_its_end_and_its_results_are_fetched_once(c2d: Run, tmp_path: Path) -> None:
    said = c2d("submit", workflow(tmp_path, HELLO), "--follow").stdout
    assert "running" in said and "succeeded" in said and "next: c2d results" in said
    first = json.loads(c2d("results", "-o", "out", "--json").stdout)
    output = next(Path(tmp_path / file["path"]) for file in first if file["type"] == "output")
    assert output.read_text() == "a" * 100_000
    assert "was here" in c2d("results", "-o", "out").stdout
    assert "succeeded" in c2d("status").stdout


def test_a_download_that_broke_off_goes_on_where_it_was(c2d: Run, tmp_path: Path) -> None:
    c2d("submit", workflow(tmp_path, HELLO), "--follow")
    [file] = [f for f in json.loads(c2d("results", "-o", "out", "--json").stdout) if f["type"] == "output"]
    output = tmp_path / file["path"]
    output.rename(output.parent / f".{output.name}.part")
    os.truncate(output.parent / f".{output.name}.part", 60_000)
    c2d("results", "-o", "out")
    assert output.read_text() == "a" * 100_000
    assert not (output.parent / f".{output.name}.part").exists()


def test_a_part_with_other_bytes_is_never_taken_for_the_result(c2d: Run, tmp_path: Path) -> None:
    c2d("submit", workflow(tmp_path, HELLO), "--follow")
    [file] = [f for f in json.loads(c2d("results", "-o", "out", "--json").stdout) if f["type"] == "output"]
    output = tmp_path / file["path"]
    output.unlink()
    (output.parent / f".{output.name}.part").write_text("b" * 60_000)
    assert "did not arrive as the node announced" in c2d("results", "-o", "out", code=2).stderr
    c2d("results", "-o", "out")
    assert output.read_text() == "a" * 100_000


def test_a_job_that_fails_makes_the_exit_code_1_and_its_log_says_why(c2d: Run, tmp_path: Path) -> None:
    done = c2d("submit", workflow(tmp_path, "raise SystemExit('it hurts')"), "--follow", code=1)
    assert "failed (exit code 1)" in done.stdout and "next: c2d logs" in done.stdout
    hint = next(line for line in done.stdout.splitlines() if line.startswith("next: c2d logs"))
    assert "it hurts" in c2d("logs", hint.split()[-1], code=1).stdout


def test_a_log_is_followed_while_the_job_runs(c2d: Run, tmp_path: Path) -> None:
    code = "import time\nprint('first', flush=True)\ntime.sleep(2)\nprint('last')\n"
    _, [job] = ids(c2d("submit", workflow(tmp_path, code), "--json").stdout)
    said = c2d("logs", "-f", job[:10]).stdout
    assert said.index("first") < said.index("last")


def test_all_of_a_workflow_is_stopped_at_once(c2d: Run, tmp_path: Path) -> None:
    flow, _ = ids(c2d("submit", workflow(tmp_path, *["import time; time.sleep(600)"] * 2), "--json").stdout)
    c2d("stop", flow[:10])
    assert c2d("status", flow[:10], "--follow", code=1).stdout.count("stopped") >= 2


def test_following_in_json_prints_an_event_a_line(c2d: Run, tmp_path: Path) -> None:
    lines = c2d("submit", workflow(tmp_path, "print(1)"), "--follow", "--json").stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds.count("move") >= 5


def test_what_the_node_refuses_is_said_with_its_place(c2d: Run, tmp_path: Path) -> None:
    said = c2d("submit", workflow(tmp_path, "print(1)", metadata=7), code=2).stderr
    assert "metadata" in said


def test_somebody_elses_job_is_not_stopped(c2d: Run, tmp_path: Path) -> None:
    _, [job] = ids(c2d("submit", workflow(tmp_path, "print(1)"), "--json").stdout)
    assert "does not own" in c2d("stop", job, "--key", "other.key", code=2).stderr


def test_a_quote_is_not_there_yet_and_the_node_says_so(c2d: Run, tmp_path: Path) -> None:
    assert c2d("quote", workflow(tmp_path, "print(1)"), code=2).stderr


def test_the_node_is_in_order_and_drains(c2d: Run) -> None:
    checks = json.loads(c2d("doctor", "--json").stdout)
    assert {check["what"] for check in checks} >= {"Python", "database", "storage", "node key", "port"}
    assert not [check for check in checks if check["state"] == "fail"]
    assert "takes no new work" in c2d("drain", "--wait").stdout
    assert "takes new work again" in c2d("drain", "--off").stdout


def test_in_a_cluster_the_doctor_speaks_of_no_port_and_starts_no_node(tmp_path: Path) -> None:
    given = {**os.environ, "C2D_DATA_DIR": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    done = subprocess.run([*C2D, "doctor"], env=given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Python" in done.stdout and "port" not in done.stdout and "c2d up --port" not in done.stdout, done.stderr


def test_a_second_node_on_the_same_port_says_that_it_is_taken(c2d: Run, node: str) -> None:
    assert "cannot be listened on" in c2d("up", "--engine", "process", "--port", node.rsplit(":", 1)[1], code=2).stderr


def test_a_process_engine_is_not_put_on_the_network_unless_one_insists(c2d: Run) -> None:
    said = c2d("up", "--engine", "process", "--host", "0.0.0.0", "--port", str(free_port()), code=2).stderr
    assert "--process-anywhere" in said


def test_the_key_for_handlers_is_derived_from_the_nodes(c2d: Run) -> None:
    assert len(c2d("doctor", "--secrets-key").stdout.strip()) == 128
