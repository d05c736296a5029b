"""Own the composition root of handlers: from settings to the few things that commands are given."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from shared import ecies, logs
from shared.addresses import address_of, public_key_of
from shared.db import nodes
from shared.db.connection import open_database, session
from shared.errors import NotAvailable, Unavailable
from shared.escrow import Chains, open_chains
from shared.rate_limit import OneEach, RateLimit
from shared.secrets import NodeKeys
from shared.settings import HandlerSettings
from shared.storage import Storage, open_storage
from shared.streams import StreamSlots, Wakeups


@dataclass(frozen=True)
class NodeIdentity:
    """Who the node is to the outside."""

    address: str
    public_key: str
    "Compressed, 66 hex characters."


@dataclass(frozen=True)
class Services:
    """All that a command may use; made once a process, after any fork."""

    settings: HandlerSettings
    storage: Storage
    keys: NodeKeys
    rates: RateLimit
    streams: StreamSlots
    wakeups: Wakeups = field(default_factory=Wakeups)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    looks: OneEach = field(default_factory=OneEach)
    chains: Chains = field(default_factory=dict, repr=False)
    "By chain id; each is opened, its libraries loaded, when first asked for."
    checks_replies: bool = False
    "Hold every JSON reply against its schema: for tests and development, since it costs more than the reply."

    @classmethod
    def from_environment(cls) -> Services:
        """Read the settings and make everything of them. Raises: SettingsError."""
        logs.configure()
        return cls.from_settings(HandlerSettings.from_environment())

    @classmethod
    def from_settings(cls, settings: HandlerSettings) -> Services:
        """Make everything of the settings; nothing is connected yet. Raises: SettingsError."""
        settings.require_key()
        open_database(settings.database_url, connections=settings.database_connections)
        return cls(
            settings=settings,
            storage=open_storage(settings.storage_url),
            keys=NodeKeys.of(settings.secrets_key, settings.private_key),
            rates=RateLimit(settings.rate_limit),
            streams=StreamSlots(settings.threads // 2),
            chains=open_chains(settings.chains),
        )

    def load_chains(self) -> None:
        """Open every chain now, so that no call waits for the chains' libraries; asks none of them anything."""
        list(self.chains.values())

    @property
    def is_guarded(self) -> bool:
        """Whether jobs run unguarded on this machine, so that pages of other sites must be kept away."""
        return any(engine.type == "process" for engine in self.settings.engines)

    @functools.cached_property
    def fetch_allow(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Private networks that files may be fetched from."""
        return tuple(ip_network(network) for network in self.settings.fetch_allow)

    @functools.cached_property
    def node(self) -> NodeIdentity:
        """The node's address: of its key, or of the row that a process with the key has written."""
        if self.settings.private_key is not None:
            key = self.settings.private_key
            return NodeIdentity(address_of(key), public_key_of(key))
        with session():
            row = nodes.read_node()
        if row is None:
            raise Unavailable("The node's address is not known yet; start a process that has C2D_PRIVATE_KEY.")
        return NodeIdentity(*row)

    def decrypt(self, hex_text: str) -> bytes:
        """Open what was encrypted for the node's public key. Raises: InvalidRequest, NotAvailable."""
        if self.settings.private_key is None:
            raise NotAvailable("This process has no wallet key, so it cannot read what is encrypted for the node.")
        return ecies.decrypt(self.settings.private_key, bytes.fromhex(hex_text.removeprefix("0x")))
