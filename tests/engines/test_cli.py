"""Passes as processes: once, for a while, watching; signals and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.db.connection import session
from shared.db.node_tables import Engine
from shared.db.tables import Job
from shared.secrets import NodeKeys
from tests.shared.db import rows
from tests.shared.db.rows import submit

KEY = b"\x11" * 32
ENDS_WITHIN_S = 8.0  # what it is in the midst of lasts longer, and a busy machine is slow
STARTS_WITHIN_S = 30


@pytest.fixture
def environ(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a node whose one engine is in memory."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(rows, "BOX", NodeKeys.from_private_key(KEY).box)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("C2D_")},
        "C2D_DATABASE_URL": database,
        "C2D_STORAGE_URL": f"file://{tmp_path}/results",
        "C2D_DATA_DIR": str(tmp_path),
        "C2D_PRIVATE_KEY": "0x" + KEY.hex(),
        "C2D_POD_API_URL": "http://127.0.0.1:1",
        "C2D_ENGINES": '[{"name": "local", "type": "memory"}]',
    }


def command(mode: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.engines.memory_passes", mode, *arguments]


def ended(environ: dict[str, str], mode: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(mode, *arguments), env=environ, capture_output=True, text=True, timeout=60)


@pytest.fixture
def started(environ: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a failing test must not leave behind."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(
    processes: list[subprocess.Popen[str]], environ: dict[str, str], mode: str, *arguments: str
) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    processes.append(subprocess.Popen(command(mode, *arguments), env=environ, stdout=pipe, stderr=pipe, text=True))
    return processes[-1]


def until(is_so: object, what: str) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.02)


def status(job_id: str) -> str:
    with session():
        return str(Job.get_by_id(job_id).status)


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> float:
    """End it by a signal; how long that took."""
    began = time.monotonic()
    process.send_signal(number)
    process.wait(20)
    return time.monotonic() - began


def test_once_does_one_pass_and_ends(environ: dict[str, str]) -> None:
    first = ended(environ, "good")  # writes what the engine offers
    (job_id,) = submit()
    second = ended(environ, "good")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert status(job_id) == "provisioning"


def test_for_some_seconds_it_goes_on_and_ends_in_time(environ: dict[str, str]) -> None:
    began = time.monotonic()
    done = ended(environ, "good", "--for", "1.5")
    assert done.returncode == 0 and 1.5 <= time.monotonic() - began < 15, done.stderr


def test_an_engine_out_of_reach_is_exit_code_1(environ: dict[str, str]) -> None:
    done = ended(environ, "down")
    assert done.returncode == 1 and "local: The engine is out of reach." in done.stderr


@pytest.mark.parametrize(
    ("changes", "arguments", "said"),
    [
        ({"C2D_ENGINES": '[{"name": "local", "type": "docker"}]'}, [], "engine local is of type docker"),
        ({}, ["--engine", "other"], "other"),
        ({}, ["--for", "soon"], "--for"),
        ({}, ["--for", "1", "--watch"], "--watch"),
        ({"C2D_PRIVATE_KEY": ""}, [], "C2D_PRIVATE_KEY"),
    ],
)
def test_a_wrong_setting_or_argument_is_exit_code_2(
    environ: dict[str, str], changes: dict[str, str], arguments: list[str], said: str
) -> None:
    done = ended(environ | changes, "good", *arguments)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watch_takes_up_what_is_committed_and_ends_at_once(
    environ: dict[str, str], started: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = start(started, environ, "good", "--watch")
    until(lambda: has_engine(), "the engine's row")
    (job_id,) = submit()
    until(lambda: status(job_id) == "provisioning", "the job's start")
    assert stop(process, number) < ENDS_WITHIN_S
    assert process.returncode == 0


@pytest.mark.parametrize("how", [["--watch"], ["--for", "60"]])
def test_told_to_end_it_gives_back_what_it_holds(
    environ: dict[str, str], started: list[subprocess.Popen[str]], how: list[str]
) -> None:
    process = start(started, environ, "slow", *how)
    until(lambda: has_engine(), "the engine's row")
    (job_id,) = submit()
    until(lambda: is_held(job_id), "the pull")
    assert stop(process) < ENDS_WITHIN_S
    with session():
        row = Job.get_by_id(job_id)
    assert (row.lease_token, row.lease_until_ms, row.status) == (None, 0, "pulling_image")
    assert row.due_at_ms <= time.time() * 1000


def test_told_to_end_when_its_time_is_up_it_gives_back_what_it_still_holds(
    environ: dict[str, str], started: list[subprocess.Popen[str]]
) -> None:
    assert ended(environ, "good").returncode == 0  # writes what the engine offers
    (job_id,) = submit()
    process = start(started, environ, "slow", "--for", "1")
    until(lambda: is_held(job_id), "the pull")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)  # its time is up by now, and it waits for the pull
    assert stop(process) < ENDS_WITHIN_S
    with session():
        assert Job.get_by_id(job_id).lease_token is None


def test_a_duty_without_end_keeps_neither_jobs_nor_the_end_waiting(
    environ: dict[str, str], started: list[subprocess.Popen[str]]
) -> None:
    process = start(started, environ, "house", "--watch")
    until(lambda: has_engine(), "the engine's row")
    (job_id,) = submit()
    until(lambda: status(job_id) == "provisioning", "the job's start")
    assert stop(process) < ENDS_WITHIN_S
    assert process.returncode == 0


def test_a_watch_shows_that_it_goes_round(
    environ: dict[str, str], started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    pulse = tmp_path / "pulse"
    start(started, environ, "good", "--watch", "--pulse", str(pulse))
    until(pulse.exists, "the first turn")
    os.utime(pulse, (0, 0))
    until(lambda: pulse.stat().st_mtime > 0, "another turn")


def test_a_watch_that_waits_for_its_engine_ends_at_once(
    environ: dict[str, str], started: list[subprocess.Popen[str]]
) -> None:
    process = start(started, environ, "down", "--watch")
    assert process.stderr is not None
    assert any("not yet" in line for line in process.stderr)  # it has tried, and waits to try again
    assert stop(process) < ENDS_WITHIN_S
    assert process.returncode == 0


def has_engine() -> bool:
    with session():
        return Engine.select().where(Engine.name == "local").exists()


def is_held(job_id: str) -> bool:
    with session():
        row = Job.get_by_id(job_id)
    return row.lease_token is not None and row.status == "pulling_image"
