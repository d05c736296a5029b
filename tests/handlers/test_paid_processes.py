"""Two gunicorns that share a database and a key: however the starts fall on them, no more is locked than there is."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.addresses import address_of
from shared.db.connection import session
from shared.db.payment_tables import Attempt, NonceSlot, Payment
from shared.db.tables import Job
from tests import factories
from tests.factories import ALICE, signed, workflow_job
from tests.handlers.gunicorns import serving, variables
from tests.needs import needs

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain

pytestmark = [needs("anvil"), pytest.mark.full]
STARTS, FUNDED = 50, 7


def post(url: str, path: str, body: dict[str, Any], token: str = "") -> tuple[int, Any]:
    """Send JSON; status and answer, of errors too."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": token} if token else {})
    request = urllib.request.Request(f"{url}/api/services/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_of_fifty_starts_at_two_processes_with_funds_for_seven_exactly_seven_are_locked(
    database: str, tmp_path: Path, anvil: AnvilChain
) -> None:
    from tests.handlers.paying import prices, ready_to_pay

    factories.put_environment(factories.environment(fees=prices(anvil), minJobDuration=60))
    anvil.fund(payee())
    payment = {"chainId": anvil.config.chain_id, "token": anvil.contracts.token}
    body = {"payment": payment, "workflow": [workflow_job()], "consumerAddress": address_of(ALICE)}
    chains = json.dumps([{"chainId": anvil.config.chain_id, "rpc": anvil.url, "escrow": anvil.contracts.escrow}])
    node = variables(tmp_path / "data", database, C2D_CHAINS=chains)
    with ExitStack() as stack:
        urls = [
            stack.enter_context(serving("handlers.all_in_one:create_app()", node, tmp_path / f"log{number}"))
            for number in range(2)
        ]
        status, quote = post(urls[0], "initializeCompute", body)
        assert status == 200, quote
        price = int(quote["payment"]["amount"])
        ready_to_pay(anvil, deposit_wei=FUNDED * price + price // 2)
        asked = signed({}, "createAuthToken", 1)
        _, made = post(urls[0], "auth/token", {**asked, "address": asked["consumerAddress"]})
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: post(urls[n % 2], "compute", body, made["token"]), range(STARTS)))
    taken = [answer for status, answer in answers if status == 200]
    refused = [answer for status, answer in answers if status == 400]
    assert (len(taken), len(refused)) == (FUNDED, STARTS - FUNDED), answers
    assert all("does not have enough funds" in answer["error"] for answer in refused)
    with session():
        assert (Payment.select().count(), Job.select().count()) == (FUNDED, FUNDED)
        assert [slot.nonce for slot in NonceSlot.select().order_by(NonceSlot.nonce)] == list(range(FUNDED))
        made_locks = [(each.tx_hash, bytes(each.signed)) for each in Attempt.select().order_by(Attempt.nonce)]
    assert all(anvil.chain.send(raw) is None for _, raw in made_locks)
    assert all(anvil.mined(tx_hash).is_good for tx_hash, _ in made_locks)  # sent is not mined yet
    assert len(anvil.chain.locks(payee())) == FUNDED


def payee() -> Any:
    """The node's address."""
    return address_of(factories.NODE_KEY).lower()
