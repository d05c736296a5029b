"""The first schema: a frozen copy of the tables as they were, independent of what they become."""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    IntegerField,
    Model,
    TextField,
)


def up(migrator: object, db: Any) -> None:
    """Make every table."""
    db.create_tables(_bound(db))


def _bound(db: Any) -> list[type[Model]]:
    for table in TABLES:
        table.bind(db)
    return TABLES


class Table(Model):
    """A table of this migration."""

    class Meta:
        legacy_table_names = False


class Node(Table):
    id = IntegerField(primary_key=True)
    address = CharField(42)
    public_key = CharField(66)


class Engine(Table):
    name = CharField(primary_key=True)
    type = CharField()
    hash = CharField(index=True)
    daemon_id = CharField(null=True)
    is_draining = BooleanField()
    problem = TextField(null=True)
    facts = TextField()
    seen_at_ms = BigIntegerField()


class Environment(Table):
    environment_id = CharField(primary_key=True)
    engine = CharField(index=True)
    position = IntegerField()
    document = TextField()


class Pool(Table):
    engine = CharField()
    resource_id = CharField()
    total_milli = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("engine", "resource_id")


class Reservation(Table):
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
    owner = CharField(42, primary_key=True)
    served_at_ms = BigIntegerField()
    since_ms = BigIntegerField()

    class Meta:
        indexes = ((("served_at_ms", "since_ms", "owner"), False),)


class Lease(Table):
    name = CharField(primary_key=True)
    token = CharField(32)
    until_ms = BigIntegerField()
    next_at_ms = BigIntegerField()


class Nonce(Table):
    address = CharField(42, primary_key=True)
    nonce = BigIntegerField()


class PodNonce(Table):
    job_id = CharField(64)
    nonce = CharField(32)

    class Meta:
        primary_key = CompositeKey("job_id", "nonce")


class Token(Table):
    token_hash = CharField(64, primary_key=True)
    address = CharField(42)
    created_at_ms = BigIntegerField()
    valid_until_ms = BigIntegerField()


class Workflow(Table):
    workflow_id = CharField(64, primary_key=True)
    owner = CharField(42, index=True)
    owner_as_sent = CharField(42)
    door = CharField(16)
    is_free = BooleanField()
    metadata = TextField(null=True)
    viewers = TextField(null=True)
    queue_max_wait_s = IntegerField()
    sealed = TextField(null=True)
    created_at_ms = BigIntegerField()


class Job(Table):
    job_id = CharField(64, primary_key=True)
    workflow_id = CharField(64)
    index = IntegerField()  # type: ignore[assignment]
    owner = CharField(42)
    is_free = BooleanField()
    requested_environment_id = CharField(null=True)
    wanted = TextField()
    requested_duration_s = IntegerField(null=True)
    algorithm = TextField()
    sealed = TextField()
    engine = CharField(null=True)
    environment_id = CharField(null=True)
    resources = TextField(null=True)
    max_duration_s = IntegerField()
    status = CharField(32)
    unmet = IntegerField()
    stop_requested = BooleanField()
    ending = CharField(32, null=True)
    reason = CharField(16, null=True)
    reason_detail = TextField(null=True)
    exit_code = IntegerField(null=True)
    oom_killed = BooleanField(null=True)
    provision_report = TextField(null=True)
    publish_report = TextField(null=True)
    progress = TextField(null=True)
    provision_starts = IntegerField()
    publish_starts = IntegerField()
    specs = TextField()
    disk_used_bytes = BigIntegerField(null=True)
    key_address = CharField(42)
    key_sealed = TextField(null=True)
    created_at_ms = BigIntegerField()
    ready_at_ms = BigIntegerField(null=True)
    admitted_at_ms = BigIntegerField(null=True)
    build_started_at_ms = BigIntegerField(null=True)
    build_stopped_at_ms = BigIntegerField(null=True)
    started_at_ms = BigIntegerField(null=True)
    stopped_at_ms = BigIntegerField(null=True)
    finished_at_ms = BigIntegerField(null=True)
    expires_at_ms = BigIntegerField(null=True)
    due_at_ms = BigIntegerField(null=True)
    lease_token = CharField(32, null=True)
    lease_until_ms = BigIntegerField()
    error_count = IntegerField()
    last_error = TextField(null=True)

    class Meta:
        indexes = (
            (("workflow_id", "index"), True),
            (("owner", "created_at_ms"), False),
            (("status", "finished_at_ms"), False),
        )


Job.add_index(SQL("CREATE INDEX IF NOT EXISTS job_due ON job (engine, due_at_ms) WHERE due_at_ms IS NOT NULL"))
Job.add_index(
    SQL("CREATE INDEX IF NOT EXISTS job_queue ON job (owner, ready_at_ms) WHERE status = 'queued' AND unmet = 0")
)
Job.add_index(SQL("CREATE INDEX IF NOT EXISTS job_expiry ON job (expires_at_ms) WHERE expires_at_ms IS NOT NULL"))


class Dependency(Table):
    job_id = CharField(64)
    after_job_id = CharField(64, index=True)

    class Meta:
        primary_key = CompositeKey("job_id", "after_job_id")


class Input(Table):
    job_id = CharField(64)
    index = IntegerField()  # type: ignore[assignment]
    did = TextField(null=True)
    service_id = TextField(null=True)
    from_job_id = CharField(64, null=True)
    sealed = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("job_id", "index")


class Event(Table):
    id = AutoField()
    workflow_id = CharField(64, index=True)
    job_id = CharField(64, index=True)
    at_ms = BigIntegerField()
    kind = CharField(32)
    status = CharField(32)
    detail = TextField(null=True)


class Result(Table):
    job_id = CharField(64)
    filename = TextField()
    type = CharField(32)
    size_bytes = BigIntegerField()
    sha256 = CharField(64)
    key = TextField()
    created_at_ms = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("job_id", "filename")


class LogChunk(Table):
    job_id = CharField(64)
    phase = CharField(16)
    offset = BigIntegerField()
    data = BlobField()

    class Meta:
        primary_key = CompositeKey("job_id", "phase", "offset")


TABLES: list[type[Model]] = [
    Node,
    Engine,
    Environment,
    Pool,
    Reservation,
    Turn,
    Lease,
    Nonce,
    PodNonce,
    Token,
    Workflow,
    Job,
    Dependency,
    Input,
    Event,
    Result,
    LogChunk,
]
