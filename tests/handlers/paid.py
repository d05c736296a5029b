"""A node that is paid, on the chain in memory: an environment with prices, and a payer with funds."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from falcon.testing import Result

from shared.addresses import address_of
from shared.escrow.words import ChainConfig
from shared.names import Address
from tests import factories
from tests.engines.settlement.model_chain import TOKEN, ModelChain
from tests.factories import ALICE, signed
from tests.handlers.api import Api

CHAIN_ID = 8996
ESCROW = Address("0x" + "e5" * 20)
PAYMENT = {"chainId": CHAIN_ID, "token": TOKEN}
PRICES = [{"id": "cpu", "price": 0.02}, {"id": "ram", "price": 0.005}]
FEES = {str(CHAIN_ID): [{"feeToken": TOKEN.upper().replace("0X", "0x"), "prices": PRICES}]}
JOB_WEI = 25 * 10**15 * 10
"One core and one GiB for the environment's ten minutes."


class PaidApi(Api):
    """Quotes and paid starts."""

    def __init__(self, folder: Path, database_url: str, deposit_wei: int = 10**27) -> None:
        config = ChainConfig(CHAIN_ID, "", ESCROW, confirmations=2, finality_blocks=4)
        self.chain = ModelChain(random.Random(1), config, start_nonce=3)
        self.chain.deposit(Address(address_of(ALICE).lower()), deposit_wei)
        made = factories.services(folder, database_url)
        super().__init__(replace(made, chains={CHAIN_ID: self.chain}))
        factories.put_environment(factories.environment(fees=FEES))

    def quote(self, body: dict[str, Any], key: bytes = ALICE) -> Result:
        """Ask what it costs, unsigned."""
        return self.post("initializeCompute", {"payment": PAYMENT, **body, "consumerAddress": address_of(key)})

    def pay(self, body: dict[str, Any], key: bytes = ALICE) -> Result:
        """Sign and start."""
        fields = {"payment": PAYMENT, **body}
        return self.post("compute", signed(fields, "startCompute", self.next_nonce(), key))
