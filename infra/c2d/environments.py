"""Show where jobs can run, how much of it is free, and at what price."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from infra.c2d.failures import Failure
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_node, screen_of
from infra.c2d.terminal import span

HEADS = ("id", "description", "cpu", "ram GiB", "disk GiB", "other", "longest job", "now", "price")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line an environment; free and total of each resource."""
    screen = screen_of(arguments)
    environments = NodeClient(arguments.node).get(f"{SERVICES}/computeEnvironments")
    screen.document(environments)
    screen.table(HEADS, [row(environment) for environment in environments])
    if not environments:
        screen.say("the node has no engine that reported its environments yet: is a pass running? (c2d doctor)")
    is_sold = any(environment.get("fees") for environment in environments)
    is_free = any(environment.get("free") for environment in environments) or not is_sold
    screen.next(*["c2d submit FILE --follow"] * is_free, *["c2d quote FILE"] * is_sold)
    return 0


def row(environment: Mapping[str, Any]) -> list[str]:
    """One environment's line."""
    resources = {str(resource["id"]): resource for resource in environment.get("resources") or []}
    other = [
        f"{name} {free_of(resource)}" for name, resource in resources.items() if name not in ("cpu", "ram", "disk")
    ]
    return [
        own_id(environment)[:12],
        str(environment.get("description") or "-"),
        *(free_of(resources.get(name, {})) for name in ("cpu", "ram", "disk")),
        ", ".join(other) or "-",
        span(float(environment.get("maxJobDuration") or 0)),
        f"{environment.get('runningJobs', 0)} running, {environment.get('queuedJobs', 0)} waiting",
        price(environment),
    ]


def own_id(environment: Mapping[str, Any]) -> str:
    """The part of the id after its engine's."""
    return str(environment["id"]).partition("-")[2] or str(environment["id"])


def full_id(client: NodeClient, given: str) -> str:
    """Find the environment whose id, or whose own part of it, begins so. Raises: Failure."""
    environments = client.get(f"{SERVICES}/computeEnvironments")
    found = [str(e["id"]) for e in environments if str(e["id"]).startswith(given) or own_id(e).startswith(given)]
    if len(found) == 1:
        return found[0]
    raise Failure(f"{len(found)} environments begin with {given}", "c2d environments shows them")


def free_of(resource: Mapping[str, Any]) -> str:
    """Free and total of one resource."""
    total, used = float(resource.get("total") or 0), float(resource.get("inUse") or 0)
    return f"{total - used:g} of {total:g}"


def price(environment: Mapping[str, Any]) -> str:
    """Free, what it costs, or both."""
    chains = ", ".join(environment.get("fees") or {})
    free = "free" if environment.get("free") else ""
    return " or ".join(part for part in (free, f"paid on chain {chains}" if chains else "") if part) or "-"
