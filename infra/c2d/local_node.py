"""Own what a node on this machine is made of: its key, its engines, where it listens, what its processes are told."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.c2d.docker_here import docker_capabilities
from infra.c2d.failures import Failure
from infra.c2d.keys import default_key_file, ensure_key
from infra.c2d.pod_image import ensure_pod_image
from shared.engine_config import EngineConfig
from shared.setting_values import with_dotenv
from shared.settings import KEY_FILE, HandlerSettings, NodeSettings
from shared.signatures import address_of
from shared.storage import open_storage

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OPERATORS_OWN = ("C2D_ENGINES", "DOCKER_COMPUTE_ENVIRONMENTS")
PORTS_TRIED = 50


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    host: str
    port: int
    engine: str | None = None
    "`docker` or `process` instead of whichever there is."
    process_anywhere: bool = False


@dataclass(frozen=True)
class LocalNode:
    """All that `c2d up` starts from."""

    settings: NodeSettings
    environment: Mapping[str, str]
    host: str
    port: int
    pod_listen: tuple[str, int] | None
    "Where the pod commands alone are served besides; null where pods reach the node itself."
    notices: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where somebody on this machine reaches it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "", "::") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def plan_node(environment: Mapping[str, str], wish: Wish) -> LocalNode:
    """Look at the machine and the settings, make what is missing. Raises: Failure, SettingsError."""
    notices: list[str] = []
    settings = with_key(environment, notices)
    check_free(wish.host, wish.port)
    engines = [guarded(engine, notices) for engine in chosen_engines(environment, settings, wish, notices)]
    check_guard(engines, wish)
    told = {"C2D_DATA_DIR": str(settings.data_dir), "C2D_ENGINES": json.dumps([written(engine) for engine in engines])}
    pod_listen = None
    if not with_dotenv(environment).get("C2D_POD_API_URL"):
        pod_listen = pod_address(engines, wish)
        host, port = pod_listen or ("127.0.0.1", wish.port)
        told["C2D_POD_API_URL"] = f"http://{host}:{port}"
    everything = {**environment, **told}
    return LocalNode(
        NodeSettings.from_environment(everything), everything, wish.host, wish.port, pod_listen, tuple(notices)
    )


def with_key(environment: Mapping[str, str], notices: list[str]) -> NodeSettings:
    """Read the settings; make the node's key on the first run."""
    settings = HandlerSettings.from_environment(environment)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.storage_url == own_results(settings).as_uri():
        own_results(settings).mkdir(exist_ok=True, mode=0o700)
    if settings.private_key is None:
        path = settings.data_dir / KEY_FILE
        key, _ = ensure_key(path)
        notices.append(f"made the node's key: {path} (address {address_of(key)}); keep it, it is the node's wallet")
        settings = HandlerSettings.from_environment(environment)
    open_storage(settings.storage_url)  # a wrong address is said here, not in the log of a child
    return settings


def chosen_engines(
    environment: Mapping[str, str], settings: NodeSettings, wish: Wish, notices: list[str]
) -> Sequence[EngineConfig]:
    """The operator's engines; where none are named, Docker if it can be used, else processes."""
    if wish.engine is None and any(with_dotenv(environment).get(name) for name in OPERATORS_OWN):
        return [with_pods(engine, notices) if engine.type == "docker" else engine for engine in settings.engines]
    [local] = settings.engines[:1]
    if wish.engine == "process":
        return [processes(local)]
    try:
        docker_capabilities(local.name, {})
        return [with_pods(replace(local, type="docker", connection={}), notices)]
    except Failure as failure:
        if wish.engine == "docker":
            raise
        notices.append(f"Docker cannot be used: {failure.sentence}")
        return [processes(local)]


def processes(engine: EngineConfig) -> EngineConfig:
    """The same environments as processes, under a name of their own: a name stays with the engine it first meant."""
    return replace(engine, name="process", type="process", connection={})


def with_pods(engine: EngineConfig, notices: list[str]) -> EngineConfig:
    """Name the image of the pods, built if need be."""
    image = ensure_pod_image(engine.connection, notices.append)
    return replace(engine, connection={**engine.connection, "podImage": image})


def guarded(engine: EngineConfig, notices: list[str]) -> EngineConfig:
    """Open a process engine, where nobody is named, to the consumer key of this user alone."""
    if engine.type != "process":
        return engine
    notices.append("JOBS RUN AS PROCESSES OF THIS MACHINE, without containers: for development and trusted code only")
    key, _ = ensure_key(default_key_file())
    return replace(engine, connection={"onlyFor": [address_of(key)], **engine.connection})


def check_guard(engines: Sequence[EngineConfig], wish: Wish) -> None:
    """Keep a node with a process engine off the network. Raises: Failure."""
    has_process = any(engine.type == "process" for engine in engines)
    if has_process and wish.host not in LOOPBACK and not wish.process_anywhere:
        raise Failure(
            f"a process engine runs code without containers, so the node does not listen on {wish.host}",
            "listen on 127.0.0.1, or insist with --process-anywhere",
        )


def pod_address(engines: Sequence[EngineConfig], wish: Wish) -> tuple[str, int] | None:
    """Where pods of a local Docker Engine reach this machine: its bridge, which no other machine reaches."""
    docker = next((engine for engine in engines if engine.type == "docker"), None)
    if docker is None:
        return None
    gateway = docker_capabilities(docker.name, docker.connection).pod_gateway
    if gateway is None:
        raise Failure(
            f"pods of engine {docker.name} run elsewhere, and nothing says how they reach this node",
            "set C2D_POD_API_URL, for example C2D_POD_API_URL=https://node.example.org",
        )
    ports = (port for port in range(wish.port + 1, wish.port + 1 + PORTS_TRIED) if is_free(gateway, port))
    return gateway, next(ports)


def check_free(host: str, port: int) -> None:
    """Say early that something else listens there. Raises: Failure."""
    if not is_free(host, port):
        raise Failure(
            f"port {port} of {host} cannot be listened on: something else does, or it is not ours",
            f"choose another: c2d up --port {port + 1}",
        )


def is_free(host: str, port: int) -> bool:
    """Whether we could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def written(engine: EngineConfig) -> dict[str, Any]:
    """The engine as C2D_ENGINES has it."""
    return {
        **engine.connection, "name": engine.name, "type": engine.type, "environments": list(engine.environments)
    }  # fmt: skip


def own_results(settings: NodeSettings) -> Path:
    """Where results lie unless the operator says otherwise."""
    return settings.data_dir / "results"


def folder_of_logs(settings: NodeSettings) -> Path:
    """Where the children's own words go."""
    folder = settings.data_dir / "logs"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder
