"""Own what bounds a phase of the process engine: control groups where we may have them, else ceilings and a watch.

Called by the supervisor; imports as little as it.
"""

from __future__ import annotations

import os
import resource

CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
INIT_PROCESSES = 1
"Process 1 of the sandbox is ours and counts as well."

_PAGE = os.sysconf("SC_PAGE_SIZE")
_DATA_SLACK_BYTES = 1 << 30


class Cgroup:
    """The control groups of one phase: one folder with version 2, one for each controller with version 1."""

    def __init__(self, folders: dict[str, str]) -> None:
        self.folders = folders
        "By controller; a controller that cannot be had is missing."

    def limit(self, memory_bytes: int, pids: int, cpu_cores: float) -> None:
        """Set what can be set. A controller whose limit is refused counts as missing."""
        quota = max(1000, int(cpu_cores * CPU_PERIOD_US))
        wanted = {
            "memory": (("memory.limit_in_bytes", memory_bytes), ("memory.max", memory_bytes)),
            "pids": (("pids.max", pids + INIT_PROCESSES),),
            "cpu": (("cpu.cfs_quota_us", quota), ("cpu.max", f"{quota} {CPU_PERIOD_US}")),
        }
        for controller, folder in list(self.folders.items()):
            if not any(write(f"{folder}/{name}", value) for name, value in wanted[controller]):
                del self.folders[controller]
        if "memory" in self.folders:
            write(f"{self.folders['memory']}/memory.swap.max", 0)
            write(f"{self.folders['memory']}/memory.memsw.limit_in_bytes", memory_bytes)

    def add(self, pid: int) -> None:
        """Put a process, and all it will ever start, into the groups."""
        for controller, folder in list(self.folders.items()):
            if not write(f"{folder}/cgroup.procs", pid):
                del self.folders[controller]

    def oom_kills(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        folder = self.folders.get("memory", "")
        for name in ("memory.oom_control", "memory.events"):
            for line in read(f"{folder}/{name}").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0


def find_cgroup(name: str) -> Cgroup:
    """Make a group of that name for each controller that this process may have one of."""
    found: dict[str, str] = {}
    for line in read("/proc/self/cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        for controller in [kind for kind in CONTROLLERS if kind in kinds.split(",") and kind not in found]:
            folder = make_group(f"/sys/fs/cgroup/{kinds}", (path, "/"), name, controller)
            found |= {controller: folder} if folder else {}
        if not kinds:
            found = find_unified(path, name, found)
    return Cgroup(found)


def find_unified(path: str, name: str, found: dict[str, str]) -> dict[str, str]:
    """Look for the controllers still missing below our own group of version 2, beside it, and at the top."""
    missing = [controller for controller in CONTROLLERS if controller not in found]
    for controller in missing:
        folder = make_group("/sys/fs/cgroup", (path, os.path.dirname(path), "/"), name, controller)
        if folder:
            found = found | {controller: folder}
    return found


def make_group(mount: str, places: tuple[str, ...], name: str, controller: str) -> str:
    """The first place where a group can be made that has the controller's files; empty where there is none."""
    marks = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max",)}
    marks["cpu"] = ("cpu.cfs_quota_us", "cpu.max")
    for place in places:
        folder = f"{mount}{place.rstrip('/')}/{name}"
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            continue
        if any(os.path.exists(f"{folder}/{mark}") for mark in marks[controller]):
            return folder
        remove_group(folder)
    return ""


def remove_group(folder: str) -> None:
    """Take a group away; one that is gone or still in use is left to the next who tries."""
    try:
        os.rmdir(folder)
    except OSError:
        return


def ceilings(cgroup: Cgroup, memory_bytes: int, pids: int) -> dict[int, int]:
    """Limits on each process itself, for what the groups do not bound.

    Memory: RLIMIT_DATA, well above the limit, only stops what would outrun the watch; RLIMIT_AS would refuse the
    runtimes that reserve addresses they never use.
    """
    limits = {resource.RLIMIT_CORE: 0}
    if "memory" not in cgroup.folders:
        limits[resource.RLIMIT_DATA] = 2 * memory_bytes + _DATA_SLACK_BYTES
    if "pids" not in cgroup.folders:
        limits[resource.RLIMIT_NPROC] = pids + INIT_PROCESSES
    return limits


def pin(cgroup: Cgroup, name: str, cpu_cores: float) -> None:
    """Keep this process and its children on as many cores as granted where no group rations their time."""
    cores = sorted(os.sched_getaffinity(0))
    count = max(1, round(cpu_cores + 0.49))
    if "cpu" in cgroup.folders or count >= len(cores):
        return
    first = sum(name.encode()) % len(cores)
    os.sched_setaffinity(0, {cores[(first + step) % len(cores)] for step in range(count)})


def memory_in_use(root_pid: int) -> int:
    """Bytes of a process and all its descendants, shared pages counted once a process."""
    total, waiting = 0, [root_pid]
    while waiting:
        pid = waiting.pop()
        total += resident_bytes(pid)
        waiting += [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]
    return total


def resident_bytes(pid: int) -> int:
    """A process's fair share of memory where the kernel tells, else all it sees."""
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    fields = read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def read(path: str) -> str:
    """A small file's text; empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, value: object) -> bool:
    """Whether an existing control file took the value."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, str(value).encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
