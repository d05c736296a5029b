"""Own which handler serves which method and path, as every proxy of a deployment asks it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.web import Command

INFRA = Path(__file__).parent
HANDLERS = INFRA.parent / "handlers"
STREAMING = frozenset({"events", "logs", "result", "direct_command"})
"Whoever answers with streams is given more threads."
SIGNING = frozenset({"start_compute", "direct_command"})
"Sign a payment's lock with the node's wallet; all others are given what they need to read, and no more."
STORING = frozenset({"result", "logs", "job_provision", "job_publish_result", "readyz", "direct_command"})
"Read or write results, or try whether they could: all others have no key of the store."
ROOT = "root"
"Answers whatever nobody else serves: 404 as JSON."
PARAMETER = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True)
class Route:
    """One method and path, and the module that serves it."""

    method: str
    path: str
    module: str
    max_bytes: int
    "Of a body."

    @property
    def pattern(self) -> str:
        """The path as nginx matches it: as it is, or with its parameters as an expression."""
        return f"~^{PARAMETER.sub('[^/]+', re.sub(r'([.+?])', r'[.]', self.path))}$" if "{" in self.path else self.path


def commands() -> list[tuple[str, Command]]:
    """Every module of a core command, with what it declares."""
    names = sorted(path.stem for path in HANDLERS.glob("[!_]*.py"))
    modules = [(name, importlib.import_module(f"handlers.{name}")) for name in names]
    return [(name, module.COMMAND) for name, module in modules if isinstance(getattr(module, "COMMAND", None), Command)]


def routes(declared: Iterable[tuple[str, Command]]) -> list[Route]:
    """Every route there is."""
    found = [
        Route(command.method, path, module, command.max_bytes) for module, command in declared for path in command.paths
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def by_path(found: list[Route]) -> dict[str, str]:
    """Who answers a path whatever the method, by the path's pattern: 405, or a browser's OPTIONS."""
    return {route.pattern: route.module for route in reversed(found)}


def threads_of(module: str) -> int:
    """How many threads a handler's process is given; at most half of them stream."""
    return 300 if module in STREAMING else 8
