"""Own what a supervisor is told of a phase: everything decided, nothing left to look up. It travels by pipe alone."""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence


class Plan:
    """One phase, ready to run. A plain class: the supervisor cannot afford what `dataclasses` imports."""

    def __init__(
        self,
        *,
        name: str,
        folder: str,
        events: str,
        event: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        binds: Sequence[tuple[str, str, bool]],
        links: Sequence[tuple[str, str]],
        uid: int,
        gid: int,
        capabilities: Sequence[int],
        own_network: bool,
        cpu_cores: float,
        memory_bytes: int,
        pids: int,
        max_seconds: int | None,
    ) -> None:
        self.name = name
        "Of the phase, for its cgroup; unique on the machine."
        self.folder = folder
        self.events = events
        self.event = event
        "A file of this name, touched in that folder, wakes those who watch."
        self.command = tuple(command)
        self.environment = dict(environment)
        self.binds = tuple(binds)
        "(source, place inside, may be written), outermost first; no source: an empty folder covers the place."
        self.links = tuple(links)
        "(target, place inside)."
        self.uid = uid
        self.gid = gid
        self.capabilities = tuple(capabilities)
        self.own_network = own_network
        self.cpu_cores = cpu_cores
        self.memory_bytes = memory_bytes
        self.pids = pids
        self.max_seconds = max_seconds

    def dump(self) -> bytes:
        """As bytes for `load`, in the same interpreter's other process."""
        return marshal.dumps(self.__dict__)

    @classmethod
    def load(cls, data: bytes) -> Plan:
        """The plan that was dumped. Raises: EOFError, ValueError when it was cut short."""
        return cls(**marshal.loads(data))
