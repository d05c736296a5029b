"""An engine whose containers cost nothing, watched as in production; its pods make their calls and do nothing else.

python -m tests.bench.memory_engine
"""

from __future__ import annotations

import sys
from typing import Any

from engines.cli import run
from engines.compose import now_ms
from engines.drivers.base import Driver, PhaseSpec
from engines.drivers.memory_driver import MemoryDriver, Script, World
from pods.body import Body
from pods.node_client import PROVISION, NodeClient
from pods.reporting import Reporter
from shared.names import Phase


def driver_of(engine: str, connection: dict[str, Any], fetch_allow: tuple[Any, ...]) -> Driver:
    """A world of its own for the process."""
    return MemoryDriver(engine, World(), script_of, now_ms)


def script_of(spec: PhaseSpec) -> Script:
    """What each container does before it ends."""
    return Script(log=b"nothing\n", act=None if spec.phase is Phase.RUN else calls)


def calls(spec: PhaseSpec) -> None:
    """The signed calls of a pod that finds nothing to do."""
    client = NodeClient.from_environment({**spec.environment, **spec.secret_environment})
    if spec.phase is Phase.PROVISION:
        client.call(PROVISION, Body.of_json({}))
    Reporter(client, spec.phase.value).done({})


if __name__ == "__main__":
    sys.exit(run("memory", driver_of, ["--engine", "local", "--watch"]))
