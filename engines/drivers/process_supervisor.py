"""Own one running phase of the process engine: start it once, keep its log, hold its limits, write down how it ended.

Started by the driver with a plan on its standard input; lives on when the pass that started it ends, and the phase dies
with it. Answers one line on standard output: `started`, `already`, or `failed WHY`.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from engines.drivers import process_kernel as kernel
from engines.drivers import process_limits as limits
from engines.drivers import process_state as states
from engines.drivers.process_plan import Plan
from engines.drivers.process_sandbox import Pipes, run_inside

MEMORY_LOOK_S = 0.05
GRACE_S = 10
WRITE_AGAIN_FOR_S = 60
CHUNK = 1 << 16


def main() -> None:
    """Read the plan, leave the caller behind, supervise."""
    data = sys.stdin.buffer.read()
    if os.fork():
        os._exit(0)
    reply = os.dup(1)
    nowhere = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    plan = Plan.load(data)
    if states.take_lock(plan.folder) is None or states.read_state(plan.folder):
        answer(reply, "already")
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD))
    Supervisor(plan, reply).run()


def answer(reply: int, line: str) -> None:
    """Tell the driver, if it still listens."""
    try:
        os.write(reply, f"{states.one_line(line)}\n".encode())
    except BrokenPipeError:
        pass
    finally:
        os.close(reply)


class Supervisor:
    """One phase from its first process to its last line."""

    def __init__(self, plan: Plan, reply: int) -> None:
        self.plan = plan
        self.reply = reply
        self.log = PhaseLog(os.path.join(plan.folder, "log"))
        self.cgroup = limits.Cgroup({})
        self.ended_by = states.BY_ITSELF
        self.kill_at: float | None = None
        self.init = 0
        self.fields: dict[str, object] = {"supervisor_pid": os.getpid()}

    def run(self) -> None:
        """Start, watch, record."""
        try:
            self.start()
        except OSError as error:
            self.fail(error.strerror or str(error))
            return
        if self.await_ready():
            self.watch()

    def start(self) -> None:
        """Make the limits and the pipes, fork process 1 into its namespaces."""
        self.cgroup = limits.find_cgroup(self.plan.name)
        self.cgroup.limit(self.plan.memory_bytes, self.plan.pids, self.plan.cpu_cores)
        self.fields["cgroups"] = " ".join(self.cgroup.folders.values())
        orders, self.orders = os.pipe()
        self.reports, reports = os.pipe()
        self.started, started = os.pipe()
        self.output, output = os.pipe()
        pipes = Pipes(orders=orders, reports=reports, started=started, log=output)
        self.init = fork_into_namespaces(self.plan, pipes, self.cgroup)
        for descriptor in (orders, reports, started, output):
            os.close(descriptor)
        self.cgroup.add(self.init)
        os.write(self.orders, b"!")

    def await_ready(self) -> bool:
        """See the sandbox built, write that the phase runs, let the program go, see it executed.

        The state is on disk before the program's first instruction: killed in between, nothing has run twice.
        """
        report = os.read(self.reports, CHUNK).decode()
        if not report.startswith("ready\n"):
            self.fail(report.removeprefix("failed ").strip() or "the sandbox ended while it was built")
            return False
        self.fields |= {"init_pid": self.init, "init_birth": states.birth(self.init), "started_at_ms": now_ms()}
        states.write_state(self.plan.folder, {"state": states.RUNNING, **self.fields})
        os.write(self.orders, b"!")
        trouble = os.read(self.started, CHUNK).decode()
        if trouble:
            self.fail(trouble)
            return False
        answer(self.reply, "started")
        self.tell()
        return True

    def fail(self, why: str) -> None:
        """Write down why the program could not start."""
        if self.init:
            os.kill(self.init, signal.SIGKILL)
            os.waitpid(self.init, 0)
        self.log.write(f"cannot start: {states.one_line(why)}\n".encode())
        self.record(start_error=why, exit_code=127, finished_at_ms=now_ms(), ended_by=states.BY_ITSELF)
        answer(self.reply, f"failed {why}")
        self.tell()

    def watch(self) -> None:
        """Copy the log and hold the limits until process 1 has ended."""
        wake = wake_on_signals()
        poll = select.poll()
        for descriptor in (wake, self.reports, self.output):
            poll.register(descriptor, select.POLLIN)
        overdue_at = time.monotonic() + self.plan.max_seconds if self.plan.max_seconds else None
        report = b""
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self.patience_ms(overdue_at))}
            if self.output in ready and not self.log.copy(self.output):
                poll.unregister(self.output)
            if wake in ready:
                self.heed(os.read(wake, 64))
            if self.reports in ready:
                more = os.read(self.reports, CHUNK)
                report += more
                if not more:
                    break
            self.hold_limits(overdue_at)
        self.finish(report.decode())

    def patience_ms(self, overdue_at: float | None) -> int | None:
        """How long nothing has to be looked at."""
        moments = [moment for moment in (overdue_at, self.kill_at) if moment is not None]
        waits = [max(0.0, moment - time.monotonic()) for moment in moments]
        if "memory" not in self.cgroup.folders:
            waits.append(MEMORY_LOOK_S)
        return min(3_600_000, int(min(waits) * 1000) + 1) if waits else None

    def heed(self, signals: bytes) -> None:
        """Act on the driver's wish to stop, or on a SIGTERM that came from elsewhere."""
        if signal.SIGTERM not in signals:
            return
        wish = limits.read(os.path.join(self.plan.folder, "stop"))
        self.end(states.BY_STOP if wish else states.BY_OTHERS, int(wish or GRACE_S))

    def hold_limits(self, overdue_at: float | None) -> None:
        """End what is overdue, too large, or has used up its grace."""
        now = time.monotonic()
        if overdue_at is not None and now >= overdue_at and self.kill_at is None:
            self.end(states.BY_TIMEOUT, GRACE_S)
        if "memory" not in self.cgroup.folders and limits.memory_in_use(self.init) > self.plan.memory_bytes:
            self.end(states.BY_MEMORY, 0)
        if self.kill_at is not None and now >= self.kill_at:
            os.kill(self.init, signal.SIGKILL)

    def end(self, ended_by: str, grace_s: int) -> None:
        """Ask the program to end; the kill comes after the grace. A second wish can only shorten it."""
        if self.kill_at is None:
            self.ended_by = ended_by
            os.kill(self.init, signal.SIGTERM)
        kill_at = time.monotonic() + grace_s
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)

    def finish(self, report: str) -> None:
        """Collect the last of the log, tell how it ended, tidy up."""
        os.waitpid(self.init, 0)
        while self.log.copy(self.output):
            continue
        said = report.removeprefix("exit ").strip()
        by_itself = self.ended_by == states.BY_ITSELF
        code = exit_code(int(said)) if said.isdigit() else 128 + signal.SIGKILL
        oom = self.ended_by == states.BY_MEMORY or (code != 0 and self.cgroup.oom_kills() > 0)
        if by_itself and not said.isdigit() and not oom:
            self.ended_by = states.BY_OTHERS
        self.record(exit_code=code, oom_killed=int(oom), ended_by=self.ended_by, finished_at_ms=now_ms())
        self.tell()

    def record(self, **fields: object) -> None:
        """Write the end down, again and again while the disk is full; then let go of the groups."""
        for folder in self.cgroup.folders.values():
            limits.remove_group(folder)
        give_up_at = time.monotonic() + WRITE_AGAIN_FOR_S
        while True:
            try:
                states.write_state(self.plan.folder, {"state": states.EXITED, **self.fields, **fields})
                return
            except OSError:
                if time.monotonic() > give_up_at or not os.path.isdir(self.plan.folder):
                    raise
                time.sleep(0.2)

    def tell(self) -> None:
        """Wake who watches; a hint that may get lost."""
        try:
            states.replace_file(os.path.join(self.plan.events, self.plan.event), b"")
        except OSError:
            return


class PhaseLog:
    """The program's output, in order, up to a cap that is said in the log."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.room = states.LOG_CAP_BYTES

    def copy(self, source: int) -> bool:
        """Take the next piece; false when nobody writes any more."""
        data = os.read(source, CHUNK)
        self.write(data)
        return bool(data)

    def write(self, data: bytes) -> None:
        """Keep what there is room for; what comes later is read and dropped, so that the program never waits."""
        if self.room <= 0:
            return
        try:
            os.write(self.descriptor, data[: self.room])
            self.room -= len(data)
            if self.room <= 0:
                os.write(
                    self.descriptor, f"\n[the log ends here: it is cut at {states.LOG_CAP_BYTES} bytes]\n".encode()
                )
        except OSError:
            self.room = 0  # a full disk must not end the phase


def fork_into_namespaces(plan: Plan, pipes: Pipes, cgroup: limits.Cgroup) -> int:
    """Start process 1 of a new process namespace; as an ordinary user inside a user namespace of its own."""
    limits.pin(cgroup, plan.name, plan.cpu_cores)
    if os.geteuid() != 0:
        enter_user_namespace(plan.uid, plan.gid)
    kernel.unshare(kernel.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        run_inside(plan, pipes, limits.ceilings(cgroup, plan.memory_bytes, plan.pids))
    return pid


def enter_user_namespace(uid: int, gid: int) -> None:
    """Be the plan's user inside, and nobody but ourselves outside."""
    outside = ((os.geteuid(), uid, "uid_map"), (os.getegid(), gid, "gid_map"))
    kernel.unshare(kernel.CLONE_NEWUSER)
    if not limits.write("/proc/self/setgroups", "deny"):
        raise OSError("the kernel refuses to fix the groups of a user namespace")
    for ours, theirs, name in outside:
        if not limits.write(f"/proc/self/{name}", f"{theirs} {ours} 1"):
            raise OSError("the kernel refuses to map the user of a user namespace")


def wake_on_signals() -> int:
    """A descriptor that becomes readable with each SIGTERM; those that waited are delivered now."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGCHLD))
    return reader


def exit_code(status: int) -> int:
    """A wait status as shells tell it."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
