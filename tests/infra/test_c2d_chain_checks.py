"""What `c2d doctor` says of chains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from infra.c2d import chain_checks
from shared.addresses import address_of
from shared.db import slots
from shared.escrow.words import Kind, give_up_nonce
from shared.names import Address
from tests import factories
from tests.needs import needs
from tests.services.anvil import AnvilChain
from tests.services.local_chain import ADDRESSES, KEYS, NODE, LocalChain
from tests.services.tester_chain import TesterChain

pytestmark = needs("chain")
PAYEE = ADDRESSES[NODE]


def test_a_chain_that_is_as_it_should_be(tester_chain: TesterChain, quick_database: str) -> None:
    chain = tester_chain.chain
    checks = [chain_checks.reached(chain), chain_checks.contract(chain), chain_checks.coin(chain, PAYEE)]
    checks += chain_checks.key_use(chain, PAYEE)
    assert [check.state for check in checks] == ["ok"] * 4


def test_another_contract_or_kind_is_told_with_what_to_set(tester_chain: TesterChain) -> None:
    nothing = chain_checks.contract(tester_chain.open(escrow=tester_chain.contracts.router))
    assert nothing.state == "fail" and "no escrow at" in nothing.found
    other = chain_checks.contract(tester_chain.open(kind=Kind.ENTERPRISE))
    assert other.state == "fail" and other.to_do == 'set "kind": "escrow"'


def test_a_node_without_coin_is_told_where_to_send_it(tester_chain: TesterChain) -> None:
    poor = Address("0x" + "12" * 20)
    check = chain_checks.coin(tester_chain.chain, poor)
    assert (check.state, check.to_do) == ("fail", f"send coin to {poor}")


def test_a_key_that_somebody_else_uses_is_told(tester_chain: TesterChain, quick_database: str) -> None:
    chain = tester_chain.chain
    slots.ensure_signer(chain.config.chain_id, PAYEE, chain.nonce(PAYEE))
    assert [check.state for check in chain_checks.key_use(chain, PAYEE)] == ["ok"]
    tester_chain.send(give_up_nonce(PAYEE), KEYS[NODE], gas=21_000)
    (check,) = chain_checks.key_use(chain, PAYEE)
    assert check.state == "fail" and "somebody else" in check.to_do


def examined(local: LocalChain, folder: Path, database_url: str) -> list[str]:
    settings = factories.settings(folder, database_url)
    return [check.state for check in chain_checks.examine(replace(settings, chains=(local.config,)))]


@needs("anvil")
def test_everything_is_looked_at_over_http_and_a_silent_one_is_one_line(
    anvil: AnvilChain, quick_database: str, tmp_path: Path
) -> None:
    assert examined(anvil, tmp_path, quick_database) == ["ok", "ok", "fail", "ok"]  # no coin yet
    anvil.fund(Address(address_of(factories.NODE_KEY).lower()))
    assert examined(anvil, tmp_path, quick_database)[2] in ("ok", "warn")
    anvil.config = replace(anvil.config, rpc="http://127.0.0.1:1")
    try:
        assert examined(anvil, tmp_path, quick_database) == ["fail"]
    finally:
        anvil.config = replace(anvil.config, rpc=anvil.url)
