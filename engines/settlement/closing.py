"""Own the end of a paid workflow's work: its cost, its receipt, the proof, and the receipt among the results."""

from __future__ import annotations

import json

from engines.settlement.till import Till
from shared import fees
from shared.db import inputs, job_views, payment_moves, payments, results
from shared.db.job_views import JobRow
from shared.db.payment_tables import Payment
from shared.errors import Conflict
from shared.escrow.words import Kind, Reverted
from shared.lifecycle import Reason
from shared.names import Address, JobId, WorkflowId, result_key
from shared.payment_states import PaymentState
from shared.receipt_facts import job_facts
from shared.receipts import FILENAME, Receipt, Terms, make_receipt


def finish_work(till: Till, workflow_id: str) -> None:
    """Write down what was used and sign for it; the claim is due. Raises: Conflict, Unavailable."""
    payment = payments.find(workflow_id)
    assert payment is not None
    rows = job_views.get_workflow(WorkflowId(workflow_id))
    costs = [_cost(payment, row) for row in rows]
    least = least_wei(till, payment) if sum(costs) else 0
    amount = min(max(sum(costs), least), payment.lock_amount)
    receipt = _receipt(till, payment, rows, costs, amount, least)
    changes = {"claim_amount": amount, "proof": receipt.proof.hex(), "receipt": receipt.document, "outcome": None}
    to = PaymentState.CLAIM_DUE
    if not payment_moves.move(workflow_id, PaymentState.LOCKED, to, till.now_ms(), changes):
        raise Conflict("Somebody else wrote the receipt.")


def least_wei(till: Till, payment: Payment) -> int:
    """What the contract lets be claimed at the least; 0 where it takes any amount. Raises: Unavailable."""
    if till.chain.config.kind is not Kind.ENTERPRISE:
        return 0
    try:
        return till.chain.least_fee_wei(Address(payment.token))
    except Reverted:
        return 0  # a token that is refused now: the claim itself will tell


def deposit(till: Till, workflow_id: str) -> None:
    """Put the receipt among each job's results; repeated, it changes nothing."""
    payment = payments.find(workflow_id)
    if payment is None or payment.receipt is None:
        return
    text = json.dumps(payment.receipt, indent=2, sort_keys=True).encode()
    for row in job_views.get_workflow(WorkflowId(workflow_id)):
        job_id = JobId(row.job.job_id)
        if FILENAME not in results.filenames(job_id):
            stored = till.storage.write(result_key(job_id, FILENAME), iter([text]))
            results.record_result(job_id, FILENAME, stored, till.now_ms())


def _price(payment: Payment, row: JobRow) -> fees.JobPrice:
    return next(each for each in fees.prices_of(payment.price) if each.job_id == row.job.job_id)


def _ran(row: JobRow) -> fees.Ran:
    job = row.job
    return fees.Ran(
        job.started_at_ms,
        job.stopped_at_ms,
        job.build_started_at_ms,
        job.build_stopped_at_ms,
        job.reason == Reason.LOST.value,
    )


def _cost(payment: Payment, row: JobRow) -> int:
    return fees.cost_wei(_price(payment, row), payment.decimals, _ran(row))


def _receipt(till: Till, payment: Payment, rows: list[JobRow], costs: list[int], amount: int, least: int) -> Receipt:
    facts = [
        job_facts(
            row,
            inputs.inputs_of(JobId(row.job.job_id)),
            _price(payment, row).to_document(),
            fees.billed_s(_price(payment, row), _ran(row)),
            cost,
        )
        for row, cost in zip(rows, costs, strict=True)
    ]
    terms = Terms(
        chain_id=payment.chain_id,
        escrow=Address(payment.escrow),
        workflow_id=payment.workflow_id,
        onchain_id=int(payment.onchain_id, 16),
        payer=Address(payment.payer),
        payee=Address(payment.payee),
        token=Address(payment.token),
        symbol=payment.symbol,
        decimals=payment.decimals,
        lock_wei=payment.lock_amount,
        amount_wei=amount,
        least_wei=least,
    )
    return make_receipt(terms, facts, till.key)
