"""Own how a transaction is signed; asks nobody anything."""

from __future__ import annotations

from typing import Any

from eth_account import Account

from shared.addresses import checksum
from shared.escrow import abi
from shared.escrow.words import ChainCall, ChainConfig, Fees, SignedTx


def sign(config: ChainConfig, call: ChainCall, key: bytes, nonce: int, gas: int, fees: Fees) -> SignedTx:
    """Sign a call for one chain alone; base and priority together are the most that a unit of gas may cost."""
    most = fees.base_wei + fees.priority_wei
    price: dict[str, Any] = {"gasPrice": most}
    if not config.is_legacy:
        price = {"type": 2, "maxFeePerGas": most, "maxPriorityFeePerGas": fees.priority_wei}
    transaction = {
        "chainId": config.chain_id,
        "to": checksum(call.to),
        "value": 0,
        "data": abi.encode(call),
        "nonce": nonce,
        "gas": gas,
        **price,
    }
    signed = Account.sign_transaction(transaction, key)
    return SignedTx("0x" + bytes(signed.hash).hex(), bytes(signed.raw_transaction))
