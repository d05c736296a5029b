"""The children of `c2d up`: kept running, restarted with a pause, gone when we go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

UP = """
import os, sys
from pathlib import Path
from infra.c2d.processes import Child, Supervisor
folder = Path(sys.argv[1])
code = "import os, time, sys; open(sys.argv[1] + '/pids', 'a').write(f'{os.getpid()}\\\\n'); %s"
children = [Child("a", [sys.executable, "-c", code % sys.argv[2], str(folder)], os.environ, folder / "a.log")]
with Supervisor(children, lambda line: print(line, flush=True)) as supervisor:
    supervisor.start_all()
    supervisor.watch()
"""


def started(folder: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", UP, str(folder), body], stdout=subprocess.PIPE, text=True)


def pids(folder: Path, count: int) -> list[int]:
    """Wait for that many children to have said who they are."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        path = folder / "pids"
        found = [int(line) for line in path.read_text().split()] if path.exists() else []
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} children within 20 s")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.02)


def test_a_child_that_dies_is_started_again_and_its_last_words_are_told(tmp_path: Path) -> None:
    up = started(tmp_path, "sys.exit('it hurts')")
    assert len(pids(tmp_path, 2)) >= 2
    up.send_signal(signal.SIGTERM)
    said, _ = up.communicate(timeout=10)
    assert "a ended (1): it hurts; again in 0.5 s" in said
    assert up.returncode == 0


def test_sigterm_ends_the_children_too(tmp_path: Path) -> None:
    up = started(tmp_path, "time.sleep(600)")
    [child] = pids(tmp_path, 1)
    up.send_signal(signal.SIGTERM)
    assert up.wait(10) == 0
    assert not is_running(child)


def test_killed_outright_we_leave_no_child_behind(tmp_path: Path) -> None:
    up = started(tmp_path, "time.sleep(600)")
    [child] = pids(tmp_path, 1)
    os.kill(up.pid, signal.SIGKILL)
    up.wait(10)
    until_gone(child)
