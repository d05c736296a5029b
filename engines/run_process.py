"""Own the command `python -m engines.run_process`: passes of a process engine."""

from __future__ import annotations

import sys
from typing import Any

from engines.cli import run
from engines.drivers.base import Driver
from engines.drivers.process_driver import ProcessDriver


def driver_of(engine: str, connection: dict[str, Any], fetch_allow: tuple[Any, ...]) -> Driver:
    """Make the driver that this command's passes use."""
    return ProcessDriver(engine, connection)


if __name__ == "__main__":
    sys.exit(run("process", driver_of))
