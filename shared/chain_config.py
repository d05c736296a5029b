"""Own how chains are configured: C2D_CHAINS, or ocean-node's RPCS. An RPC address may hold a key: no error shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from shared import logs, schemas
from shared.engine_config import parse_document
from shared.errors import InvalidRequest, SettingsError
from shared.escrow.words import ChainConfig, Kind
from shared.names import Address

LOG = logs.logger(__name__)
EXAMPLE = 'C2D_CHAINS=[{"chainId": 8996, "rpc": "http://localhost:8545", "escrow": "0x…", "kind": "escrow"}]'
RPCS_EXAMPLE = 'RPCS={"11155111": {"rpc": "https://rpc.example.org", "network": "sepolia"}}'

PUBLISHED = {
    (1, Kind.ESCROW): "0xc98c71a9efef2a940c73b7986f1d8469f1815f94",
    (10, Kind.ESCROW): "0x4dd281eb67ded07e76e413df16176d66ae69e240",
    (8453, Kind.ESCROW): "0x43ec0a34e1b70c7f8e579ab866f37642777727e7",
    (23294, Kind.ESCROW): "0x0ee8b03dafc868a0899ebe1c12d734d53a957250",
    (11155111, Kind.ESCROW): "0xd09789ce05aa0f6fefc18315de4964db07cc0618",
    (11155420, Kind.ESCROW): "0x23a8b2d7176485a6349e4830605f323f31019333",
    (1, Kind.ENTERPRISE): "0x2213febd4e681633be255afcefbd233ebcfc33c9",
    (10, Kind.ENTERPRISE): "0xfe7967a5176fdafa8de109b3507016b885a82d6e",
    (11155111, Kind.ENTERPRISE): "0x6fd867e5aee6d62a24f97939db90c4e67a73a651",
}
"Where the field published its contracts (its package of contracts, 2.6.0); other chains need `escrow` set."


def parse_chains(text: str) -> tuple[ChainConfig, ...]:
    """Read chains from a file's path or inline, YAML or JSON. Raises: SettingsError."""
    document = _document("C2D_CHAINS", text, EXAMPLE)
    return _checked("C2D_CHAINS", document.get("chains") if isinstance(document, dict) else document, EXAMPLE)


def parse_ocean_rpcs(text: str) -> tuple[ChainConfig, ...]:
    """Read RPCS of an ocean-node: an object from chain id to {rpc, network, …}. Raises: SettingsError.

    It names chains for other ends too, so those without a published escrow are left out, and the log says so.
    """
    document = _document("RPCS", text, RPCS_EXAMPLE)
    if not isinstance(document, dict) or not all(isinstance(entry, dict) for entry in document.values()):
        raise SettingsError(f"RPCS must be an object from chain id to {{rpc, …}}. Example: {RPCS_EXAMPLE}")
    entries = [_ocean_entry(number, entry) for number, entry in document.items()]
    for entry in entries:
        if not _has_escrow(entry):
            LOG.warning(
                "RPCS: the chain has no published escrow; name it in C2D_CHAINS", fields={"chain": entry["chainId"]}
            )
    return _checked("RPCS", [entry for entry in entries if _has_escrow(entry)], RPCS_EXAMPLE)


def published(chain_id: int, kind: Kind) -> Address | None:
    """Where the field published the contract on a chain; null where it did not."""
    found = PUBLISHED.get((chain_id, kind))
    return None if found is None else Address(found)


def _ocean_entry(number: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What of an entry is ours; the chain's number is its name, or a member."""
    kept = {name: entry[name] for name in ("rpc", "escrow", "network") if entry.get(name) is not None}
    return {"chainId": int(number) if str(number).isdecimal() else entry.get("chainId", number), **kept}


def _has_escrow(entry: Mapping[str, Any]) -> bool:
    return (
        bool(entry.get("escrow"))
        or (entry["chainId"], Kind.ESCROW) in PUBLISHED
        or not isinstance(entry["chainId"], int)
    )


def _checked(variable: str, chains: Any, example: str) -> tuple[ChainConfig, ...]:
    try:
        schemas.check("chains.setting", {"chains": chains})
    except InvalidRequest as error:
        raise SettingsError(f"{variable}: {_fault(error)}. Example: {example}") from None
    found = tuple(_config(variable, entry, example) for entry in chains)
    ids = [chain.chain_id for chain in found]
    if len(set(ids)) < len(ids):
        raise SettingsError(f"{variable}: a chain is named twice among {', '.join(map(str, ids))}. Example: {example}")
    return found


def _document(variable: str, text: str, example: str) -> Any:
    """Read it, unless it is an RPC's address itself, which would be shown as a file that is not there."""
    if "://" in text and "\n" not in text and text.lstrip()[:1] not in ("[", "{"):
        raise SettingsError(f"{variable} is an address; a document or a file is expected. Example: {example}")
    return parse_document(text, variable, example)


def _fault(error: InvalidRequest) -> str:
    """What is wrong, without a value that may be, or hold, an RPC's address."""
    path = str(error.facts["path"])
    last = path.rpartition(".")[2]
    if last == "rpc":
        return f"{path}: an http(s) address is expected"
    if last.startswith("chains"):
        return f"{path}: {'an object' if last.endswith(']') else 'a list of objects'} is expected"
    return error.detail


def _config(variable: str, entry: Mapping[str, Any], example: str) -> ChainConfig:
    chain_id, kind = entry["chainId"], Kind(entry.get("kind", Kind.ESCROW))
    if not _is_http(entry["rpc"]):
        raise SettingsError(f"{variable}: the rpc of chain {chain_id} is no http(s) address. Example: {example}")
    escrow = entry.get("escrow") or published(chain_id, kind)
    if escrow is None:
        known = ", ".join(str(known) for known, which in PUBLISHED if which is kind)
        raise SettingsError(
            f"{variable}: chain {chain_id} needs its escrow (published for {kind}: {known}). Example: {example}"
        )
    return ChainConfig(
        chain_id=chain_id,
        rpc=entry["rpc"],
        escrow=Address(escrow.lower()),
        kind=kind,
        confirmations=entry.get("confirmations", 1),
        claim_window_s=entry.get("claimWindowSeconds", 21_600),
        finality_blocks=entry.get("finalityBlocks"),
        network=entry.get("network", ""),
        most_fee_wei=int(entry.get("maxFeeGwei", 500) * 10**9),
        is_legacy=entry.get("legacyTransactions", False),
    )


def _is_http(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
