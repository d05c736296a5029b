"""The tables of money: a frozen copy of what they were, independent of what they become."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, BlobField, BooleanField, CharField, CompositeKey, IntegerField, Model, TextField


def up(migrator: object, db: Any) -> None:
    """Make the tables."""
    for table in TABLES:
        table.bind(db)
    db.create_tables(TABLES)


class Table(Model):
    """A table of this migration."""

    class Meta:
        legacy_table_names = False


class Payment(Table):
    workflow_id = CharField(64, primary_key=True)
    chain_id = BigIntegerField()
    escrow = CharField(42)
    kind = CharField(16)
    onchain_id = CharField(66)
    payer = CharField(42)
    payee = CharField(42)
    token = CharField(42)
    decimals = IntegerField()
    symbol = CharField(32, default="")
    lock_amount = TextField()
    lock_s = BigIntegerField()
    price = TextField()
    state = CharField(16)
    outcome = TextField(null=True)
    lock_tx = CharField(66)
    lock_block = BigIntegerField(null=True)
    lock_block_hash = CharField(66, null=True)
    expires_at_s = BigIntegerField(null=True)
    claim_amount = TextField(null=True)
    proof = TextField(null=True)
    receipt = TextField(null=True)
    claim_tx = CharField(66, null=True)
    cancel_tx = CharField(66, null=True)
    end_block = BigIntegerField(null=True)
    end_block_hash = CharField(66, null=True)
    is_final = BooleanField(default=False)
    created_at_ms = BigIntegerField()
    updated_at_ms = BigIntegerField()

    class Meta:
        indexes = (
            (("chain_id", "escrow", "payee", "payer", "onchain_id"), True),
            (("chain_id", "payee", "is_final"), False),
            (("lock_tx",), False),
        )


class ChainSigner(Table):
    chain_id = BigIntegerField()
    address = CharField(42)
    next_nonce = BigIntegerField()
    problem = TextField(null=True)
    checked_block = BigIntegerField(default=0)
    checked_at_ms = BigIntegerField(default=0)

    class Meta:
        primary_key = CompositeKey("chain_id", "address")


class NonceSlot(Table):
    chain_id = BigIntegerField()
    signer = CharField(42)
    nonce = BigIntegerField()
    kind = CharField(16)
    is_open = BooleanField(default=True)
    outcome = CharField(16, null=True)
    opened_at_ms = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("chain_id", "signer", "nonce")
        indexes = ((("chain_id", "signer", "is_open"), False),)


class SlotIntent(Table):
    chain_id = BigIntegerField()
    signer = CharField(42)
    nonce = BigIntegerField()
    place = IntegerField()
    workflow_id = CharField(64)

    class Meta:
        primary_key = CompositeKey("chain_id", "signer", "nonce", "place")
        indexes = ((("workflow_id",), False),)


class Attempt(Table):
    tx_hash = CharField(66, primary_key=True)
    chain_id = BigIntegerField()
    signer = CharField(42)
    nonce = BigIntegerField()
    signed = BlobField()
    gas = BigIntegerField()
    base_fee = TextField()
    priority_fee = TextField()
    is_empty = BooleanField(default=False)
    created_at_ms = BigIntegerField()
    sent_at_ms = BigIntegerField(null=True)

    class Meta:
        indexes = ((("chain_id", "signer", "nonce"), False),)


TABLES: list[type[Model]] = [Payment, ChainSigner, NonceSlot, SlotIntent, Attempt]
