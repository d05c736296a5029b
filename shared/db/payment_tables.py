"""Own the tables of money: payments, and the nonces and signed bytes through which each is brought about exactly once.

One intent is one nonce: a slot is taken together with signed bytes, which are all that is ever sent for it.
Amounts are a token's smallest units as decimal text. Times are Unix milliseconds, but for the chain's own (`_s`).
"""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, BooleanField, CharField, CompositeKey, IntegerField, TextField

from shared.db.base import JsonField, Table, WeiField


class Payment(Table):
    """The money of one workflow."""

    workflow_id = CharField(64, primary_key=True)
    chain_id = BigIntegerField()
    escrow = CharField(42)
    kind = CharField(16)
    "`escrow` or `enterprise`."
    onchain_id = CharField(66)
    "0x and 64 hex: SHA-256 of the job's id (ocean-node's form) or of the workflow's."
    payer = CharField(42)
    payee = CharField(42)
    token = CharField(42)
    decimals = IntegerField()
    symbol = CharField(32, default="")
    lock_amount = WeiField()
    lock_s = BigIntegerField()
    "How long the lock lasts, from its block on."
    price = JsonField()
    "Frozen at the start: what each job may cost, see `shared.fees`."
    state = CharField(16)
    outcome = TextField(null=True)
    "Why it ended as it did, in a sentence; null while it goes as it should."
    lock_tx = CharField(66)
    "The mined, or else the newest."
    lock_block = BigIntegerField(null=True)
    lock_block_hash = CharField(66, null=True)
    expires_at_s = BigIntegerField(null=True)
    "By the chain's clock; null until the lock is mined."
    claim_amount = WeiField(null=True)
    "What was used, at most what was locked; null until all jobs are finished."
    proof = TextField(null=True)
    "Hex of what goes with the claim."
    receipt = JsonField(null=True)
    claim_tx = CharField(66, null=True)
    cancel_tx = CharField(66, null=True)
    end_block = BigIntegerField(null=True)
    "Where the claim or cancel was mined."
    end_block_hash = CharField(66, null=True)
    is_final = BooleanField(default=False)
    "Ended in a block that is never undone."
    created_at_ms = BigIntegerField()
    updated_at_ms = BigIntegerField()

    class Meta:
        indexes = (
            (("chain_id", "escrow", "payee", "payer", "onchain_id"), True),
            (("chain_id", "payee", "is_final"), False),
            (("lock_tx",), False),
        )


class ChainSigner(Table):
    """A key of ours on a chain: the next nonce it will use. The key belongs to this table alone."""

    chain_id = BigIntegerField()
    address = CharField(42)
    next_nonce = BigIntegerField()
    problem = TextField(null=True)
    "Somebody else uses the key: nothing more is signed until this is looked at."
    checked_block = BigIntegerField(default=0)
    "Events up to here were held against the books."
    checked_at_ms = BigIntegerField(default=0)

    class Meta:
        primary_key = CompositeKey("chain_id", "address")


class NonceSlot(Table):
    """One nonce, and what became of it."""

    chain_id = BigIntegerField()
    signer = CharField(42)
    nonce = BigIntegerField()
    kind = CharField(16)
    "`lock` or `claim`; a claim of 0 gives back, and one after expiry does what a cancel would."
    is_open = BooleanField(default=True)
    outcome = CharField(16, null=True)
    "See `SlotOutcome`; null while open."
    opened_at_ms = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("chain_id", "signer", "nonce")
        indexes = ((("chain_id", "signer", "is_open"), False),)


class SlotIntent(Table):
    """What a slot is for: one payment, or several of a batch in their order."""

    chain_id = BigIntegerField()
    signer = CharField(42)
    nonce = BigIntegerField()
    place = IntegerField()
    workflow_id = CharField(64)

    class Meta:
        primary_key = CompositeKey("chain_id", "signer", "nonce", "place")
        indexes = ((("workflow_id",), False),)


class Attempt(Table):
    """Signed bytes for a slot; of all of a slot's at most one is ever mined."""

    tx_hash = CharField(66, primary_key=True)
    chain_id = BigIntegerField()
    signer = CharField(42)
    nonce = BigIntegerField()
    signed = BlobField()
    gas = BigIntegerField()
    base_fee = WeiField()
    priority_fee = WeiField()
    is_empty = BooleanField(default=False)
    "A transfer of nothing, to give the nonce up."
    created_at_ms = BigIntegerField()
    sent_at_ms = BigIntegerField(null=True)
    "When it was last handed to the chain."

    class Meta:
        indexes = ((("chain_id", "signer", "nonce"), False),)


PAYMENT_TABLES: tuple[type[Table], ...] = (Payment, ChainSigner, NonceSlot, SlotIntent, Attempt)
