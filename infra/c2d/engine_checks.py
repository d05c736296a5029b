"""Own the checks of `c2d doctor` that are about an engine: reached, its images, its limits, and the pods' way home."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engines.compose import POD_IMAGE
from engines.drivers.base import Capabilities
from engines.drivers.process_driver import ProcessDriver
from infra.c2d.checks import Check
from infra.c2d.docker_here import docker_capabilities, docker_time, find_image
from infra.c2d.failures import Failure
from infra.c2d.kubernetes_checks import kubernetes_checks
from infra.c2d.reach import from_container, reach_node
from shared.db import engines
from shared.db.connection import session
from shared.engine_config import EngineConfig
from shared.errors import C2DError, Unavailable
from shared.settings import NodeSettings

CLOCK_TOLERANCE_S = 5.0
FORBIDDEN = ("169.254.169.254:80", "10.0.0.1:80", "192.168.0.1:80", "172.16.0.1:80")
"Addresses an algorithm with network must not reach: cloud metadata and private ranges."


def examine(engine: EngineConfig, settings: NodeSettings, *, is_probed: bool = False) -> list[Check]:
    """Everything about one engine; `is_probed`: pods of a cluster may be made for it."""
    return [*work(engine), *machine(engine, settings, is_probed)]


def work(engine: EngineConfig) -> list[Check]:
    """Whether its passes take work; nothing to say where there is no database to ask."""
    try:
        with session():
            reason = engines.why_idle(engine.name)
    except Unavailable:
        return []
    return (
        [Check(f"engine {engine.name}: work", "warn", f"takes none: {reason}", "see its pass's log")] if reason else []
    )


def machine(engine: EngineConfig, settings: NodeSettings, is_probed: bool) -> list[Check]:
    """What the engine runs on."""
    if engine.type == "docker":
        return docker_checks(engine, settings)
    if engine.type == "kubernetes":
        return kubernetes_checks(engine, settings, is_probed=is_probed)
    if engine.type == "process":
        return process_checks(engine, settings)
    return [Check(f"engine {engine.name}", "warn", f"of type {engine.type}: nothing is checked", "")]


def docker_checks(engine: EngineConfig, settings: NodeSettings) -> list[Check]:
    """Everything about a Docker Engine; nothing more once it cannot be reached."""
    name, connection = f"engine {engine.name}", dict(engine.connection)
    try:
        has = docker_capabilities(engine.name, connection)
    except Failure as failure:
        return [Check(name, "fail", failure.sentence, failure.hint)]
    wanted = str(connection.get("podImage") or POD_IMAGE.partition(":")[0])
    image = find_image(connection, wanted)
    found = [
        Check(name, "ok", f"Docker {has.version}, {has.cpu_cores:g} cores, {has.memory_bytes / 2**30:.1f} GiB"),
        quota(name, has),
        clock(name, connection),
    ]
    if image is None:
        return [*found, Check(f"{name}: pods' image", "fail", f"{wanted} is not there", "infra/images/build")]
    found += [Check(f"{name}: pods' image", "ok", image), pods_way_home(name, connection, image, has, settings)]
    return found + [network(name, connection, image, each) for each in engine.environments if each.get("enableNetwork")]


def quota(name: str, has: Capabilities) -> Check:
    """Who stops a job that fills the disk."""
    if has.enforces_disk_quota:
        return Check(f"{name}: disk limit", "ok", "enforced by the kernel")
    advice = "good enough; overlay2 on xfs with project quotas makes it exact"
    return Check(f"{name}: disk limit", "warn", "watched from outside, the job stopped when it is over", advice)


def clock(name: str, connection: Mapping[str, Any]) -> Check:
    """Whether the engine's machine and ours agree about the time."""
    told = datetime.fromisoformat(docker_time(connection)[:26].rstrip("Z") + "+00:00").timestamp()
    apart = abs(told - time.time())
    if apart > CLOCK_TOLERANCE_S:
        return Check(f"{name}: clock", "fail", f"{apart:.0f} s from ours", "let both machines keep time (NTP)")
    return Check(f"{name}: clock", "ok", f"{apart:.1f} s from ours")


def pods_way_home(
    name: str, connection: Mapping[str, Any], image: str, has: Capabilities, settings: NodeSettings
) -> Check:
    """Whether a container of the pods' network reaches the node."""
    what = f"{name}: pods' network"
    if settings.pod_api_url is None and has.pod_gateway is None:
        return Check(what, "fail", "nothing says how pods reach this node", "set C2D_POD_API_URL")
    try:
        target = reach_node(connection, image, settings.pod_api_url, has.pod_gateway or "")
    except Failure as failure:
        return Check(what, "fail", failure.sentence, failure.hint)
    return Check(what, "ok", f"a container reached {target}")


def network(name: str, connection: Mapping[str, Any], image: str, environment: Mapping[str, Any]) -> Check:
    """Whether the network that algorithms are granted keeps them from private addresses."""
    named = environment.get("network")
    what = f"{name}: network {named or '(none)'}"
    if not named:
        return Check(what, "warn", "enableNetwork without `network`: jobs get none", "name a network for algorithms")
    reached = [target for target in FORBIDDEN if from_container(connection, image, str(named), target)]
    if reached:
        return Check(what, "fail", f"algorithms could reach {', '.join(reached)}", "block private ranges on it")
    return Check(what, "ok", "no private address was reached from it")


def process_checks(engine: EngineConfig, settings: NodeSettings) -> list[Check]:
    """What private namespaces can do here."""
    name = f"engine {engine.name}"
    connection = {"directory": str(settings.data_dir / "process" / engine.name), **engine.connection}
    try:
        has = ProcessDriver(engine.name, connection).capabilities()
    except C2DError as error:
        return [Check(name, "fail", error.detail, "use Docker")]
    found = f"processes of this machine, {has.cpu_cores:g} cores, {has.memory_bytes / 2**30:.1f} GiB"
    return [Check(name, "ok", found), *(Check(name, "warn", note, "use Docker for others' code") for note in has.notes)]
