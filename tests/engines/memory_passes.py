"""What a process of passes is, on an engine in memory: `python -m tests.engines.memory_passes FOLDER MODE …`.

MODE: `good`; `down`, an engine that does not answer; `slow`, images that take for ever; `house`, a look for what was
lost that takes for ever.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from engines.cli import run
from engines.compose import now_ms
from engines.drivers.base import Driver, ImageRef
from engines.drivers.memory_driver import MemoryDriver, Script, World
from shared.names import JobId

MODE = sys.argv[1]


class Slow(MemoryDriver):
    """An engine whose images are on their way for ever."""

    def ensure_image(self, job_id: JobId, image: ImageRef, note: Any) -> str:
        """Begin, and never end."""
        note("downloading")
        print("pulling", flush=True)
        threading.Event().wait()
        return image.reference


class House(MemoryDriver):
    """An engine with more things than can be listed."""

    def list_jobs(self) -> Mapping[JobId, int]:
        """Begin, and never end."""
        threading.Event().wait()
        return {}


KINDS = {"slow": Slow, "house": House}


def driver_of(engine: str, connection: dict[str, Any], fetch_allow: tuple[Any, ...]) -> Driver:
    """An engine in memory, as the mode says."""
    world = World(is_down=MODE == "down")
    return KINDS.get(MODE, MemoryDriver)(engine, world, lambda spec: Script(exit_code=None), now_ms)


if __name__ == "__main__":
    code = run("memory", driver_of, sys.argv[2:])
    sys.stdout.flush()
    os._exit(code)
