"""A node that sells, on a chain: what tests of paid starts share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from falcon.testing import Result

from shared.addresses import address_of
from shared.names import Address
from tests import factories
from tests.factories import ALICE, NODE_KEY, command_body, signed, workflow_job
from tests.handlers.api import Api
from tests.services.local_chain import LocalChain

PAYEE = Address(address_of(NODE_KEY).lower())
WHOLE = 10**18


@dataclass
class Shop:
    """An api whose environment has prices, and the chain it is paid on."""

    api: Api
    local: LocalChain

    @property
    def payment(self) -> dict[str, Any]:
        return {"chainId": self.local.config.chain_id, "token": self.local.contracts.token}

    def quote(self, body: dict[str, Any], key: bytes = ALICE, **payment: Any) -> Result:
        whole = {**body, "consumerAddress": address_of(key), "payment": {**self.payment, **payment}}
        return self.api.post("initializeCompute", whole)

    def start(self, body: dict[str, Any], key: bytes = ALICE, nonce: int | None = None, **payment: Any) -> Result:
        whole = {**body, "payment": {**self.payment, **payment}}
        number = self.api.next_nonce() if nonce is None else nonce
        return self.api.post("compute", signed(whole, "startCompute", number, key))


def prices(local: LocalChain, **price: float) -> dict[str, Any]:
    """Fees of an environment: `cpu` 0.02 and `ram` 0.01 tokens a minute unless told otherwise."""
    listed = [{"id": key, "price": value} for key, value in ({"cpu": 0.02, "ram": 0.01} | price).items()]
    tokens = (local.contracts.token, local.contracts.coin)
    return {str(local.config.chain_id): [{"feeToken": token, "prices": listed} for token in tokens]}


def shop(
    folder: Path,
    database_url: str,
    local: LocalChain,
    enterprise: bool = False,
    coins_wei: int = WHOLE,
    **environment: Any,
) -> Shop:
    """Open a node whose environment has prices; its address has coin for gas."""
    chain = local.enterprise if enterprise else local.chain
    services = factories.services(folder, database_url)
    services = replace(services, chains={chain.config.chain_id: chain})
    document = {"fees": prices(local), "minJobDuration": 60, "maxJobDuration": 600, "free": None, **environment}
    factories.put_environment(
        {key: value for key, value in factories.environment(**document).items() if key != "free" or value is not None}
    )
    local.fund(PAYEE, coins_wei)
    return Shop(Api(services), local)


def ready_to_pay(local: LocalChain, key: bytes = ALICE, **limits: Any) -> Address:
    """Give a key coin and tokens, deposit and authorize the node."""
    local.fund(Address(address_of(key).lower()))
    return local.prepare_payer(key, payee=PAYEE, **limits)


def single(**fields: Any) -> dict[str, Any]:
    """ocean-node's form, for 600 seconds."""
    return command_body(maxJobDuration=600, resources=[], **fields)


def both(*jobs: dict[str, Any]) -> dict[str, Any]:
    """The seeds' form."""
    return {"workflow": list(jobs or [workflow_job()])}
