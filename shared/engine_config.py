"""Own how engines are configured: C2D_ENGINES, ocean-node's DOCKER_COMPUTE_ENVIRONMENTS, or what this machine has."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared import schemas
from shared.errors import InvalidRequest, SettingsError

DOCKER_SOCKET = "/var/run/docker.sock"
EXAMPLE = 'C2D_ENGINES=[{"name": "local", "type": "docker", "environments": [{"id": "main", "maxJobDuration": 3600}]}]'
CHAINS_EXAMPLE = 'C2D_CHAINS=[{"chainId": 8996, "rpc": "http://localhost:8545", "escrow": "0x…"}]'
SHARED_EXAMPLE = (
    '"sharedNetwork": true accepts it; "enableNetwork": true with "network" gives one; "volume": "claim" keeps it out'
)
TLS_FILES = {"ca": "caPath", "cert": "certPath", "key": "keyPath"}
OCEAN_CONNECTION = ("socketPath", "host", "port", "protocol", "caPath", "certPath", "keyPath")


@dataclass(frozen=True)
class EngineConfig:
    """One engine as the operator wrote it."""

    name: str
    type: str
    "`docker`, `kubernetes`, `process`, `memory`."
    connection: Mapping[str, Any] = field(default_factory=dict, repr=False)
    "Everything beside name, type and environments: `socket`, `host`, `tls`, `context`, `namespace`, `storageClass` …"
    environments: tuple[Mapping[str, Any], ...] = ()
    "As wire §5.1; what is left out (resources above all) the engine fills in from its hardware."


def parse_engines(text: str, variable: str = "C2D_ENGINES") -> tuple[EngineConfig, ...]:
    """Read engines from a file's path or inline, YAML or JSON. Raises: SettingsError."""
    document = parse_document(text, variable, EXAMPLE)
    engines: Any = document.get("engines") if isinstance(document, dict) else document
    try:
        schemas.check("engines.setting", {"engines": engines})
    except InvalidRequest as error:
        raise SettingsError(f"{variable}: {error.detail}. Example: {EXAMPLE}") from error
    found = tuple(_engine(entry) for entry in engines)
    names = [engine.name for engine in found]
    if len(set(names)) < len(names):
        raise SettingsError(f"{variable}: two engines have one name among {', '.join(names)}. Example: {EXAMPLE}")
    for engine in found:
        _check_networks(engine, variable)
    return found


def parse_ocean_engines(text: str) -> tuple[EngineConfig, ...]:
    """Read DOCKER_COMPUTE_ENVIRONMENTS of an ocean-node: one Docker engine an entry. Raises: SettingsError."""
    variable = "DOCKER_COMPUTE_ENVIRONMENTS"
    example = f'{variable}=[{{"socketPath": "{DOCKER_SOCKET}", "environments": [{{"maxJobDuration": 3600}}]}}]'
    document = parse_document(text, variable, example)
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise SettingsError(f"{variable} must be a list of objects. Example: {example}")
    engines = [_ocean_engine(place, entry) for place, entry in enumerate(document)]
    return parse_engines(json.dumps(engines), variable)


def check_fees(engines: Iterable[EngineConfig], chain_ids: Collection[int]) -> None:
    """Refuse prices on a chain that is not set, which nobody could ever pay. Raises: SettingsError."""
    for engine in engines:
        for place, environment in enumerate(engine.environments):
            for chain_id in environment.get("fees") or {}:
                if int(chain_id) not in chain_ids:
                    named = environment.get("id", place)
                    raise SettingsError(
                        f"C2D_ENGINES: the environment {named!r} of {engine.name!r} has fees on chain {chain_id}, "
                        f"which C2D_CHAINS does not have. Example: {CHAINS_EXAMPLE}"
                    )


def default_engine() -> EngineConfig:
    """One engine of this machine; it declares no environment, so it offers half of what it finds, free of charge."""
    has_docker = bool(os.environ.get("DOCKER_HOST")) or Path(DOCKER_SOCKET).exists()
    return EngineConfig("local", "docker" if has_docker else "process")


def parse_document(text: str, variable: str, example: str) -> Any:
    """Read a document given inline or as a file's path. Raises: SettingsError."""
    if text.lstrip()[:1] not in ("[", "{") and "\n" not in text:
        try:
            text = Path(text).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}: the file {text} cannot be read ({error}). Example: {example}") from error
    try:
        return json.loads(text)
    except ValueError:
        return _parse_yaml(text, variable, example)


def _parse_yaml(text: str, variable: str, example: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{variable} is neither JSON nor YAML: {_fault(error)}. Example: {example}") from None


def _check_networks(engine: EngineConfig, variable: str) -> None:
    """Refuse a promise that one pod cannot keep: an algorithm in it has the network of the job's own two phases."""
    for place, environment in enumerate((engine.environments or ({},)) if engine.type == "kubernetes" else ()):
        own = {**engine.connection, **(environment.get("kubernetes") or {})}
        has_network = environment.get("enableNetwork") and environment.get("network")
        if own.get("volume") != "emptyDir" or has_network:
            continue
        if own.get("networkGate") or not own.get("sharedNetwork"):
            raise SettingsError(
                f"{variable}: the environment {environment.get('id', place)!r} of {engine.name!r} gives algorithms no "
                "network, and has volume: emptyDir, where an algorithm may reach what its job's one pod reaches"
                f"{', so that networkGate cannot hold' if own.get('networkGate') else ''}. Example: {SHARED_EXAMPLE}"
            )


def _fault(error: yaml.YAMLError) -> str:
    """What is wrong and where; never the lines themselves, which may hold a login."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "a character that cannot be read"
    return f"{error.problem}, line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"


def _engine(entry: Mapping[str, Any]) -> EngineConfig:
    own = ("name", "type", "environments")
    connection = {key: value for key, value in entry.items() if key not in own}
    return EngineConfig(entry["name"], entry["type"], connection, tuple(entry.get("environments") or ()))


def _ocean_engine(place: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Rename what the two nodes call differently; older versions have one environment in the entry itself."""
    connection = {key: entry[key] for key in OCEAN_CONNECTION if key in entry}
    rest = {key: value for key, value in entry.items() if key not in OCEAN_CONNECTION}
    environments = entry.get("environments") or [rest]
    engine: dict[str, Any] = {"name": f"docker{place}" if place else "docker", "type": "docker"}
    if "socketPath" in connection:
        engine["socket"] = connection["socketPath"]
    if "host" in connection:
        engine["host"] = _ocean_host(connection)
        tls = {short: connection[name] for short, name in TLS_FILES.items() if name in connection}
        engine |= {"tls": tls} if tls else {}
    return {**engine, "environments": [_ocean_environment(number, each) for number, each in enumerate(environments)]}


def _ocean_host(connection: Mapping[str, Any]) -> str:
    return f"tcp://{connection['host']}:{connection.get('port', 2376)}"


def _ocean_environment(place: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Give it an id, which ocean-node does without."""
    return {"id": str(place), **entry}
