"""Whole payments on real rows: locked, released, claimed with proof, refunded, failed, undone; on both databases."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from engines.settlement.reconcile import reconcile
from shared.db import jobs, moves, results, slot_views, slots
from shared.escrow.words import EventName, Fees, LockTerms, create_lock
from shared.lifecycle import JobStatus
from shared.names import JobId
from shared.payment_states import PaymentState as State
from shared.receipt_checks import check
from tests.engines.settlement.model_chain import PAYEE, TOKEN
from tests.engines.settlement.rows import ESCROW, LOCK, PAYER, Office, end_jobs, jobs_of, office, payment, start, state
from tests.shared.db.rows import put


@pytest.fixture
def node(database: str, tmp_path: Path) -> Office:
    return office(tmp_path)


def test_a_payment_from_lock_to_claim(node: Office) -> None:
    name = start(node.till, jobs=2)
    node.settle(blocks=1)
    assert state(name) is State.LOCK_SENT and all(job.unmet == 1 for job in jobs_of(name))
    node.settle(2)
    assert state(name) is State.LOCKED and all(job.unmet == 0 and job.ready_at_ms for job in jobs_of(name))
    end_jobs(node.till, name)
    node.settle(2)
    row = payment(name)
    assert (state(name), row.claim_amount, row.is_final) == (State.SETTLED, LOCK // 2, False)
    node.settle(6)
    assert payment(name).is_final
    assert node.chain.state.paid == LOCK // 2
    assert node.chain.state.available[PAYER] == 10**27 - LOCK // 2


def test_the_proof_is_on_chain_and_the_receipt_among_the_results(node: Office) -> None:
    name = start(node.till, jobs=2)
    node.settle(3)
    end_jobs(node.till, name)
    node.settle(8)
    row = payment(name)
    told = [e for e in node.chain.events(0, node.chain.head().number, PAYEE) if e.name is EventName.CLAIMED]
    assert len(bytes.fromhex(row.proof)) == 98 and len(told) == 1
    for job in jobs_of(name):
        (found,) = [each for each in results.results_of(JobId(job.job_id)) if each.type == "receipt"]
        document = json.loads(b"".join(node.till.storage.read(found.key)))
        assert document == row.receipt
        check(document)


def test_what_never_started_costs_nothing(node: Office) -> None:
    name = start(node.till)
    node.settle(3)
    end_jobs(node.till, name, ran_s=None)
    node.settle(10)
    assert (state(name), payment(name).claim_amount, payment(name).is_final) == (State.REFUNDED, 0, True)
    assert node.chain.state.available[PAYER] == 10**27


def test_a_lock_the_contract_refuses_ends_its_jobs_and_costs_no_reverted_transaction(node: Office) -> None:
    name = start(node.till, amount=10**28)
    node.settle(10)
    assert state(name) is State.LOCK_FAILED and "enough funds" in str(payment(name).outcome)
    (job,) = jobs_of(name)
    assert (job.status, job.reason) == (
        JobStatus.QUEUE_EXPIRED.value,
        "payment",
    ) and "enough funds" in job.reason_detail
    assert node.chain.reverted == 0 and node.chain.state.nonce == 4


def test_a_workflow_stopped_before_its_lock_was_sent_is_not_locked_at_all(node: Office) -> None:
    name = start(node.till)
    jobs.request_stop([JobId(job.job_id) for job in jobs_of(name)], node.clock())

    for job in jobs_of(name):
        token = put(JobId(job.job_id), JobStatus.QUEUED)

        assert moves.move(JobId(job.job_id), JobStatus.QUEUED, JobStatus.FINISHED, token, node.clock())
    node.settle(10)
    assert state(name) is State.LOCK_FAILED and not node.chain.state.locks
    assert jobs_of(name)[0].status == JobStatus.FINISHED.value


def test_claims_that_are_due_together_go_together(node: Office) -> None:
    names = [start(node.till) for _ in range(5)]
    node.settle(3)
    for name in names:
        end_jobs(node.till, name)
    node.settle(10)
    assert {state(name) for name in names} == {State.SETTLED}
    assert node.chain.state.nonce == 3 + 5 + 1


def test_one_that_the_contract_refuses_keeps_no_other_waiting(node: Office) -> None:
    names = [start(node.till) for _ in range(4)]
    node.settle(3)
    for name in names:
        end_jobs(node.till, name)
    refused = names[1]
    original = node.chain._claim

    def refuse(state_: object, block: object, tx: str, id_: int, *rest: object) -> object:
        from shared.escrow.words import Reverted

        if id_ == int(payment(refused).onchain_id, 16):
            raise Reverted("Panic 0x11")
        return original(state_, block, tx, id_, *rest)  # type: ignore[arg-type]

    node.chain._claim = refuse  # type: ignore[assignment]
    node.settle(10)
    assert [state(name) for name in names] == [State.SETTLED, State.CLAIM_DUE, State.SETTLED, State.SETTLED]
    assert "Panic" in str(payment(refused).outcome)
    node.chain._claim = original  # type: ignore[method-assign]
    node.settle(10)
    assert state(refused) is State.SETTLED and payment(refused).outcome is None


def test_blocks_undone_change_nothing_in_the_end(node: Office) -> None:
    name = start(node.till)
    node.settle(3)
    node.chain.reorg(3)
    assert not node.chain.state.locks
    end_jobs(node.till, name)
    node.settle(2)
    assert state(name) in (State.CLAIM_DUE, State.CLAIM_PREPARED, State.CLAIM_SENT, State.SETTLED)
    node.chain.reorg(2)
    node.settle(12)
    assert state(name) is State.SETTLED and payment(name).is_final
    assert node.chain.state.paid == LOCK // 2 and node.chain.state.nonce == 5


def test_blocks_thought_final_that_are_undone_leave_no_gap(node: Office) -> None:
    name = start(node.till)
    node.settle(3)
    end_jobs(node.till, name)
    node.settle(12)
    assert payment(name).is_final
    node.chain.reorg(len(node.chain.blocks) - 1)
    assert node.chain.state.nonce == 3
    other = start(node.till)
    node.settle(12)
    assert (state(name), payment(name).is_final, state(other)) == (State.SETTLED, True, State.LOCKED)
    assert node.chain.state.paid == LOCK // 2


def test_a_late_claim_is_sent_all_the_same_and_gives_back(node: Office) -> None:
    name = start(node.till, lock_s=700)
    node.settle(3)
    end_jobs(node.till, name)
    node.chain.mine(5_000)
    node.settle(10)
    row = payment(name)
    assert (state(name), row.is_final) == (State.EXPIRED, True) and "ran out" in str(row.outcome)
    assert row.cancel_tx and not row.claim_tx
    assert node.chain.state.paid == 0 and not node.chain.state.locks


def test_jobs_that_would_outlive_their_lock_are_stopped(node: Office) -> None:
    name = start(node.till, lock_s=1_000)
    node.settle(3)
    node.chain.mine(700)
    node.settle()
    assert all(job.stop_requested for job in jobs_of(name))


def test_somebody_else_gives_an_expired_lock_back(node: Office) -> None:
    name = start(node.till, lock_s=700)
    node.settle(3)
    node.chain.mine(5_000)
    node.chain.cancel_expired()
    end_jobs(node.till, name, ran_s=None)
    node.settle(10)
    assert state(name) is State.REFUNDED and payment(name).cancel_tx


def test_a_foreign_user_of_the_key_is_noticed_and_nothing_more_is_signed(node: Office) -> None:
    name = start(node.till)
    node.settle(3)
    node.chain.foreign()
    end_jobs(node.till, name)
    node.settle(6)
    (signer,) = slot_views.problems()
    assert "somebody else has used the node's key" in str(signer.problem)
    assert state(name) is State.CLAIM_DUE
    slot_views.accept(8996, PAYEE, node.chain.nonce(PAYEE))
    node.settle(10)
    assert state(name) is State.SETTLED and not slot_views.problems()


def test_a_foreign_transaction_at_a_nonce_of_ours(node: Office) -> None:
    name = start(node.till)
    node.chain.foreign()
    node.settle(10)
    assert state(name) is State.LOCK_FAILED and "somebody else" in str(payment(name).outcome)
    assert slot_views.problems()


def test_a_lock_that_no_workflow_knows_is_given_back(node: Office) -> None:
    terms = LockTerms(77, TOKEN, PAYER, 5)
    signed = node.chain.sign(create_lock(ESCROW, terms, 50_000), b"", 3, 60_000, Fees(10, 1))
    node.chain.send(signed.raw)
    for _ in range(6):
        node.chain.mine()
    slot_views.accept(8996, PAYEE, 4)
    reconcile(node.till)
    reconcile(node.till)
    name = f"{77:064x}"
    assert (state(name), payment(name).lock_amount) == (State.CLAIM_DUE, 5)
    node.settle(10)
    assert state(name) is State.REFUNDED and not node.chain.state.locks


def test_fees_rise_where_the_first_in_line_is_not_mined(node: Office) -> None:
    name = start(node.till)
    node.settle(5, blocks=0)
    attempts = slots.attempts(8996, PAYEE, [3])
    most = [each.base_fee + each.priority_fee for each in attempts]
    assert len(most) >= 2 and all(later * 8 >= earlier * 9 for earlier, later in pairwise(most))
    node.settle(4)
    assert state(name) is State.LOCKED
    assert payment(name).lock_tx == attempts[-1].tx_hash


def test_a_chain_out_of_reach_changes_nothing(node: Office) -> None:
    name = start(node.till)
    node.chain.is_gone = True
    node.settle(3)
    assert state(name) is State.LOCK_PREPARED
    node.chain.is_gone = False
    node.settle(3)
    assert state(name) is State.LOCKED
