"""Own the wire to a chain's node: JSON-RPC through web3's provider, each way to fail told apart, no address ever shown.

Nothing is repeated here: web3 would send a transaction again after a timeout, and then report the success as an error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from web3 import HTTPProvider
from web3.exceptions import Web3Exception

from shared.errors import Unavailable
from shared.escrow.words import ChainConfig

TIMEOUT_S = (5, 20)  # to connect, and to wait for each byte
LONGEST_MESSAGE = 300
SHORTEST_KEY = 8
REVERTED = 3  # the code that most nodes have for it

for _chatty in ("web3", "urllib3.connectionpool"):  # at DEBUG both write the address, which may hold a key
    logging.getLogger(_chatty).setLevel(logging.INFO)


class RpcRefused(Exception):
    """The chain's node answered with an error: its code, its words, and the bytes that a contract gave with it."""

    def __init__(self, code: int, message: str, data: bytes) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    @property
    def is_revert(self) -> bool:
        """Whether a contract refused; nodes without a code or bytes for it leave nothing but their words to go by."""
        return self.code == REVERTED or bool(self.data) or "revert" in self.message.lower()

    @property
    def reason(self) -> str:
        """What the words tell beside that it failed."""
        return self.message.partition("reverted:")[2].strip()


class Provider(Protocol):
    """What of web3's providers is used."""

    def make_request(self, method: Any, params: Any) -> Any: ...


def http_provider(rpc: str) -> Provider:
    """Open an address; connects to nothing yet. Each thread gets a connection of its own."""
    kwargs = {"timeout": TIMEOUT_S, "allow_redirects": False}
    return HTTPProvider(rpc, request_kwargs=kwargs, exception_retry_configuration=None)


def request(provider: Provider, config: ChainConfig, method: str, params: Sequence[Any]) -> Any:
    """Ask once. Raises: Unavailable where no answer came, RpcRefused where the answer is an error."""
    try:
        answer = provider.make_request(method, list(params))
    except (OSError, ValueError, TypeError, Web3Exception) as error:  # requests' own errors are OSErrors
        # `from None`: the error's text holds the address
        raise unavailable(config.chain_id, method, type(error).__name__) from None
    if not isinstance(answer, dict):
        raise unavailable(config.chain_id, method, "no JSON-RPC answer")
    if told := answer.get("error"):
        raise refused(told, config.rpc)
    if "result" not in answer:
        raise unavailable(config.chain_id, method, "no JSON-RPC answer")
    return answer["result"]


def unavailable(chain_id: int, method: str, why: str) -> Unavailable:
    """The one way a silent chain is told of."""
    return Unavailable(f"The RPC of chain {chain_id} did not answer {method}: {why}.", chain_id=chain_id, method=method)


def refused(error: object, rpc: str) -> RpcRefused:
    """Read the error object, whatever shape a node gives it; some repeat the key they were asked with."""
    if not isinstance(error, dict):
        return RpcRefused(0, _masked(str(error), rpc), b"")
    code = error.get("code")
    message = _masked(str(error.get("message", "")), rpc)
    return RpcRefused(code if isinstance(code, int) else 0, message, _data(error.get("data")))


def _masked(message: str, rpc: str) -> str:
    """The words without any long part of the address, its host aside."""
    parts = urlsplit(rpc)
    for secret in re.split(r"[/?&=:]", "/".join((parts.path, parts.query, parts.username or "", parts.password or ""))):
        if len(secret) >= SHORTEST_KEY:
            message = message.replace(secret, "…")
    return message[:LONGEST_MESSAGE]


def _data(found: object) -> bytes:
    """A contract's own bytes: hex in `data`, or inside of it, as some nodes nest it."""
    if isinstance(found, dict):
        found = found.get("data") or found.get("result")
    if not isinstance(found, str):
        return b""
    try:
        return bytes.fromhex(found.removeprefix("Reverted ").removeprefix("0x"))
    except ValueError:
        return b""
