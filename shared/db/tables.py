"""Own the tables of the work: workflows, jobs and what belongs to them.

Rows are written by the query files of this package alone, one file per table.
Times are Unix milliseconds (`_ms`, UTC). Amounts of resources are thousandths (`_milli`) so that sums are exact.
Text in `sealed` columns is encrypted by `shared.secrets` under a key derived from the node's.
"""

from __future__ import annotations

from peewee import (
    SQL,
    AutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    IntegerField,
    TextField,
)

from shared.db.base import JsonField, Table


class Workflow(Table):
    """What one consumer submitted at once."""

    workflow_id = CharField(64, primary_key=True)
    owner = CharField(42, index=True)
    owner_as_sent = CharField(42)
    door = CharField(16)
    "`workflow` (the seeds' form) or `command` (ocean-node's)."
    is_free = BooleanField(default=True)
    metadata = JsonField(null=True)
    viewers = JsonField(null=True)
    "Lower-case addresses that may fetch results, or null."
    queue_max_wait_s = IntegerField()
    sealed = TextField(null=True)
    "Output target, as JSON."
    created_at_ms = BigIntegerField()


class Job(Table):
    """One entry of a workflow; its whole state."""

    job_id = CharField(64, primary_key=True)
    workflow_id = CharField(64)
    index = IntegerField()  # type: ignore[assignment]  # the wire's word; peewee's Model.index is not used
    owner = CharField(42)
    is_free = BooleanField(default=True)
    # what is wanted
    requested_environment_id = CharField(null=True)
    wanted = JsonField(default=dict)
    "Resource id → amount asked for (GiB, cores, units); what is missing means the environment's minimum."
    requested_duration_s = IntegerField(null=True)
    algorithm = JsonField()
    "What may be shown: did, serviceId, container {image, tag, checksum, entrypoint}, hasDockerfile, layout."
    sealed = TextField()
    "What may not: algorithm files, rawcode, envs, algocustomdata, registry login, dockerfile; as JSON."
    # what was granted
    engine = CharField(null=True)
    environment_id = CharField(null=True)
    resources = JsonField(null=True)
    "List of {id, amount, price?} as granted."
    max_duration_s = IntegerField(default=0)
    # where it stands
    status = CharField(32)
    unmet = IntegerField(default=0)
    "How many of the jobs it runs after have not succeeded yet; 0 = ready."
    stop_requested = BooleanField(default=False)
    ending = CharField(32, null=True)
    "The final status it is heading for, once known."
    reason = CharField(16, null=True)
    reason_detail = TextField(null=True)
    exit_code = IntegerField(null=True)
    oom_killed = BooleanField(null=True)
    provision_report = JsonField(null=True)
    publish_report = JsonField(null=True)
    progress = JsonField(null=True)
    provision_starts = IntegerField(default=0)
    publish_starts = IntegerField(default=0)
    specs = JsonField(default=dict)
    "Phase → the container spec that ran, without the key."
    disk_used_bytes = BigIntegerField(null=True)
    # the job's key
    key_address = CharField(42)
    key_sealed = TextField(null=True)
    "Null as soon as the job is finished."
    # when
    created_at_ms = BigIntegerField()
    ready_at_ms = BigIntegerField(null=True)
    admitted_at_ms = BigIntegerField(null=True)
    build_started_at_ms = BigIntegerField(null=True)
    build_stopped_at_ms = BigIntegerField(null=True)
    started_at_ms = BigIntegerField(null=True)
    "The algorithm's container, by the engine's word."
    stopped_at_ms = BigIntegerField(null=True)
    finished_at_ms = BigIntegerField(null=True)
    expires_at_ms = BigIntegerField(null=True)
    "When its results are deleted; null once they are."
    # the passes' own
    due_at_ms = BigIntegerField(null=True)
    "When a pass should look next; null when finished."
    lease_token = CharField(32, null=True)
    lease_until_ms = BigIntegerField(default=0)
    error_count = IntegerField(default=0)
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
    """`job_id` runs after `after_job_id`."""

    job_id = CharField(64)
    after_job_id = CharField(64, index=True)

    class Meta:
        primary_key = CompositeKey("job_id", "after_job_id")


class Input(Table):
    """One input of a job: files, or an earlier job's outputs."""

    job_id = CharField(64)
    index = IntegerField()  # type: ignore[assignment]  # the wire's word; peewee's Model.index is not used
    did = TextField(null=True)
    service_id = TextField(null=True)
    from_job_id = CharField(64, null=True)
    sealed = TextField(null=True)
    "List of file objects, as JSON."

    class Meta:
        primary_key = CompositeKey("job_id", "index")


class Event(Table):
    """One thing that happened to a job; the timeline."""

    id = AutoField()
    workflow_id = CharField(64, index=True)
    job_id = CharField(64, index=True)
    at_ms = BigIntegerField()
    kind = CharField(32)
    "`move` (shown to anyone who knows the id), or `note`, `progress` (owner and viewers)."
    status = CharField(32)
    detail = JsonField(null=True)


class Result(Table):
    """One file that a job left in storage."""

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
    """A piece of a running container's log, so that any handler can stream it; gone when the log is a result."""

    job_id = CharField(64)
    phase = CharField(16)
    offset = BigIntegerField()
    data = BlobField()

    class Meta:
        primary_key = CompositeKey("job_id", "phase", "offset")


WORK_TABLES: tuple[type[Table], ...] = (Workflow, Job, Dependency, Input, Event, Result, LogChunk)
