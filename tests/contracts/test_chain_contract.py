"""What a chain is asked and answers: one body, on eth-tester inside the process and on anvil over HTTP.

What surprises people of the escrow contract is asserted here, since all that settles payments relies on it.
"""

from __future__ import annotations

import os

import pytest

from shared.errors import InvalidRequest, Unavailable
from shared.escrow.words import (
    ChainCall,
    EventName,
    Funds,
    Kind,
    LockTerms,
    Reverted,
    TxReceipt,
    claim_locks,
    create_lock,
    give_up_nonce,
)
from shared.names import Address
from tests.needs import needs
from tests.services.local_chain import ADDRESSES, CONSUMER, GAS, KEYS, NODE, OTHER, PRICE, LocalChain

pytestmark = needs("chain", "anvil")
NOBODY = Address("0x" + "12" * 20)
WHOLE = 10**18


def lock(local: LocalChain, onchain_id: int, amount_wei: int = WHOLE, lock_s: int = 3600) -> TxReceipt:
    """Lock an amount of the consumer's, who has deposited 100 tokens."""
    return local.send(create_lock(local.contracts.escrow, terms(local, onchain_id, amount_wei), lock_s), KEYS[NODE])


def terms(local: LocalChain, onchain_id: int, amount_wei: int, proof: bytes = b"") -> LockTerms:
    return LockTerms(onchain_id, local.contracts.token, ADDRESSES[CONSUMER], amount_wei, proof)


def claim(local: LocalChain, *claims: LockTerms) -> TxReceipt:
    return local.send(claim_locks(local.contracts.escrow, claims), KEYS[NODE])


@pytest.fixture
def paid(local_chain: LocalChain) -> LocalChain:
    """A chain on which the consumer has deposited and authorized."""
    local_chain.prepare_payer()
    return local_chain


def test_blocks_follow_one_another_and_the_final_one_lies_behind(local_chain: LocalChain) -> None:
    chain = local_chain.chain
    local_chain.mine(5)
    head, final = chain.head(), chain.final()
    assert final.number == head.number - 2
    assert chain.block(head.number) == head
    assert chain.block(head.number + 1000) is None


def test_what_is_locked_and_claimed_is_seen_in_funds_locks_and_events(paid: LocalChain) -> None:
    chain, token, first = paid.chain, paid.contracts.token, paid.chain.head().number
    locked = lock(paid, 7)
    (told,) = locked.events
    assert (told.name, told.onchain_id, told.amount_wei, told.lock_s) == (EventName.LOCK, 7, WHOLE, 3600)
    (open_lock,) = chain.locks(ADDRESSES[NODE])
    block = chain.block(locked.block)
    assert block is not None and open_lock.expires_at_s == block.time_s + 3600
    assert chain.funds(ADDRESSES[CONSUMER], token) == Funds(99 * WHOLE, WHOLE)
    claimed = claim(paid, terms(paid, 7, WHOLE // 4, b"proof"))
    (told,) = claimed.events
    assert (told.name, told.amount_wei, told.proof) == (EventName.CLAIMED, WHOLE // 4, b"proof")
    assert chain.funds(ADDRESSES[CONSUMER], token) == Funds(100 * WHOLE - WHOLE // 4, 0)
    assert chain.locks(ADDRESSES[NODE]) == []
    seen = chain.events(first, chain.head().number, ADDRESSES[NODE])
    assert [event.name for event in seen] == [EventName.LOCK, EventName.CLAIMED]
    assert chain.events(first, chain.head().number, ADDRESSES[OTHER]) == []
    assert chain.locks(ADDRESSES[NODE], at_block=locked.block) == [open_lock]


def test_a_claim_of_nothing_gives_all_back_at_once(paid: LocalChain) -> None:
    lock(paid, 7)
    assert claim(paid, terms(paid, 7, 0)).is_good
    assert paid.chain.funds(ADDRESSES[CONSUMER], paid.contracts.token) == Funds(100 * WHOLE, 0)


def test_a_claim_that_is_too_late_is_mined_and_pays_nothing(paid: LocalChain) -> None:
    lock(paid, 7, lock_s=60)
    paid.pass_time(120)
    late = claim(paid, terms(paid, 7, WHOLE))
    assert late.is_good and [event.name for event in late.events] == [EventName.CANCELED]
    assert paid.chain.funds(ADDRESSES[CONSUMER], paid.contracts.token) == Funds(100 * WHOLE, 0)


def test_an_expired_lock_is_cancelled_and_what_is_not_there_is_no_error(paid: LocalChain) -> None:
    lock(paid, 7, lock_s=60)
    paid.pass_time(120)
    of_lock = (7, paid.contracts.token, ADDRESSES[CONSUMER], ADDRESSES[NODE])
    call = ChainCall(paid.contracts.escrow, "cancelExpiredLock", of_lock)
    assert [event.name for event in paid.send(call, KEYS[NODE]).events] == [EventName.CANCELED]
    again = paid.send(call, KEYS[NODE])
    assert again.is_good and not again.events


def test_several_claims_in_one_transaction_tell_of_each(paid: LocalChain) -> None:
    for number in (1, 2, 3):
        lock(paid, number)
    told = claim(paid, *(terms(paid, number, number) for number in (1, 2, 3))).events
    assert {event.onchain_id: event.amount_wei for event in told} == {1: 1, 2: 2, 3: 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount_wei": 101 * WHOLE}, "Payer does not have enough funds"),
        ({"onchain_id": 0}, "Invalid jobId"),
        ({"amount_wei": 0}, "Invalid amount"),
        ({"lock_s": 10**7}, "Expiry too high"),
        ({"onchain_id": 99}, "JobId already exists"),
    ],
)
def test_what_the_contract_refuses_is_told_in_its_own_words(
    paid: LocalChain, change: dict[str, int], said: str
) -> None:
    lock(paid, 99)
    wanted = {"onchain_id": 5, "amount_wei": WHOLE, "lock_s": 3600} | change
    call = create_lock(paid.contracts.escrow, terms(paid, wanted["onchain_id"], wanted["amount_wei"]), wanted["lock_s"])
    with pytest.raises(Reverted, match=said):
        paid.chain.simulate(call, ADDRESSES[NODE])
    with pytest.raises(Reverted, match=said):
        paid.chain.gas(call, ADDRESSES[NODE])


def test_a_good_call_can_be_tried_and_leaves_nothing(paid: LocalChain) -> None:
    call = create_lock(paid.contracts.escrow, terms(paid, 5, WHOLE), 3600)
    paid.chain.simulate(call, ADDRESSES[NODE])
    assert 21_000 < paid.chain.gas(call, ADDRESSES[NODE]) < GAS
    assert paid.chain.locks(ADDRESSES[NODE]) == []


def test_limits_are_read_as_they_were_given(paid: LocalChain) -> None:
    lock(paid, 7)
    found = paid.chain.authorization(paid.contracts.token, ADDRESSES[CONSUMER], ADDRESSES[NODE])
    assert found is not None
    assert (found.most_locked_wei, found.locked_wei, found.most_locks, found.open_locks) == (10**30, WHOLE, 100, 1)
    assert paid.chain.authorization(paid.contracts.token, ADDRESSES[OTHER], ADDRESSES[NODE]) is None


def test_tokens_say_what_they_are_and_others_are_refused(local_chain: LocalChain) -> None:
    chain, contracts = local_chain.chain, local_chain.contracts
    assert (chain.token(contracts.token).decimals, chain.token(contracts.coin).decimals) == (18, 6)
    assert chain.token(contracts.token).symbol == "TOK"
    for address in (NOBODY, contracts.router):
        with pytest.raises(InvalidRequest, match="is no token"):
            chain.token(address)


def test_who_holds_a_token_of_the_list_is_let_in(local_chain: LocalChain) -> None:
    chain, access_list = local_chain.chain, local_chain.contracts.access_list
    assert chain.holds(access_list, ADDRESSES[CONSUMER]) and not chain.holds(access_list, ADDRESSES[OTHER])
    assert not chain.holds(NOBODY, ADDRESSES[CONSUMER])


def test_a_wallet_without_code_signs_nothing(local_chain: LocalChain) -> None:
    digest = os.urandom(32)
    assert not local_chain.chain.is_signed_by_contract(ADDRESSES[OTHER], digest, bytes(65))
    assert not local_chain.chain.is_signed_by_contract(local_chain.contracts.wallet, digest, bytes(65))


def test_the_kind_of_the_contract_is_found_and_its_least_fee(local_chain: LocalChain) -> None:
    contracts = local_chain.contracts
    assert local_chain.chain.kind() is Kind.ESCROW
    assert local_chain.enterprise.kind() is Kind.ENTERPRISE
    assert local_chain.open(escrow=contracts.router).kind() is None
    assert local_chain.chain.least_fee_wei(contracts.token) == 0
    assert local_chain.enterprise.least_fee_wei(contracts.token) == 5 * 10**16
    with pytest.raises(Reverted):
        local_chain.enterprise.least_fee_wei(contracts.stranger)


def test_a_nonce_is_given_up_with_a_transfer_of_nothing(local_chain: LocalChain) -> None:
    before = local_chain.chain.nonce(ADDRESSES[NODE])
    receipt = local_chain.send(give_up_nonce(ADDRESSES[NODE]), KEYS[NODE], gas=21_000)
    assert receipt.is_good and receipt.gas_used == 21_000
    assert local_chain.chain.nonce(ADDRESSES[NODE]) == before + 1
    assert local_chain.chain.nonce(ADDRESSES[NODE], at_block=receipt.block - 1) == before


def test_signing_is_the_same_every_time_and_an_unmined_one_has_no_receipt(local_chain: LocalChain) -> None:
    signed = [local_chain.chain.sign(give_up_nonce(ADDRESSES[NODE]), KEYS[NODE], 40, 21_000, PRICE) for _ in range(2)]
    assert signed[0] == signed[1]
    assert local_chain.chain.receipt(signed[0].tx_hash) is None


def test_no_contract_where_the_escrow_should_be_is_never_an_empty_answer(local_chain: LocalChain) -> None:
    chain = local_chain.open(escrow=NOBODY)
    with pytest.raises(Unavailable, match="no escrow"):
        chain.locks(ADDRESSES[NODE])
    with pytest.raises(Unavailable, match="no escrow"):
        chain.funds(ADDRESSES[CONSUMER], local_chain.contracts.token)


def test_the_rpc_of_another_chain_is_out_of_reach(local_chain: LocalChain) -> None:
    with pytest.raises(Unavailable, match="it is the RPC of chain"):
        local_chain.open(chain_id=1).head()


def test_a_reverted_transaction_is_mined_and_not_good(paid: LocalChain) -> None:
    assert not claim(paid, terms(paid, 12345, 1)).is_good


def test_a_call_that_nobody_knows_is_no_crash(local_chain: LocalChain) -> None:
    with pytest.raises(Reverted):
        local_chain.chain.simulate(
            ChainCall(local_chain.contracts.token, "claimLocks", ([], [], [], [], [])), ADDRESSES[NODE]
        )
