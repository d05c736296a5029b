"""Paid workflows in a real database, on the chain in memory: written as a paid start writes them, their jobs ended."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engines.settlement.passes import settle_once
from engines.settlement.till import Till
from engines.settlement.views import Rules
from shared import fees
from shared.db import moves, payments, slots, workflows
from shared.db.connection import session, transaction
from shared.db.payment_tables import Payment
from shared.db.tables import Job
from shared.errors import Unavailable
from shared.escrow.words import Chain, ChainConfig, Fees, LockTerms, create_lock
from shared.lifecycle import JobStatus, is_finished
from shared.names import Address, JobId, new_token
from shared.payment_states import PaymentState
from shared.storage.local import LocalStorage
from tests.engines.settlement.model_chain import PAYEE, TOKEN, ModelChain
from tests.flows.harness import ALICE, Clock, job
from tests.shared.db.rows import BOX

ESCROW = Address("0x" + "e5" * 20)
PAYER = Address("0x" + "bb" * 20)
NODE_KEY = b"\x22" * 32
RULES = Rules(confirmations=2, claim_window_s=600, resend_ms=5_000, bump_ms=20_000, gather_ms=10_000, retry_ms=1_000)
LOCK = 10**18


@dataclass
class Office:
    """A chain, a till on it, and our clock."""

    chain: ModelChain
    till: Till
    clock: Clock

    def settle(self, rounds: int = 1, blocks: int = 1) -> None:
        """Passes, with blocks between them; what is out of reach is left to the next."""
        for _ in range(rounds):
            try:
                while settle_once(self.till):
                    pass
            except Unavailable:
                pass
            for _ in range(blocks):
                self.chain.mine()
            self.clock.advance(10)


def office(folder: Path, seed: int = 1, finality: int = 4) -> Office:
    """With a payer who has plenty."""
    config = ChainConfig(8996, "", ESCROW, confirmations=2, finality_blocks=finality)
    chain = ModelChain(random.Random(seed), config, start_nonce=3)
    chain.deposit(PAYER, 10**27)
    clock = Clock()
    (folder / "results").mkdir(exist_ok=True)
    slots.ensure_signer(8996, PAYEE, 3)
    return Office(chain, Till(chain, PAYEE, NODE_KEY, LocalStorage(folder / "results"), clock, RULES), clock)


def start(
    till: Till,
    jobs: int = 1,
    amount: int = LOCK,
    lock_s: int = 50_000,
    payer: Address = PAYER,
    token: Address = TOKEN,
    gas: int = 60_000,
) -> str:
    """Write a paid workflow, held back until its lock is confirmed; its id."""
    chain: Chain = till.chain
    at_ms = till.now_ms()
    wanted = workflows_of(jobs)
    gas_fees = Fees(2 * chain.fees().base_wei, 1)
    with transaction():
        slots.lock_signer(till.chain_id, till.payee)
        workflow_id, job_ids = workflows.insert(workflows.Submission(wanted, ALICE, ALICE, False, at_ms, BOX, str))
        Job.update(unmet=Job.unmet + 1, ready_at_ms=None).where(Job.workflow_id == workflow_id).execute()
        terms = LockTerms(int.from_bytes(hashlib.sha256(workflow_id.encode()).digest()), token, payer, amount)
        call = create_lock(chain.config.escrow, terms, lock_s)

        def sign(nonce: int) -> slots.Prepared:
            return slots.Prepared(chain.sign(call, till.key, nonce, gas, gas_fees), gas, gas_fees)

        tx_hash = slots.take_slot(till.chain_id, till.payee, "lock", [workflow_id], sign, at_ms)
        payments.insert(new(till, workflow_id, job_ids, terms, lock_s), tx_hash, at_ms)
    return workflow_id


def workflows_of(jobs: int) -> workflows.Workflow:
    """So many jobs, independent of each other."""
    return workflows.Workflow(door="workflow", jobs=tuple(job(at) for at in range(jobs)), queue_max_wait_s=86_400)


def new(till: Till, workflow_id: str, job_ids: list[JobId], terms: LockTerms, lock_s: int) -> payments.NewPayment:
    """Each job: half a token a minute, a minute at least, two granted... shared out so that all fit the lock."""
    price = Decimal(terms.amount_wei) / (2 * len(job_ids)) / 10**18
    prices = [
        fees.JobPrice(at, "env", (fees.Line("cpu", 1000, price),), 60, 120, job_id) for at, job_id in enumerate(job_ids)
    ]
    return payments.NewPayment(
        workflow_id=workflows.WorkflowId(workflow_id),
        chain_id=till.chain_id,
        escrow=till.chain.config.escrow,
        kind=str(till.chain.config.kind),
        onchain_id=terms.onchain_id,
        payer=terms.payer,
        payee=till.payee,
        token=terms.token,
        decimals=18,
        symbol="OCEAN",
        lock_amount=terms.amount_wei,
        lock_s=lock_s,
        price=fees.document(prices),
    )


def end_jobs(till: Till, workflow_id: str, ran_s: int | None = 50) -> None:
    """End a workflow's ready jobs: ran for so many seconds, or never started (null)."""
    at_ms = till.now_ms()
    for row in jobs_of(workflow_id):
        if is_finished(JobStatus(row.status)) or row.unmet:
            continue
        token = new_token()
        ran = {} if ran_s is None else {"started_at_ms": at_ms, "stopped_at_ms": at_ms + ran_s * 1000, "exit_code": 0}
        was, to = JobStatus.PUBLISHING, JobStatus.FINISHED
        if ran_s is None:
            was, to = JobStatus.PULLING_IMAGE, JobStatus.IMAGE_PULL_FAILED
        with session():
            Job.update(status=was.value, lease_token=token, **ran).where(Job.job_id == row.job_id).execute()
        moves.move(JobId(row.job_id), was, to, token, at_ms)


def jobs_of(workflow_id: str) -> list[Job]:
    """The workflow's jobs in order."""
    with session():
        return list(Job.select().where(Job.workflow_id == workflow_id).order_by(Job.index))


def payment(workflow_id: str) -> Payment:
    """The row as it is now."""
    found = payments.find(workflow_id)
    assert found is not None
    return found


def state(workflow_id: str) -> PaymentState:
    """Where the payment stands."""
    return PaymentState(payment(workflow_id).state)
