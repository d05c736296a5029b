"""Own the way to chains. Their libraries take seconds to load, so each is opened when it is first asked for."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator, Mapping, Sequence

from shared.errors import SettingsError
from shared.escrow.words import Chain, ChainConfig, Chains

__all__ = ["Chain", "ChainConfig", "Chains", "open_chains"]


def open_chains(configs: Sequence[ChainConfig]) -> Chains:
    """All chains that are configured, by their ids. Loads and connects nothing until one is looked up."""
    return _Lazily(configs)


class _Lazily(Mapping[int, Chain]):
    """Open each chain once a process, whichever thread asks first."""

    def __init__(self, configs: Sequence[ChainConfig]) -> None:
        self._configs = {config.chain_id: config for config in configs}
        self._opened: dict[int, Chain] = {}
        self._opening = threading.Lock()

    def __getitem__(self, chain_id: int) -> Chain:
        """Raises: KeyError; SettingsError where the libraries are not installed."""
        config = self._configs[chain_id]
        with self._opening:
            if chain_id not in self._opened:
                self._opened[chain_id] = _open(config)
            return self._opened[chain_id]

    def __contains__(self, chain_id: object) -> bool:
        return chain_id in self._configs

    def __iter__(self) -> Iterator[int]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)


def _open(config: ChainConfig) -> Chain:
    try:
        chain: Chain = importlib.import_module("shared.escrow.rpc").Rpc(config)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"C2D_CHAINS needs the package {error.name}: pip install 'c2d-node[chain]'. Example: ./infra/setup all"
        ) from error
    return chain
