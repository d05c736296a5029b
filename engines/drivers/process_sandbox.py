"""Own the inside of a phase: its root, its process 1, and the program with nothing it could do harm with.

Runs in the child that the supervisor forks into new namespaces; ends with `os._exit` always.
"""

from __future__ import annotations

import _socket  # `socket` itself takes longer to import than the sandbox to build
import fcntl
import os
import resource
import signal
import struct

from engines.drivers import process_kernel as kernel
from engines.drivers.process_plan import Plan
from engines.drivers.process_seccomp import instructions

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = (("/proc/self/fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr"))
SIGNALS = (signal.SIGTERM, signal.SIGCHLD)
IGNORED_PERHAPS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"By Python, or by whatever the node was started from; a program must not inherit that."
CANNOT_START = 127

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class Pipes:
    """What connects a phase with its supervisor, by descriptor."""

    def __init__(self, *, orders: int, reports: int, started: int, log: int) -> None:
        self.orders = orders
        "Read: a byte to enter (the limits are set), a byte to go (the state is written). Its end: the supervisor died."
        self.reports = reports
        "Written by process 1: `ready`, what stopped it, or `exit N`."
        self.started = started
        "Written by the program's process when it cannot execute; closed by the kernel when it does."
        self.log = log


def run_inside(plan: Plan, pipes: Pipes, limits: dict[int, int]) -> None:
    """Be process 1: enter the sandbox, start the program, reap all, report how the program ended. Never returns."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        keep_only(pipes)
        await_order(pipes.orders)
        enter(plan)
        program = os.fork()
        if program == 0:
            run_program(plan, pipes, limits)
        os.close(pipes.started)
        os.close(pipes.log)
        os.write(pipes.reports, b"ready\n")
        os.write(pipes.reports, f"exit {reap_until_ended(program)}\n".encode())
        os._exit(0)
    except OSError as error:
        os.write(pipes.reports, f"failed {error.strerror or error}\n".encode())
    finally:
        os._exit(1)


def keep_only(pipes: Pipes) -> None:
    """Close every descriptor but the pipes (and 0, 1, 2, which lead nowhere)."""
    kept = {0, 1, 2, pipes.orders, pipes.reports, pipes.started, pipes.log}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # the listing's own


def await_order(orders: int) -> None:
    """Wait for the supervisor's next byte; end where it is gone."""
    if not os.read(orders, 1):
        os._exit(1)


def enter(plan: Plan) -> None:
    """Build the root and give up every right that is not granted."""
    namespaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    kernel.unshare(namespaces | (kernel.CLONE_NEWNET if plan.own_network else 0))
    kernel.set_hostname("c2d")
    if plan.own_network:
        raise_loopback()
    build_root(plan)
    kernel.bound_capabilities(plan.capabilities)
    if os.geteuid() != plan.uid:
        os.setgroups([])
        os.setresgid(plan.gid, plan.gid, plan.gid)
        os.setresuid(plan.uid, plan.uid, plan.uid)
    kernel.drop_capabilities(plan.capabilities)
    kernel.be_opaque()
    kernel.die_with_parent(signal.SIGKILL)  # the change of user has made the kernel forget it


def build_root(plan: Plan) -> None:
    """Make a new root that shows what is listed and nothing else."""
    os.umask(0o022)
    root = os.path.join(plan.folder, "root")
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=4m")
    for source, place, is_writable in plan.binds:
        show(source, root + place, is_writable) if source else hide(root + place)
    for target, place in plan.links:
        make_link(target, root + place)
    make_devices(root + "/dev")
    os.makedirs(root + "/proc", 0o755, exist_ok=True)
    # Before the old root goes: in a user namespace /proc may be mounted only where another one is in sight.
    kernel.mount("proc", root + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    os.chdir(root)
    kernel.pivot_here()
    kernel.mount(
        "", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    )
    os.chdir("/")


def show(source: str, target: str, is_writable: bool) -> None:
    """Bind a file or a folder; set-user-id bits and device files mean nothing there."""
    make_place(target, os.path.isdir(source))
    kernel.bind(source, target)
    attributes = kernel.ATTR_NOSUID | kernel.ATTR_NODEV
    kernel.restrict_mount(target, attributes if is_writable else attributes | kernel.ATTR_RDONLY)


def make_place(target: str, is_folder: bool) -> None:
    """Have something of the right kind to mount on; below a read-only bind it is there already."""
    if os.path.exists(target):
        return
    os.makedirs(target if is_folder else os.path.dirname(target), 0o755, exist_ok=True)
    if not is_folder:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def make_link(target: str, place: str) -> None:
    """Have a symbolic link."""
    os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
    os.symlink(target, place)


def hide(target: str) -> None:
    """Cover a folder with an empty one where it is in sight at all."""
    if os.path.isdir(target):
        kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=64k")


def make_devices(folder: str) -> None:
    """Offer the few devices that programs take for granted."""
    os.makedirs(folder + "/shm", 0o755)
    for name in DEVICES:
        make_place(f"{folder}/{name}", is_folder=False)
        kernel.bind(f"/dev/{name}", f"{folder}/{name}")
    for target, name in DEVICE_LINKS:
        os.symlink(target, f"{folder}/{name}")
    kernel.mount("tmpfs", folder + "/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777,size=64m")


def raise_loopback() -> None:
    """Bring up 127.0.0.1, the only network there is."""
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    answer = fcntl.ioctl(control.fileno(), _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
    flags = struct.unpack("16sh22x", answer)[1] | _IFF_UP
    fcntl.ioctl(control.fileno(), _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))
    control.close()


def reap_until_ended(program: int) -> int:
    """Reap every orphan until the program has ended; pass the wish to stop on. Returns its wait status."""
    while True:
        if signal.sigwait(SIGNALS) == signal.SIGTERM:
            os.kill(program, signal.SIGTERM)  # to it alone, as engines of containers do
            continue
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == program:
                return status
            if pid == 0:
                break


def run_program(plan: Plan, pipes: Pipes, limits: dict[int, int]) -> None:
    """Become the program as soon as the supervisor says so. Never returns."""
    try:
        os.setsid()
        prepare(pipes, limits)
        kernel.pass_on_capabilities(plan.capabilities)
        await_order(pipes.orders)
        os.execvpe(plan.command[0], plan.command, plan.environment)
    except FileNotFoundError:
        os.write(pipes.started, f"{plan.command[0]}: there is no such program on this machine".encode())
    except (OSError, ValueError) as error:
        os.write(pipes.started, f"{plan.command[0]}: {getattr(error, 'strerror', None) or error}".encode())
    finally:
        os._exit(CANNOT_START)


def prepare(pipes: Pipes, limits: dict[int, int]) -> None:
    """Give the program plain descriptors, signals, a mask, its limits, and fewer system calls."""
    nothing = os.open("/dev/null", os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (pipes.log, 1), (pipes.log, 2)):
        os.dup2(descriptor, place, inheritable=True)
    os.umask(0o022)
    for kind, value in limits.items():
        hardest = resource.getrlimit(kind)[1]
        allowed = value if hardest == resource.RLIM_INFINITY else min(value, hardest)
        resource.setrlimit(kind, (allowed, allowed))
    for number in (*IGNORED_PERHAPS, *SIGNALS):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    calls = instructions()
    if calls:
        kernel.filter_calls(calls)
