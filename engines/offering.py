"""Own keeping what an engine offers true to its machines, which may come and go while passes go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines import environments
from engines.drivers.base import Capabilities, Driver
from shared.engine_config import EngineConfig


@dataclass
class Offering:
    """One engine's settings, and the machine that was last written of."""

    config: EngineConfig
    payee: str
    driver: Driver
    now_ms: Callable[[], int]
    _written: Capabilities | None = None

    def write(self) -> bool:
        """Write the engine's row, environments and pools; false where its machine is what it was. Raises: Unavailable.

        So a pass with earlier settings does not write those again and again beside one with newer.
        """
        machine = self.driver.capabilities()
        if machine == self._written:
            return False
        offered = environments.documents(self.config, machine, self.payee)
        environments.record(self.config.name, self.config.type, offered, machine, self.now_ms())
        self._written = machine
        return True
