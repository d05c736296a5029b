"""Own the checks of `c2d doctor` about a chain: reached, the right contract, coin for gas, whose the key is."""

from __future__ import annotations

from infra.c2d.checks import Check
from shared.addresses import address_of
from shared.db import slots
from shared.db.connection import session
from shared.errors import C2DError, Unavailable
from shared.escrow import open_chains
from shared.escrow.words import Chain, ChainConfig
from shared.names import Address
from shared.settings import NodeSettings

LOCK_GAS = 500_000
"About what a lock takes while some dozens are open."
LOCKS_AHEAD = 100
"Coin for fewer is worth a warning."


def examine(settings: NodeSettings) -> list[Check]:
    """Everything about every chain that is set."""
    found: list[Check] = []
    for config in settings.chains:
        try:
            chain = open_chains([config])[config.chain_id]
            found += [reached(chain), contract(chain)]
            if settings.private_key is not None:
                payee = Address(address_of(settings.private_key).lower())
                found += [coin(chain, payee), *key_use(chain, payee)]
        except C2DError as error:
            found.append(Check(name(config), "fail", error.detail, "see C2D_CHAINS; is its rpc right and up?"))
    return found


def name(config: ChainConfig) -> str:
    """What the chain's checks are called."""
    return f"chain {config.chain_id}"


def reached(chain: Chain) -> Check:
    """Whether it answers, and tells what is final. Raises: Unavailable."""
    head, final = chain.head(), chain.final()
    return Check(name(chain.config), "ok", f"block {head.number}, final up to {final.number}")


def contract(chain: Chain) -> Check:
    """Whether the escrow stands where it should, and is of the kind that is set. Raises: Unavailable."""
    what, kind, wanted = f"{name(chain.config)}: escrow", chain.kind(), chain.config.kind
    if kind is None:
        return Check(what, "fail", f"no escrow at {chain.config.escrow}", "set `escrow` in C2D_CHAINS")
    if kind is not wanted:
        return Check(what, "fail", f"{chain.config.escrow} is of kind {kind}, not {wanted}", f'set "kind": "{kind}"')
    return Check(what, "ok", f"{chain.config.escrow} ({kind})")


def coin(chain: Chain, payee: Address) -> Check:
    """Whether the node can pay for its locks and claims. Raises: Unavailable."""
    fees, coins_wei = chain.fees(), chain.coins(payee)
    each_wei = LOCK_GAS * (fees.base_wei + fees.priority_wei)
    locks = coins_wei // each_wei if each_wei else LOCKS_AHEAD
    found = f"{payee} has {coins_wei / 10**18:.6g} coin, for about {locks} locks at today's price"
    state = "ok" if locks >= LOCKS_AHEAD else "warn" if locks else "fail"
    return Check(f"{name(chain.config)}: gas", state, found, "" if state == "ok" else f"send coin to {payee}")


def key_use(chain: Chain, payee: Address) -> list[Check]:
    """Whether the key belongs to this node alone. Raises: Unavailable for the chain."""
    what = f"{name(chain.config)}: key"
    mined = chain.nonce(payee)
    try:
        with session():
            row = slots.signer(chain.config.chain_id, payee)
    except Unavailable:
        return []  # there is no database to ask, which its own check tells
    if row is None:
        return [Check(what, "ok", "not used by this node yet")]
    if row.problem is not None:
        return [Check(what, "fail", row.problem, "find out who uses the key; then run_settlement --trust-nonce")]
    if mined > row.next_nonce:
        found = f"the chain has seen {mined} of its transactions, this node signed {row.next_nonce}"
        return [Check(what, "fail", found, "somebody else uses the node's key")]
    return [Check(what, "ok", f"{mined} transactions mined, {row.next_nonce - mined} on their way")]
