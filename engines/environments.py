"""Own what an engine offers: from the operator's settings and the machine to the rows that handlers read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from engines.drivers.base import Capabilities
from shared.db.connection import transaction
from shared.db.node_tables import Engine, Environment, Pool
from shared.db.tables import Job
from shared.engine_config import EngineConfig
from shared.lifecycle import UNFINISHED
from shared.placement import MILLI, to_milli

GIB = 1 << 30
NOBODY = "0x0000000000000000000000000000000000000000"
"An address that has no key: a list with it alone lets nobody in."
STANDARD = ("cpu", "ram", "disk")
STORAGE_EXPIRY_S = 7 * 86_400
JOB_S = 3_600
BILLED_S = 60


def engine_hash(name: str, type_: str) -> str:
    """The part of environment and job ids before the first `-`: it has none itself and outlives changes of price."""
    return "0x" + hashlib.sha256(f"{type_}:{name}".encode()).hexdigest()


def environment_id(engine: str, type_: str, own: str) -> str:
    """`<engine hash>-<environment hash>`, from names alone."""
    return f"{engine_hash(engine, type_)}-0x{hashlib.sha256(f'{engine}/{own}'.encode()).hexdigest()}"


def documents(config: EngineConfig, machine: Capabilities, payee: str) -> list[dict[str, Any]]:
    """The wire's ComputeEnvironments (§5.1), without live figures; nothing declared means one free one."""
    declared = config.environments or [default_environment(machine)]
    return [_document(config, index, each, machine, payee) for index, each in enumerate(declared)]


def default_access(config: EngineConfig) -> dict[str, Any]:
    """Who may use an environment that says nothing of it: everybody, but on a process engine the named ones alone."""
    if config.type != "process":
        return {"addresses": [], "accessLists": None}
    return {"addresses": list(config.connection.get("onlyFor") or [NOBODY]), "accessLists": None}


def default_environment(machine: Capabilities) -> dict[str, Any]:
    """Half of the machine, free; small minimums, so that jobs can run side by side on a small one."""
    least = {"cpu": 0.5, "ram": 0.5, "disk": 1}
    halves = {key: (max(1, int(total // 2)), most) for key, (total, most) in _shares(machine).items()}
    resources = [
        {"id": key, "total": half, "min": least[key], "max": min(half, most or half)}
        for key, (half, most) in halves.items()
    ]
    return {
        "id": "default",
        "description": "Half of this machine, free of charge.",
        "resources": resources,
        "minJobDuration": 1,
        "maxJobs": 20,
        "free": {"maxJobDuration": JOB_S, "maxJobs": 20, "resources": [dict(each) for each in resources]},
    }


def _document(
    config: EngineConfig, index: int, declared: Mapping[str, Any], machine: Capabilities, payee: str
) -> dict[str, Any]:
    own = str(declared.get("id") or index)
    free = declared.get("free")
    return {
        "description": "",
        "access": default_access(config),
        "storageExpiry": STORAGE_EXPIRY_S,
        "minJobDuration": BILLED_S,
        "maxJobDuration": JOB_S,
        "maxJobs": 10,
        "enableNetwork": False,
        **declared,
        "fees": declared.get("fees") or {},
        "id": environment_id(config.name, config.type, own),
        "consumerAddress": payee,
        "platform": {"architecture": machine.architecture, "os": machine.os},
        "resources": _resources(declared.get("resources") or [], machine),
        **({"free": _free(free)} if free is not None else {}),
    }


def _shares(machine: Capabilities) -> dict[str, tuple[float, float | None]]:
    """Of what every environment has: how much there is, and what one job can have where that is less."""
    return {
        "cpu": (machine.cpu_cores, machine.most_cpu_cores),
        "ram": (machine.memory_bytes // GIB, (machine.most_memory_bytes or 0) // GIB),
        "disk": (machine.disk_bytes // GIB, None),
    }


def _resources(declared: Sequence[Mapping[str, Any]], machine: Capabilities) -> list[dict[str, Any]]:
    """What is declared, then what every environment has: `cpu`, `ram`, `disk`."""
    shares = _shares(machine)
    by_id = {str(each["id"]): dict(each) for each in declared}
    order = [key for key in by_id if key not in shares] + list(shares)
    return [_resource(key, by_id.get(key, {}), *shares.get(key, (1, None))) for key in order]


def _resource(key: str, declared: Mapping[str, Any], has: float, most: float | None) -> dict[str, Any]:
    total = declared.get("total", declared.get("max", has))
    biggest = min(total, most or total)
    least = min(0 if key not in ("cpu", "ram") else 1, biggest)
    known = {"id": key, "type": key, "total": total, "min": least, "max": biggest, "kind": "discrete"}
    return {**known, **declared} if key not in STANDARD else {**known, **declared, "kind": "fungible"}


def _free(declared: Mapping[str, Any]) -> dict[str, Any]:
    resources = [{"total": each.get("max", 0), **each} for each in declared.get("resources") or []]
    known = {"access": {"addresses": [], "accessLists": None}, "minJobDuration": BILLED_S, "allowImageBuild": False}
    return {**known, **declared, "resources": resources}


def record(engine: str, type_: str, offered: Sequence[Mapping[str, Any]], machine: Capabilities, now_ms: int) -> None:
    """Write the engine's row, its environments and its pools; an environment gone from the settings takes no new job.

    The row of such an environment stays while jobs run there.
    """
    facts = {"version": machine.version, "notes": list(machine.notes), "disk_quota": machine.enforces_disk_quota}
    with transaction():
        known = {"type": type_, "hash": engine_hash(engine, type_), "facts": facts, "seen_at_ms": now_ms}
        Engine.insert(name=engine, **known).on_conflict(conflict_target=[Engine.name], update=known).execute()
        for position, document in enumerate(offered):
            fields = {"engine": engine, "position": position, "document": dict(document)}
            Environment.insert(environment_id=document["id"], **fields).on_conflict(
                conflict_target=[Environment.environment_id], update=fields
            ).execute()
        _withdraw(engine, [str(document["id"]) for document in offered])
        _pool(engine, offered, machine)


def _withdraw(engine: str, offered: list[str]) -> None:
    busy = Job.select(Job.environment_id).where(
        (Job.engine == engine) & Job.status.in_([status.value for status in UNFINISHED])
    )
    gone = (Environment.engine == engine) & Environment.environment_id.not_in(offered)
    Environment.delete().where(gone & Environment.environment_id.not_in(busy)).execute()


def _pool(engine: str, offered: Sequence[Mapping[str, Any]], machine: Capabilities) -> None:
    """The hardware that the environments share: the machine's own figures, and named devices counted once."""
    totals: dict[str, int] = {}
    for document in offered:
        for each in document["resources"]:
            totals[each["id"]] = max(totals.get(each["id"], 0), to_milli(each["total"]))
    totals["cpu"] = int(machine.cpu_cores * MILLI)
    totals["ram"] = machine.memory_bytes * MILLI // GIB
    Pool.delete().where(Pool.engine == engine).execute()
    Pool.insert_many(
        [{"engine": engine, "resource_id": key, "total_milli": total} for key, total in totals.items()]
    ).execute()
