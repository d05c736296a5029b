"""Own the command `python -m engines.run_docker`: passes of a docker engine."""

from __future__ import annotations

import sys
from typing import Any

from engines.cli import run
from engines.drivers.base import Driver
from engines.drivers.docker_driver import DockerDriver


def driver_of(engine: str, connection: dict[str, Any], fetch_allow: tuple[Any, ...]) -> Driver:
    """Make the driver that this command's passes use."""
    return DockerDriver(engine, connection, fetch_allow)


if __name__ == "__main__":
    sys.exit(run("docker", driver_of))
