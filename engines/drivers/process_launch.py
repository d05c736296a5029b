"""Own the way from a phase's spec to its supervisor: what the engine refuses, what it decides, how it sends one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engines.drivers import process_limits as limits
from engines.drivers import process_root as root
from engines.drivers import process_tree as tree
from engines.drivers.base import MASKED, GpuRequest, PhaseSpec
from engines.drivers.manifests import POD_NETWORK, WRITABLE_HOME
from engines.drivers.process_phase import await_idle
from engines.drivers.process_plan import Plan
from shared.errors import JobError, Unavailable
from shared.names import JobId, Phase, container_name, new_token

USER = (1000, 1000)
"Who programs are where the spec names nobody. Asked for root they are this one, too: nothing runs as root."
ANSWER_TIMEOUT_S = 60
CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3}
"Those that may be added back, by number: all that our pods need to read what an algorithm kept to itself."
SWITCHES = {
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    "kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
    "user/max_user_namespaces": ("0", "user.max_user_namespaces=10000"),
}
"The value that forbids, and what to set instead."
START = "from engines.drivers.process_supervisor import main; main()"
"Not `-m`, whose machinery costs more than all the supervisor does."


def check(spec: PhaseSpec) -> None:
    """Refuse what this engine cannot give. Raises: JobError with a sentence for the owner."""
    if not spec.command:
        raise JobError(
            "the process engine has no images, hence no entrypoint of theirs: give the algorithm an entrypoint"
        )
    if spec.network not in (None, POD_NETWORK):
        raise JobError(f"the process engine has no network {spec.network}")
    if spec.gpu != GpuRequest():
        raise JobError("the process engine cannot hand out devices")
    unknown = set(spec.capabilities) - set(CAPABILITIES)
    if unknown:
        raise JobError(f"the process engine grants no {', '.join(sorted(unknown))}")
    texts = [*spec.command, *environment(spec), *environment(spec).values()]
    if any("\0" in text for text in texts):
        raise JobError("the command or its environment contains a zero byte")
    user(spec)


def user(spec: PhaseSpec) -> tuple[int, int]:
    """The numbers of the user inside. Raises: JobError for a name."""
    if spec.user is None:
        return USER
    uid, _, gid = spec.user.partition(":")
    if not (uid.isdecimal() and (gid or uid).isdecimal()):
        raise JobError(f"the process engine needs a numeric user, not {spec.user}")
    return (int(uid), int(gid or uid)) if int(uid) and int(gid or uid) else USER


def environment(spec: PhaseSpec) -> dict[str, str]:
    """The program's environment: nothing of the node's, what the spec says, and what any program expects."""
    found = {"PATH": root.PATH, "HOME": "/tmp", "LANG": "C.UTF-8"}
    if is_pod(spec):
        found["PYTHONPATH"] = root.OURS
    if spec.home_defaults:
        found |= WRITABLE_HOME
    return found | dict(spec.environment) | dict(spec.secret_environment)


def is_pod(spec: PhaseSpec) -> bool:
    """Whether the phase is one of ours, which needs our packages."""
    return spec.phase is not Phase.RUN


def manifest(spec: PhaseSpec) -> dict[str, Any]:
    """The phase as a document."""
    uid, gid = user(spec)
    return {
        "kind": "ProcessPhase",
        "name": container_name(spec.job_id, spec.phase),
        "image": f"{spec.image} (a label only)",
        "command": list(spec.command or ()),
        "environment": dict(sorted((environment(spec) | dict.fromkeys(spec.secret_environment, MASKED)).items())),
        "user": f"{uid}:{gid}",
        "network": "host" if spec.network == POD_NETWORK else "none",
        "capabilities": list(spec.capabilities),
        "noNewPrivileges": True,
        "limits": {
            "cpuCores": spec.cpu_cores,
            "memoryBytes": spec.memory_bytes,
            "pids": spec.pids,
            "diskBytes": spec.disk_bytes,
            "maxSeconds": spec.max_seconds,
        },
    }


def send_supervisor(spec: PhaseSpec, folder: Path, events: Path, data_dir: Path, show: Iterable[str]) -> None:
    """Start a supervisor for the phase and hear how it went. Raises: Unavailable when it says nothing."""
    answer = send(plan_of(spec, folder, events, data_dir, show))
    if not answer:
        trouble = (folder / "trouble").read_text(errors="replace").strip().splitlines()
        raise Unavailable(f"the phase's supervisor ended without a word: {trouble[-1] if trouble else 'killed'}")


def plan_of(spec: PhaseSpec, folder: Path, events: Path, data_dir: Path, show: Iterable[str]) -> Plan:
    """Decide everything, and make the folders that are mounted."""
    uid, gid = user(spec)
    scratch, volume = folder / "tmp", folder.parent / "volume"
    for made in (scratch, folder / "root"):
        made.mkdir(mode=0o755, exist_ok=True)
    give_away(scratch, uid, gid)
    return Plan(
        name=container_name(spec.job_id, spec.phase),
        folder=str(folder),
        events=str(events),
        event=spec.job_id,
        command=spec.command or (),
        environment=environment(spec),
        binds=root.binds(volume, scratch, data_dir, show, is_pod=is_pod(spec)),
        links=root.links(),
        uid=uid,
        gid=gid,
        capabilities=[CAPABILITIES[name] for name in spec.capabilities],
        own_network=spec.network is None,
        cpu_cores=spec.cpu_cores,
        memory_bytes=spec.memory_bytes,
        pids=spec.pids,
        max_seconds=spec.max_seconds,
    )


def give_away(folder: Path, uid: int = USER[0], gid: int = USER[1]) -> None:
    """Let the phase's user own a folder, where we may give things away; else we are that user outside."""
    if os.geteuid() == 0 and folder.stat().st_uid != uid:
        os.chown(folder, uid, gid)


def send(plan: Plan) -> str:
    """Start a supervisor in a session of its own, hand it the plan, and return its answer."""
    with open(os.path.join(plan.folder, "trouble"), "wb") as trouble:
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-s", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=trouble,
            cwd=root.PACKAGES,
            env={"PATH": root.PATH},
            start_new_session=True,
        )
    try:
        return process.communicate(plan.dump(), timeout=ANSWER_TIMEOUT_S)[0].decode().strip()
    except subprocess.TimeoutExpired as error:
        raise Unavailable("the phase's supervisor does not answer") from error


def hints() -> list[str]:
    """Settings of this machine that forbid private namespaces to ordinary users."""
    return [
        f"{name.replace('/', '.')} is {bad}: it forbids private namespaces to ordinary users; sysctl -w {good}"
        for name, (bad, good) in SWITCHES.items()
        if limits.read(f"/proc/sys/{name}").strip() == bad
    ]


def trial(place: Path, events: Path, data_dir: Path) -> str:
    """Run a program that does nothing; why that cannot be, or nothing when it can."""
    phase = place / Phase.RUN
    for made in (place, phase, place / "volume"):
        made.mkdir(mode=0o700, exist_ok=True)
    spec = PhaseSpec(JobId(new_token()), "", Phase.RUN, "", ("true",), {}, max_seconds=10)
    try:
        answer = send(plan_of(spec, phase, events, data_dir, ()))
        await_idle(phase)
    finally:
        tree.delete(str(place))
        (events / spec.job_id).unlink(missing_ok=True)
    return "" if answer in ("started", "already") else answer.removeprefix("failed ") or "the supervisor was killed"
