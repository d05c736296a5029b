"""Own the child processes of `c2d up`: started, restarted when they die, stopped when we are told to stop."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

GRACE_S = 8.0
"How long children have to end after SIGTERM."
STEADY_S = 20.0
"Whoever ran this long is restarted at once."
LONGEST_PAUSE_S = 30.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


@dataclass
class Child:
    """One command that should always run."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    due_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches us first; if we die, it is told to end."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.started_at = time.monotonic()

    def has_died(self) -> bool:
        """Whether it runs no more."""
        return self.process is not None and self.process.poll() is not None

    def plan_restart(self) -> float:
        """Note a death; give the pause until it is started again."""
        lived_s = time.monotonic() - self.started_at
        self.deaths = 1 if lived_s > STEADY_S else self.deaths + 1
        pause_s = min(0.5 * 2.0 ** min(self.deaths - 1, 10), LONGEST_PAUSE_S)
        self.process, self.due_at = None, time.monotonic() + pause_s
        return pause_s

    def last_words(self) -> str:
        """The last line of its log that is its own, not the server's about it."""
        lines = self.log.read_bytes().decode(errors="replace").strip().splitlines() if self.log.exists() else []
        return next((line for line in reversed(lines) if not line.startswith("[")), lines[-1] if lines else "nothing")


class Supervisor:
    """Keeps children running until SIGINT or SIGTERM."""

    def __init__(self, children: Sequence[Child], tell: Callable[[str], None]) -> None:
        self._children = children
        self._tell = tell
        self._is_stopping = False
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Supervisor:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._selector.register(self._reader, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(self, *_exception: object) -> None:
        stop_all([child.process for child in self._children if child.process is not None])
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for end in (self._reader, self._writer):
            end.close()
        self._selector.close()

    @property
    def is_stopping(self) -> bool:
        """Whether we were told to stop."""
        return self._is_stopping

    def start_all(self) -> None:
        """Start every child."""
        for child in self._children:
            child.start()

    def dead(self) -> Child | None:
        """A child that has died, if one has."""
        return next((child for child in self._children if child.has_died()), None)

    def watch(self) -> None:
        """Restart what dies, until told to stop."""
        while not self._is_stopping:
            self.wait(self._mend())

    def wait(self, seconds: float | None) -> None:
        """Sleep until a signal comes (a child's death is one) or the time is up."""
        if not self._is_stopping and self._selector.select(seconds):
            self._reader.recv(4096)

    def _mend(self) -> float | None:
        for child in self._children:
            if child.has_died():
                code = child.process.returncode if child.process else None
                pause_s = child.plan_restart()
                self._tell(f"{child.name} ended ({code}): {child.last_words()}; again in {pause_s:.1f} s")
            elif child.process is None and child.due_at <= time.monotonic():
                child.start()
        waiting = [child.due_at - time.monotonic() for child in self._children if child.process is None]
        return max(0.0, min(waiting)) if waiting else None

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True


def stop_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Tell all to end, wait, and kill what is left with its whole session."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        try:
            process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def die_with_parent() -> None:
    """Ask the kernel, in a child just forked, to end it when its parent dies (Linux)."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
