"""Own what a pass works with: one engine's driver, storage, keys and clock, put together at the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engines.drivers.base import Driver
from engines.offering import Offering
from engines.phases import Pods
from shared.secrets import SecretBox
from shared.storage.base import Storage

LEASE_MS = 30_000
"How long a pass holds a job without renewing; a dead pass's jobs are taken over after it."


@dataclass
class DaemonCheck:
    """When the daemon behind the driver was last found to be the recorded one (monotonic seconds)."""

    at_s: float = float("-inf")

    def forget(self) -> None:
        """Make the next pass look again."""
        self.at_s = float("-inf")


@dataclass(frozen=True)
class Context:
    """One engine, as its passes see it."""

    name: str
    driver: Driver
    storage: Storage
    box: SecretBox
    pods: Pods
    now_ms: Callable[[], int]
    lease_ms: int = LEASE_MS
    mark: str = ""
    "What the driver labels its things with, where that is not the name alone."
    offering: Offering | None = None
    "Null where somebody else writes what there is to have."
    daemon_check: DaemonCheck = field(default_factory=DaemonCheck)
