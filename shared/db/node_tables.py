"""Own the tables of the node itself: engines, what they sell, who holds what, who has called.

Times are Unix milliseconds (`_ms`, UTC). Amounts of resources are thousandths (`_milli`) so that sums are exact.
Text in `sealed` columns is encrypted by `shared.secrets` under a key derived from the node's.
"""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, CharField, CompositeKey, IntegerField, TextField

from shared.db.base import JsonField, Table


class Node(Table):
    """The node itself: one row, so that processes without the wallet key know its address."""

    id = IntegerField(primary_key=True)
    address = CharField(42)
    public_key = CharField(66)


class Engine(Table):
    """A named engine; `daemon_id` is that of the daemon it spoke to first."""

    name = CharField(primary_key=True)
    type = CharField()
    hash = CharField(index=True)
    "`0x` + 64 hex: the part of environment and job ids before the first `-`."
    daemon_id = CharField(null=True)
    is_draining = BooleanField(default=False)
    problem = TextField(null=True)
    "Why it takes no work now; null where it does."
    facts = JsonField(default=dict)
    seen_at_ms = BigIntegerField(default=0)


class Environment(Table):
    """What can be bought: the wire's ComputeEnvironment §5.1 without its live figures."""

    environment_id = CharField(primary_key=True)
    engine = CharField(index=True)
    position = IntegerField()
    document = JsonField()


class Pool(Table):
    """How much of a resource an engine's hardware has, shared by its environments."""

    engine = CharField()
    resource_id = CharField()
    total_milli = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("engine", "resource_id")


class Reservation(Table):
    """What is promised to one job; gone when the job is finished."""

    job_id = CharField(64)
    resource_id = CharField()
    engine = CharField()
    environment_id = CharField()
    amount_milli = BigIntegerField()
    is_free = BooleanField()

    class Meta:
        primary_key = CompositeKey("job_id", "resource_id")
        indexes = ((("engine", "resource_id"), False), (("environment_id",), False))


class Turn(Table):
    """Fair turns: when an owner with queued jobs was last served."""

    owner = CharField(42, primary_key=True)
    served_at_ms = BigIntegerField(default=0)
    since_ms = BigIntegerField()
    "In line since."

    class Meta:
        indexes = ((("served_at_ms", "since_ms", "owner"), False),)


class Lease(Table):
    """A pass's short hold on a duty that is not a job (orphans, expiry, environments)."""

    name = CharField(primary_key=True)
    token = CharField(32)
    until_ms = BigIntegerField()
    next_at_ms = BigIntegerField(default=0)


class Nonce(Table):
    """The last nonce an address has used, over all signed commands."""

    address = CharField(42, primary_key=True)
    nonce = BigIntegerField()


class PodNonce(Table):
    """A nonce that a job's pods have used; single use."""

    job_id = CharField(64)
    nonce = CharField(32)

    class Meta:
        primary_key = CompositeKey("job_id", "nonce")


class Token(Table):
    """An auth token that is neither invalidated nor swept after its time."""

    token_hash = CharField(64, primary_key=True)
    address = CharField(42)
    created_at_ms = BigIntegerField()
    valid_until_ms = BigIntegerField()


NODE_TABLES: tuple[type[Table], ...] = (
    Node, Engine, Environment, Pool, Reservation, Turn, Lease, Nonce, PodNonce, Token,
)  # fmt: skip
