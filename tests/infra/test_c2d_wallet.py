"""The consumer's own transactions, on a chain with the published contracts; and the look for a receipt's claim."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from infra.c2d.claim_check import claim
from infra.c2d.failures import Failure, Unreachable
from infra.c2d.money import Unit
from infra.c2d.terminal import Screen
from infra.c2d.wallet import Standing, Wallet, authorize_step, open_wallet, plan
from shared.escrow.words import Authorization, Funds, LockTerms, claim_locks, create_lock
from shared.names import Address
from shared.receipts import make_receipt
from tests.needs import needs
from tests.shared.receipt_samples import PRICE, facts, terms

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain

TOK = Unit("TOK", 18)
ONE = 10**18
QUOTED = {"token": "0x" + "7a" * 20, "escrowAddress": "0x" + "e5" * 20, "payee": "0x" + "22" * 20, "chainId": 8996}
POOR = Standing(ONE, 10 * ONE, 0, Funds(0, 0), None)
READY = Standing(ONE, 0, 0, Funds(5 * ONE, 0), Authorization(5 * ONE, 0, 3600, 1, 0))


def functions(standing: Standing, amount_wei: int = 2 * ONE, lock_s: int = 3600) -> list[str]:
    """What would be called, in order."""
    return [step.call.function for step in plan(standing, TOK, QUOTED, amount_wei, lock_s)]


@pytest.mark.parametrize(
    ("sentence", "standing", "called"),
    [
        ("nothing was ever done", POOR, ["approve", "deposit", "authorize"]),
        ("the escrow may take it already", replace(POOR, allowance_wei=9 * ONE), ["deposit", "authorize"]),
        ("all is there", READY, []),
        ("some is locked", replace(READY, authorization=Authorization(5 * ONE, 4 * ONE, 3600, 9, 1)), ["authorize"]),
        ("one lock too many", replace(READY, authorization=Authorization(5 * ONE, 0, 3600, 1, 1)), ["authorize"]),
        ("not long enough", replace(READY, authorization=Authorization(5 * ONE, 0, 3599, 1, 0)), ["authorize"]),
        ("limits without end", replace(READY, authorization=Authorization(*[2**256 - 1, 0, *[2**256 - 1] * 2], 7)), []),
    ],
)  # fmt: skip
def test_only_what_is_missing_is_planned(sentence: str, standing: Standing, called: list[str]) -> None:
    assert functions(standing) == called, sentence


def test_limits_are_never_made_smaller() -> None:
    was = Authorization(50 * ONE, 0, 60, 9, 0)
    (step,) = plan(replace(READY, authorization=was), TOK, QUOTED, 2 * ONE, 3600)
    assert step.call.arguments[2:] == (50 * ONE, 3600, 9)


@pytest.mark.parametrize(
    ("standing", "said"), [(replace(POOR, held_wei=ONE), "holds 1 TOK"), (replace(POOR, coins_wei=0), "no coin")]
)
def test_what_a_wallet_lacks_is_said_before_anything_is_sent(standing: Standing, said: str) -> None:
    with pytest.raises(Failure, match=said):
        functions(standing)


def given(anvil: AnvilChain, escrow: str | None) -> argparse.Namespace:
    """What was typed."""
    return argparse.Namespace(rpc=anvil.url, escrow=escrow, yes=True)


def opened(anvil: AnvilChain) -> tuple[Wallet, dict[str, Any]]:
    """The consumer's wallet, and what a node would quote."""
    from tests.services.local_chain import ADDRESSES, CONSUMER, KEYS, NODE

    where = anvil.contracts
    quoted = {
        "chainId": anvil.config.chain_id,
        "escrowAddress": where.escrow,
        "token": where.token,
        "payee": ADDRESSES[NODE],
    }
    anvil.mint(where.token, ADDRESSES[CONSUMER], 10 * ONE)
    return open_wallet(quoted, KEYS[CONSUMER], given(anvil, where.escrow)), quoted


@needs("anvil")
def test_an_unpublished_escrow_is_refused_unless_it_is_named(anvil: AnvilChain) -> None:
    quoted = {**QUOTED, "escrowAddress": anvil.contracts.escrow}
    with pytest.raises(Failure, match="none of the published"):
        open_wallet(quoted, b"\x11" * 32, given(anvil, None))
    with pytest.raises(Failure, match="none of the published"):
        open_wallet(quoted, b"\x11" * 32, given(anvil, "0x" + "99" * 20))
    with pytest.raises(Failure, match="RPC"):
        open_wallet(quoted, b"\x11" * 32, argparse.Namespace(rpc=None, escrow=None))


@needs("anvil")
def test_after_the_plan_is_carried_out_nothing_is_missing(anvil: AnvilChain) -> None:
    wallet, quoted = opened(anvil)
    token, payee = Address(quoted["token"]), Address(quoted["payee"])
    steps = plan(wallet.look(token, payee), TOK, quoted, 2 * ONE, 3600)
    assert [step.call.function for step in steps] == ["approve", "deposit", "authorize"]
    wallet.carry_out(steps, Screen(wants_json=True))
    after = wallet.look(token, payee)
    assert (after.funds, after.held_wei) == (Funds(2 * ONE, 0), 8 * ONE)
    assert plan(after, TOK, quoted, 2 * ONE, 3600) == []


@needs("anvil")
def test_what_the_contract_refuses_is_said_in_its_words(anvil: AnvilChain) -> None:
    wallet, quoted = opened(anvil)
    nobody = {**quoted, "payee": "0x" + "0" * 40}
    with pytest.raises(Failure, match="Invalid payee"):
        wallet.carry_out([authorize_step(TOK, nobody, 1, 1, 1)], Screen(wants_json=True))


@needs("anvil")
def test_a_receipts_claim_is_found_on_the_chain(anvil: AnvilChain) -> None:
    from tests.services.local_chain import ADDRESSES, CONSUMER, KEYS, NODE

    where, amount = anvil.contracts, 2 * PRICE.wei(90, 18)
    payer = anvil.prepare_payer()
    paid = terms(
        chain_id=anvil.config.chain_id, escrow=where.escrow, token=where.token, payer=payer, payee=ADDRESSES[NODE],
        lock_wei=3 * amount, amount_wei=amount,
    )  # fmt: skip
    made = make_receipt(paid, [facts(0), facts(1)], KEYS[NODE])
    lock = LockTerms(paid.onchain_id, where.token, payer, 3 * amount)
    assert anvil.send(create_lock(where.escrow, lock, 3600), KEYS[NODE]).is_good
    assert "not found" in claim(made.document, anvil.url, None).found
    settled = anvil.send(claim_locks(where.escrow, [replace(lock, amount_wei=amount, proof=made.proof)]), KEYS[NODE])
    assert settled.is_good and payer == ADDRESSES[CONSUMER]
    for named in (None, settled.tx_hash):
        finding = claim(made.document, anvil.url, named)
        assert finding.is_good and settled.tx_hash in finding.found
    other = make_receipt(replace(paid, amount_wei=0), [facts(0, billed_s=0, cost_wei=0)], KEYS[NODE])
    assert claim(other.document, anvil.url, None).found.endswith("another amount, proof")


@needs("anvil")
def test_a_chain_out_of_reach_is_no_verdict(anvil: AnvilChain) -> None:
    made = make_receipt(terms(chain_id=1), [facts(0)], b"\x22" * 32)
    with pytest.raises(Unreachable):
        claim(made.document, anvil.url, None)
