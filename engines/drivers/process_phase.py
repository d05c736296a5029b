"""Own one phase of the process engine as seen from outside: how it stands, how it is ended, how its files go."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from engines.drivers import process_state as states
from engines.drivers import process_tree as tree
from engines.drivers.process_limits import find_cgroup, remove_group
from engines.observation import ContainerSeen, ContainerState
from shared.errors import Unavailable

START_WAIT_S = 90
STEP_S = 0.01
KILL_WAIT_S = 5


def is_alive(folder: Path) -> bool:
    """Whether anything of the phase runs: its supervisor, or a process 1 that has not noticed its end yet."""
    alive = states.supervisor_pid(str(folder)) is not None
    return alive or states.living_init(states.read_state(str(folder))) is not None


def await_start(folder: Path) -> None:
    """Wait while a supervisor lives that has not written yet (the pass that sent it was killed)."""
    give_up_at = time.monotonic() + START_WAIT_S
    while states.supervisor_pid(str(folder)) is not None and not states.read_state(str(folder)):
        if time.monotonic() > give_up_at:
            raise Unavailable("a supervisor does not come to start its phase")
        time.sleep(STEP_S)


def await_idle(folder: Path) -> None:
    """Wait for the end of a phase that is known to be short: its supervisor's, and of what a killed one left."""
    supervisor = states.supervisor_pid(str(folder))
    if supervisor is not None:
        await_end(supervisor, START_WAIT_S, lambda: states.supervisor_pid(str(folder)) == supervisor)
    state = states.read_state(str(folder))
    init = states.living_init(state)
    if init is not None:
        await_end(init, KILL_WAIT_S, lambda: states.living_init(state) == init)


def look(folder: Path) -> ContainerSeen:
    """One phase as its files and the kernel tell it."""
    was_alive = is_alive(folder)
    state = states.read_state(str(folder))  # after the look: a supervisor writes before it ends
    if not state:
        return ContainerSeen(ContainerState.CREATED)
    started = int(state["started_at_ms"]) if "started_at_ms" in state else None
    if state["state"] == states.RUNNING and was_alive:
        return ContainerSeen(ContainerState.RUNNING, started_at_ms=started)
    if state["state"] == states.RUNNING:
        return lost(folder, started)
    return ContainerSeen(
        ContainerState.EXITED,
        exit_code=int(state["exit_code"]),
        oom_killed=state.get("oom_killed") == "1",
        was_killed=state["ended_by"] == states.BY_OTHERS,
        started_at_ms=started,
        finished_at_ms=int(state["finished_at_ms"]),
        start_error=state.get("start_error"),
    )


def lost(folder: Path, started_at_ms: int | None) -> ContainerSeen:
    """A phase that ended with nobody to write it down; the last sign of life is the log's."""
    log = folder / "log"
    seen_ms = log.stat().st_mtime_ns // 1_000_000 if log.exists() else 0
    return ContainerSeen(
        ContainerState.EXITED,
        exit_code=128 + signal.SIGKILL,
        was_killed=True,
        started_at_ms=started_at_ms,
        finished_at_ms=max(seen_ms, started_at_ms or 0),
    )


def stop(folder: Path, grace_s: int) -> None:
    """End a phase: by its supervisor, which writes down that it was our wish; by force where there is no answer."""
    supervisor = states.supervisor_pid(str(folder))
    if supervisor is not None:
        states.replace_file(str(folder / "stop"), str(grace_s).encode())
        send(supervisor, signal.SIGTERM)
        if not await_end(supervisor, grace_s + KILL_WAIT_S, lambda: states.supervisor_pid(str(folder)) == supervisor):
            send(supervisor, signal.SIGKILL)
            await_end(supervisor, KILL_WAIT_S, lambda: states.supervisor_pid(str(folder)) == supervisor)
    init = states.living_init(states.read_state(str(folder)))
    if init is not None:
        send(init, signal.SIGKILL)
        await_idle(folder)
    if is_alive(folder):
        raise Unavailable("the phase does not end, not even when killed")


def send(pid: int, number: int) -> None:
    """Send a signal; gone already is success."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def await_end(pid: int, timeout_s: float, is_still: Callable[[], bool]) -> bool:
    """Whether a process ended in time. `is_still` tells it from a stranger that was given its number."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return not is_still() or bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)


def discard(folder: Path, name: str) -> None:
    """Delete an ended phase's files, and control groups that a killed supervisor left."""
    if folder.is_dir():
        left = states.read_state(str(folder)).get("cgroups", "").split()
        for group in left or find_cgroup(name).folders.values():  # killed before it wrote: found again by their name
            remove_group(group)
        tree.delete(str(folder))
