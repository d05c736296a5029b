"""Own the command `python -m engines.run_kubernetes`: passes of a Kubernetes engine."""

from __future__ import annotations

import sys
from typing import Any

from engines.cli import run
from engines.drivers.base import Driver
from engines.drivers.kubernetes_volumes import kubernetes_driver


def driver_of(engine: str, connection: dict[str, Any], fetch_allow: tuple[Any, ...]) -> Driver:
    """Make the driver that this command's passes use."""
    return kubernetes_driver(engine, connection, fetch_allow)


if __name__ == "__main__":
    sys.exit(run("kubernetes", driver_of))
