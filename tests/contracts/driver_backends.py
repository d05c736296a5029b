"""The engines that the driver contract runs on, and the few words its tests use."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engines.drivers.base import Driver, PhaseSpec
from engines.drivers.docker_driver import DockerDriver
from engines.drivers.kubernetes_connect import connect
from engines.drivers.kubernetes_driver import KubernetesDriver
from engines.drivers.kubernetes_volumes import kubernetes_driver
from engines.drivers.memory_driver import MemoryDriver, Script, World
from engines.drivers.process_driver import ProcessDriver
from engines.observation import ContainerSeen
from shared.names import JobId, Phase, new_job_id
from tests.needs import busybox_image
from tests.services import kubernetes
from tests.services.kubernetes_account import least_rights
from tests.starting import start, start_again

PATIENCE_S = 150  # a cluster on a busy machine is slow
T = TypeVar("T")


@dataclass
class Backend:
    """One kind of engine under test."""

    open: Callable[[str], Driver]
    "Gives a driver for an engine of that name."
    image: str
    "Has `sh` and the usual small programs."
    missing_image: str | None
    "Null where the engine has no images."
    unreachable: Driver | None
    "A driver whose engine does not answer; null where there is nothing to be out of reach."
    bounds_processes: bool = True
    "Whether the engine itself bounds their number; a cluster's nodes do."
    network_shown: Callable[[JobId], object] | None = None
    "What an algorithm may reach by the cluster's policies, where they are what keeps it in; null: look inside."
    ends_unheard_at: int = 143
    "The exit code of a program without a handler that is asked to end; where it is process 1 it does not hear."
    keeps_inputs: bool = True
    "Whether a configuration pod that is made anew finds what the one before it left."
    engine: str = ""

    def __post_init__(self) -> None:
        self.engine = f"test-{new_job_id()[:12]}"
        self.driver = self.open(self.engine)
        self.jobs: list[JobId] = []

    def job(self) -> JobId:
        """A fresh job with a volume."""
        job_id = new_job_id()
        self.jobs.append(job_id)
        self.driver.ensure_volume(job_id, 1 << 30)
        return job_id

    def spec(self, job_id: JobId, script: str, phase: Phase = Phase.RUN, **changes: Any) -> PhaseSpec:
        """A phase that runs a shell script."""
        fields: dict[str, Any] = {"command": ("sh", "-c", script), "environment": {}, "image": self.image} | changes
        return PhaseSpec(job_id=job_id, engine=self.engine, phase=phase, **fields)

    def start(self, spec: PhaseSpec) -> None:
        """Have the phase started."""
        start(self.driver, spec)

    def start_again(self, spec: PhaseSpec) -> None:
        """Have a lost pod started anew."""
        start_again(self.driver, spec)

    def run(self, job_id: JobId, script: str, phase: Phase = Phase.RUN, **changes: Any) -> ContainerSeen:
        """Start a phase and wait for its end."""
        self.start(self.spec(job_id, script, phase, **changes))
        return self.ended(job_id, phase)

    def ended(self, job_id: JobId, phase: Phase = Phase.RUN) -> ContainerSeen:
        """The phase's container, when it has ended."""
        return until(lambda: self.driver.observe(job_id).exited(phase))

    def log(self, job_id: JobId, phase: Phase = Phase.RUN, offset: int = 0) -> bytes:
        """The log so far."""
        return b"".join(self.driver.read_log(job_id, phase, offset))

    def says(self, job_id: JobId, text: bytes, phase: Phase = Phase.RUN) -> None:
        """Wait until the log has the text."""
        until(lambda: text in self.log(job_id, phase))

    def clean(self) -> None:
        """Remove all that was made."""
        for job_id in self.jobs:
            self.driver.remove(job_id)


def until(look: Callable[[], T | None]) -> T:
    """Look again and again until there is something to see: engines differ in what they tell by themselves."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing to be seen after {PATIENCE_S} s")


@contextmanager
def docker_backend(folder: Path) -> Iterator[Backend]:
    """The Docker Engine of this machine."""
    backend = Backend(
        open=lambda engine: DockerDriver(engine, {}),
        image=busybox_image(),
        missing_image="127.0.0.1:9/nobody/nothing:1",
        unreachable=DockerDriver("unreachable", {"socket": str(folder / "no.sock")}),
    )
    yield backend
    backend.clean()


@contextmanager
def kubernetes_backend(folder: Path) -> Iterator[Backend]:
    """The cluster of this machine, in a namespace of its own, with the rights that are shipped and no others."""
    with kubernetes.namespace() as namespace, least_rights(namespace, folder) as account:
        connection = {"namespace": namespace, "storageClass": kubernetes.CLASS, "podImage": kubernetes.POD_IMAGE}
        connection |= {"kubeconfig": account}
        backend = Backend(
            open=lambda engine: KubernetesDriver(engine, connection),
            image=busybox_image(),
            missing_image="127.0.0.1:9/nobody/nothing:1",
            unreachable=KubernetesDriver("unreachable", {"kubeconfig": str(kubernetes.nowhere(folder / "nowhere"))}),
            bounds_processes=False,
            network_shown=lambda job_id: kubernetes.egress_of(connect({}), namespace, job_id),
        )
        yield backend
        backend.clean()


@dataclass
class OnePod(Backend):
    """A cluster whose jobs are one pod, made whole with the first phase: what a phase runs it learns when it starts."""

    def spec(self, job_id: JobId, script: str, phase: Phase = Phase.RUN, **changes: Any) -> PhaseSpec:
        """A phase that runs a shell script, and the others that may follow."""
        told = {"secret_environment": {"SCRIPT": script} | changes.pop("secret_environment", {})}
        late = {"command": ("sh", "-c", 'eval "$SCRIPT"'), "cpu_cores": 0.1} | told  # a pod has it until it is removed
        others = [super(OnePod, self).spec(job_id, "", each, **late) for each in Phase if each is not phase]
        return super().spec(job_id, script, phase, **{**late, **changes, "others": tuple(others)})


@contextmanager
def one_pod_backend(folder: Path) -> Iterator[Backend]:
    """The cluster of this machine, whose jobs keep their volume in their pod; again with the shipped rights alone."""
    with kubernetes.namespace() as namespace, least_rights(namespace, folder) as account:
        connection = {"namespace": namespace, "volume": "emptyDir", "podImage": kubernetes.POD_IMAGE}
        connection |= {"kubeconfig": account}
        nowhere = {**connection, "kubeconfig": str(kubernetes.nowhere(folder / "nowhere"))}
        backend = OnePod(
            open=lambda engine: kubernetes_driver(engine, connection),
            image=busybox_image(),
            missing_image="127.0.0.1:9/nobody/nothing:1",
            unreachable=kubernetes_driver("unreachable", nowhere),
            bounds_processes=False,
            network_shown=lambda job_id: kubernetes.egress_of(connect({}), namespace, job_id),
            ends_unheard_at=137,
            keeps_inputs=False,
        )
        yield backend
        backend.clean()


@contextmanager
def process_backend(folder: Path) -> Iterator[Backend]:
    """The host's own programs in private namespaces."""
    (folder / "file").touch()
    backend = Backend(
        open=lambda engine: ProcessDriver(engine, {"directory": str(folder / "data" / "process")}),
        image="none",
        missing_image=None,
        unreachable=ProcessDriver("unreachable", {"directory": str(folder / "file" / "process")}),
    )
    yield backend
    backend.clean()


SAID = {"one": b"one\ntwo\nthree", "up": b"up\n", "ready": b"ready\n"}
"What the contract's scripts print, by the first word they say."


@contextmanager
def memory_backend(folder: Path) -> Iterator[Backend]:
    """A world in memory, whose containers do as the contract's scripts would."""
    world = World()

    def opened(engine: str, world: World = world) -> MemoryDriver:
        return MemoryDriver(engine, world, memory_script, lambda: time.time_ns() // 1_000_000)

    backend = Backend(
        open=opened,
        image="any:1",
        missing_image="missing:1",
        unreachable=opened("unreachable", World(is_down=True)),
    )
    yield backend
    backend.clean()


def memory_script(spec: PhaseSpec) -> Script:
    """A shell script of the contract, as far as memory can follow it."""
    command = spec.command or ()
    if command[0] != "sh":
        return Script(start_error=f"The command cannot be started: {command[0]}: not found")
    said = re.match(r"echo (\w+)", command[2])
    exits = re.search(r"exit (\d+)", command[2])
    sleeps = re.search(r"sleep \d\d", command[2])
    exit_code = None if sleeps else int(exits[1]) if exits else 0
    return Script(exit_code=exit_code, log=SAID[said[1]] if said else b"")


BACKENDS = {
    "docker": docker_backend,
    "kubernetes": kubernetes_backend,
    "kubernetes_one_pod": one_pod_backend,
    "process": process_backend,
    "memory": memory_backend,
}
