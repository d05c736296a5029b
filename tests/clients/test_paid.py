"""A paid job by the field's unmodified clients: lock, run, claim and refund are seen on a chain with its contracts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.c2d.claim_check import claim
from shared.escrow.words import Chain, EscrowEvent, EventName, Kind
from shared.names import Address
from shared.receipt_checks import check
from tests.clients.sdk import HERE, VERSIONS, installed, node_process
from tests.clients.station import algorithm
from tests.flows.docker.harness import environment, new_name, remove_all, until
from tests.needs import needs, require
from tests.services.chains import started
from tests.services.node import FINALS, Consumer, RealNode, real_node

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain

pytestmark = [needs("anvil", "docker", "node")]
Json = dict[str, Any]
ONE = 10**18
ENDED = ("settled", "refunded", "lock_failed", "expired")


@dataclass
class Market:
    """A node that sells, on a chain of its own."""

    node: RealNode
    chain: AnvilChain
    kind: Kind

    @property
    def view(self) -> Chain:
        """The chain, at the contract the node uses."""
        return self.chain.enterprise if self.kind is Kind.ENTERPRISE else self.chain.chain

    def events(self, payee: str, onchain_id: int) -> list[EscrowEvent]:
        """What the contract told of one lock."""
        found = self.view.events(0, self.view.head().number, Address(payee.lower()))
        return [event for event in found if event.onchain_id == onchain_id]

    def buy(self, how: str, version: str, key: bytes, script: str) -> Json:
        """Let the client do all a consumer does; what it says."""
        where = (self.node.url, self.chain.url, self.chain.contracts.token, self.view.config.escrow)
        process = node_process(installed(version), HERE / "paid.mjs", key, how, *where, json.dumps(algorithm(script)))
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error[-3000:]
        return dict(json.loads(out))

    def ended(self, consumer: Consumer, job_id: str) -> Json:
        """The job once it and its payment are done."""

        def look() -> Json | None:
            (found,) = consumer.status(jobId=job_id)
            return found if found["status"] in FINALS and found["payment"]["state"] in ENDED else None

        return dict(until(look, lambda: consumer.status(jobId=job_id)))


@pytest.fixture(scope="module", params=[Kind.ESCROW, pytest.param(Kind.ENTERPRISE, marks=pytest.mark.full)])
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A node with one environment that costs 0.06 tokens a minute, on anvil."""
    require("anvil", "docker", "node")
    from tests.services.local_chain import KEYS, NODE

    with ExitStack() as stack:
        chain = started(stack)
        escrow = chain.contracts.enterprise if request.param is Kind.ENTERPRISE else chain.contracts.escrow
        prices = [{"id": "cpu", "price": 0.6}, {"id": "ram", "price": 0}]
        fees = {str(chain.config.chain_id): [{"feeToken": chain.contracts.token, "prices": prices}]}
        config = {"chainId": chain.config.chain_id, "rpc": chain.url, "escrow": escrow, "finalityBlocks": 1}
        engine = {"name": (name := new_name()), "type": "docker", "environments": [environment(fees=fees)]}
        stack.callback(remove_all, [name])
        node = stack.enter_context(real_node(
            tmp_path_factory.mktemp("market"),
            C2D_PRIVATE_KEY=KEYS[NODE].hex(),
            C2D_CHAINS=json.dumps([{**config, "kind": request.param.value}]),
            C2D_ENGINES=json.dumps([engine]),
        ))  # fmt: skip
        yield Market(node, chain, request.param)


def wallet(market: Market, place: int) -> Consumer:
    """A consumer with coin and 20 tokens."""
    from tests.services.local_chain import ADDRESSES, KEYS

    market.chain.mint(market.chain.contracts.token, ADDRESSES[place], 20 * ONE)
    return Consumer(market.node.url, KEYS[place])


@pytest.mark.parametrize(
    ("how", "version", "place"),
    [
        ("sdk", VERSIONS[0], 4),
        pytest.param("cli", VERSIONS[0], 5, marks=pytest.mark.full),
        pytest.param("sdk", VERSIONS[1], 6, marks=pytest.mark.full),
        pytest.param("cli", VERSIONS[1], 7, marks=pytest.mark.full),
    ],
)
def test_a_client_buys_a_job_and_gets_the_rest_back(market: Market, how: str, version: str, place: int) -> None:
    consumer = wallet(market, place)
    said = market.buy(how, version, consumer.key, "echo done > /data/outputs/a")
    job_id = said["job"]["jobId"].rpartition("-")[2]
    assert said["job"]["payment"]["lockTx"].startswith("0x")

    done = market.ended(consumer, job_id)
    assert (done["status"], done["payment"]["state"]) == (70, "settled"), done
    onchain_id = int(hashlib.sha256(job_id.encode()).hexdigest(), 16)
    lock, claimed = market.events(said["payee"], onchain_id)
    assert (lock.name, lock.amount_wei, lock.lock_s) == (
        EventName.LOCK, int(said["quote"]["amount"]), said["quote"]["minLockSeconds"],
    )  # fmt: skip
    assert lock.tx_hash == done["payment"]["lockTx"] and claimed.tx_hash == done["payment"]["claimTx"]
    assert claimed.name is EventName.CLAIMED and 0 < claimed.amount_wei < lock.amount_wei
    assert done["payment"]["cost"] == pytest.approx(claimed.amount_wei / ONE)

    token, payer = Address(market.chain.contracts.token), Address(consumer.address.lower())
    funds, held = market.view.funds(payer, token), market.view.token_balance(token, payer)
    assert funds.locked_wei == 0 and funds.available_wei + held == 20 * ONE - claimed.amount_wei


def test_its_receipt_is_true(market: Market, tmp_path: Path) -> None:
    consumer = wallet(market, 8)
    said = market.buy("sdk", VERSIONS[0], consumer.key, "echo done > /data/outputs/a")
    done = market.ended(consumer, said["job"]["jobId"].rpartition("-")[2])
    last = done["results"][-1]
    assert (last["filename"], last["type"]) == ("receipt.json", "receipt")
    path = tmp_path / "receipt.json"
    path.write_bytes(consumer.result(done["jobId"], last["index"]))
    receipt = json.loads(path.read_bytes())
    assert [finding for finding in check(receipt) if not finding.is_good] == []
    (job,), (beside,) = receipt["message"]["jobs"], receipt["evidence"]
    for file, output in zip(done["results"][:-1], beside["outputs"], strict=True):
        assert hashlib.sha256(consumer.result(done["jobId"], file["index"])).hexdigest() == output["sha256"]
    assert job["imageDigest"] != "0x" + "00" * 32 and beside["algorithm"]["files"]
    finding = claim(receipt, market.chain.url, None)
    assert finding.is_good and done["payment"]["claimTx"] in finding.found
    (event,) = market.events(said["payee"], int(receipt["message"]["jobId"]))[1:]
    process = node_process(
        installed(VERSIONS[0]), HERE / "receipt.mjs", consumer.key, str(path), "0x" + event.proof.hex()
    )
    assert json.loads(process.communicate(timeout=60)[0])["isPaid"] is True


def test_who_deposited_nothing_is_told_so_and_nothing_is_locked(market: Market) -> None:
    consumer = wallet(market, 9)
    with pytest.raises(AssertionError, match=r"does not have enough funds|No escrow auths"):
        market.buy("none", VERSIONS[0], consumer.key, "true")
    assert consumer.status() == []
