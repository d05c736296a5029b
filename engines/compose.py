"""Own the composition root of passes: from settings to the context of one engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from engines.context import Context
from engines.drivers.base import Driver
from engines.offering import Offering
from engines.phases import Pods
from shared import logs
from shared.addresses import address_of, public_key_of
from shared.db import nodes
from shared.db.connection import check_migrated, open_database, session
from shared.engine_config import EngineConfig
from shared.errors import SettingsError, Unavailable
from shared.secrets import NodeKeys
from shared.settings import EngineSettings, NodeSettings
from shared.storage import open_storage

POD_IMAGE = "c2d/pod:latest"
"What `infra/images/build` makes; an engine's `podImage` replaces it."

DriverOf = Callable[[str, dict[str, Any], tuple[Any, ...]], Driver]
"From the name that marks an engine's things, its connection and the private networks it may reach, to its driver."


def now_ms() -> int:
    """The wall clock: Unix milliseconds."""
    return time.time_ns() // 1_000_000


def compose(name: str, kind: str, driver_of: DriverOf) -> Context:
    """Make an engine's context and write what it offers. Raises: SettingsError, Unavailable."""
    logs.configure()
    settings = EngineSettings.from_environment()
    config = settings.engine(name)
    if config.type != kind:
        raise SettingsError(
            f"C2D_ENGINES: engine {name} is of type {config.type}. Example: python -m engines.run_{config.type}"
        )
    if settings.private_key is None:
        raise SettingsError("C2D_PRIVATE_KEY is not set: an engine needs the node's key. Example: C2D_PRIVATE_KEY=0x…")
    open_database(settings.database_url, connections=settings.database_connections)
    check_migrated()
    address = address_of(settings.private_key)
    with session():
        nodes.record_node(address, public_key_of(settings.private_key))
    allowed = tuple(ip_network(each) for each in settings.fetch_allow)
    driver = driver_of(mark(name, address), connection_of(config, settings), allowed)
    offering = Offering(config, address, driver, now_ms)
    context = Context(
        name=name,
        driver=driver,
        storage=open_storage(settings.storage_url),
        box=NodeKeys.from_private_key(settings.private_key).box,
        pods=Pods(str(config.connection.get("podImage", POD_IMAGE)), _pod_api_url(settings, driver), address),
        now_ms=now_ms,
        mark=mark(name, address),
        offering=offering,
    )
    offering.write()
    return context


def mark(engine: str, address: str) -> str:
    """What an engine's things outside are labelled with: two nodes on one daemon never touch each other's."""
    return f"{engine}.{address[2:14].lower()}"


def connection_of(config: EngineConfig, settings: NodeSettings) -> dict[str, Any]:
    """What the operator wrote, with what else an engine has to know of the node and of its environments."""
    own = [each.get("kubernetes") or {} for each in config.environments]
    return {
        "directory": str(settings.data_dir / "process" / config.name),
        "podApiUrl": settings.pod_api_url,
        "namespaces": [str(each["namespace"]) for each in own if each.get("namespace")],
        "volumes": [str(each["volume"]) for each in own if each.get("volume")],
        **config.connection,
    }


def _pod_api_url(settings: EngineSettings, driver: Driver) -> str:
    """Where pods find the node. Raises: SettingsError where nobody says."""
    if settings.pod_api_url:
        return settings.pod_api_url
    raise SettingsError(
        "C2D_POD_API_URL is not set: pods must know where to call the node. Example: C2D_POD_API_URL=http://172.17.0.1:8001"
    )


def slept(seconds: float) -> bool:
    """Wait; that was not the end."""
    time.sleep(seconds)
    return False


def wait_for_engine(
    name: str, kind: str, driver_of: DriverOf, *, is_patient: bool, has_ended: Callable[[float], bool] = slept
) -> Context | None:
    """Compose, again and again while the engine or the database is out of reach, if asked to be patient.

    `has_ended` waits for so many seconds and tells whether that was the end: null is given then.
    """
    while True:
        try:
            return compose(name, kind, driver_of)
        except Unavailable as error:
            if not is_patient:
                raise
            logs.logger("c2d.engine").warning("not yet", fields={"engine": name, "cause": error.for_operators})
            if has_ended(2):
                return None
