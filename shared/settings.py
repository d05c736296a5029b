"""Own what an operator can set, by environment variable or `.env`: one frozen dataclass per deployable.

A wrong setting stops the start with its name, what was wrong and an example (`SettingsError`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from shared import setting_values as values
from shared.chain_config import parse_chains, parse_ocean_rpcs
from shared.engine_config import EngineConfig, check_fees, default_engine, parse_engines, parse_ocean_engines
from shared.errors import SettingsError
from shared.escrow.words import ChainConfig

DEFAULT_DATA_DIR = "~/.local/share/c2d"
KEY_FILE = "node.key"


@dataclass(frozen=True)
class NodeSettings:
    """What every deployable reads."""

    data_dir: Path
    "C2D_DATA_DIR: folder of the local database, results and key. Default ~/.local/share/c2d."
    database_url: str = field(repr=False)
    "C2D_DATABASE_URL: `sqlite:///…` or `postgresql://…`. Default c2d.sqlite in the data folder."
    database_connections: int
    "C2D_DATABASE_CONNECTIONS: what one process opens to PostgreSQL at most. Default 32; a server has a limit."
    storage_url: str
    "C2D_STORAGE_URL: `file:///path` or `s3://bucket/prefix`, where results go. Default results/ in the data folder."
    private_key: bytes | None = field(repr=False)
    "C2D_PRIVATE_KEY (or ocean-node's PRIVATE_KEY): the node's wallet key, 64 hex characters. Default: the kept one."
    secrets_key: str | None = field(repr=False)
    "C2D_SECRETS_KEY: 128 hex characters, for processes that need secrets at rest and tokens but not the wallet."
    public_url: str | None
    "C2D_PUBLIC_URL: the address consumers see, such as https://node.example.org. Default: none."
    pod_api_url: str | None
    "C2D_POD_API_URL: the address pods call (their `nodeHttpApi`). Default: the public one; `c2d up` finds its own."
    engines: tuple[EngineConfig, ...]
    "C2D_ENGINES (or ocean-node's DOCKER_COMPUTE_ENVIRONMENTS): file or inline YAML/JSON. Default: half this machine."
    chains: tuple[ChainConfig, ...]
    "C2D_CHAINS (ocean-node's RPCS is understood too): per chain chainId, rpc, escrow … Default: none, free jobs only."
    fetch_allow: tuple[str, ...]
    "C2D_FETCH_ALLOW: comma list of private networks (CIDR) that inputs and outputs may use. Default: none."
    asset_url: str | None
    "C2D_ASSET_URL: metadata service that resolves DIDs. Default: none, so DIDs need their files beside them."

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the environment, and `.env` below it. Raises: SettingsError."""
        given = values.with_dotenv(os.environ if environment is None else environment)
        made = cls(**cls._read(given))
        check_fees(made.engines, [chain.chain_id for chain in made.chains])
        return made

    @classmethod
    def _read(cls, given: Mapping[str, str]) -> dict[str, Any]:
        data_dir = Path(given.get("C2D_DATA_DIR") or DEFAULT_DATA_DIR).expanduser().absolute()
        public_url = values.url(given, "C2D_PUBLIC_URL", "https://node.example.org")
        return {
            "data_dir": data_dir,
            "database_url": given.get("C2D_DATABASE_URL") or f"sqlite:///{data_dir / 'c2d.sqlite'}",
            "database_connections": values.whole(given, "C2D_DATABASE_CONNECTIONS", 32),
            "storage_url": given.get("C2D_STORAGE_URL") or (data_dir / "results").as_uri(),
            "private_key": _private_key(given, data_dir),
            "secrets_key": given.get("C2D_SECRETS_KEY") or None,
            "public_url": public_url,
            "pod_api_url": values.url(given, "C2D_POD_API_URL", "http://172.17.0.1:8001") or public_url,
            "engines": _engines(given),
            "chains": _chains(given),
            "fetch_allow": values.networks(given, "C2D_FETCH_ALLOW"),
            "asset_url": values.url(given, "C2D_ASSET_URL", "https://metadata.example.org"),
        }

    def require_key(self) -> None:
        """Refuse to go on without any key. Raises: SettingsError."""
        if self.private_key is None and self.secrets_key is None:
            raise SettingsError(
                f"C2D_PRIVATE_KEY is not set and {self.data_dir / KEY_FILE} is not there; "
                "`c2d up` makes a key, everything else needs one. Example: C2D_PRIVATE_KEY=0x4c0883a6… (64 hex)"
            )


@dataclass(frozen=True)
class HandlerSettings(NodeSettings):
    """What the HTTP handlers read."""

    rate_limit: int | None = 600
    "C2D_RATE_LIMIT: requests per minute, address and process; `off` disables. Default 600; loopback is exempt."
    metrics_public: bool = False
    "C2D_METRICS_PUBLIC: whether /metrics answers others than loopback. Default no: figures tell of the business."
    trusted_proxies: tuple[str, ...] = ()
    "C2D_TRUSTED_PROXIES: comma list of networks (CIDR) whose X-Forwarded-For counts. Default: loopback alone."
    threads: int = 8
    "C2D_THREADS: threads of this process, set by gunicorn.conf.py; at most half of them may stream. Default 8."

    @classmethod
    def _read(cls, given: Mapping[str, str]) -> dict[str, Any]:
        return {
            **super()._read(given),
            "rate_limit": values.rate(given, "C2D_RATE_LIMIT", 600),
            "metrics_public": values.truth(given, "C2D_METRICS_PUBLIC"),
            "trusted_proxies": values.networks(given, "C2D_TRUSTED_PROXIES"),
            "threads": values.whole(given, "C2D_THREADS", 8),
        }


@dataclass(frozen=True)
class EngineSettings(NodeSettings):
    """What the passes read: everything that is common, and nothing of HTTP."""

    def engine(self, name: str) -> EngineConfig:
        """Find an engine by its name. Raises: SettingsError."""
        found = next((engine for engine in self.engines if engine.name == name), None)
        if found is None:
            names = ", ".join(engine.name for engine in self.engines)
            raise SettingsError(f"C2D_ENGINES has no engine {name!r}; it has {names}. Example: --engine {names}")
        return found


def _private_key(given: Mapping[str, str], data_dir: Path) -> bytes | None:
    """The key that is set, else the one kept in the data folder."""
    variable = "C2D_PRIVATE_KEY" if given.get("C2D_PRIVATE_KEY") else "PRIVATE_KEY"
    if given.get(variable):
        return values.private_key(variable, given[variable])
    try:
        return values.private_key(f"the file {data_dir / KEY_FILE}", (data_dir / KEY_FILE).read_text())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{data_dir / KEY_FILE} cannot be read: {error}. Example: C2D_PRIVATE_KEY=0x…") from error


def _engines(given: Mapping[str, str]) -> tuple[EngineConfig, ...]:
    if given.get("C2D_ENGINES"):
        return parse_engines(given["C2D_ENGINES"])
    if given.get("DOCKER_COMPUTE_ENVIRONMENTS"):
        return parse_ocean_engines(given["DOCKER_COMPUTE_ENVIRONMENTS"])
    return (default_engine(),)


def _chains(given: Mapping[str, str]) -> tuple[ChainConfig, ...]:
    if given.get("C2D_CHAINS"):
        return parse_chains(given["C2D_CHAINS"])
    return parse_ocean_rpcs(given["RPCS"]) if given.get("RPCS") else ()
