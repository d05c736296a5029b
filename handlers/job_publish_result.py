"""c2dJobPublishResult: a publishing pod hands in what the algorithm left; the body is streamed to storage."""

from shared import delivery, signers
from shared.db import job_views, results
from shared.db.connection import session, transaction
from shared.errors import InvalidRequest, PayloadTooLarge
from shared.limits import publish_bytes
from shared.names import Phase, result_key
from shared.provision import disk_bytes, safe_filename
from shared.web import Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="c2dJobPublishResult", method="POST", path="/api/services/c2dJobPublishResult", takes=Takes.BYTES,
    body="job_publish_result.request", reply="job_publish_result.reply", signer=signers.job_key, rows=Rows.NONE,
    is_stream=False, max_bytes=1 << 50,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Store or send on the bytes while publishing; a result is seen once its digest matched; a retry replaces it."""
    job_id, size = call.signer.job_id, int(call.body["size"])
    filename = safe_filename(call.body["filename"])
    with session():
        row = job_views.in_phase(job_id, Phase.PUBLISH)
        target = delivery.target_of(row, call.services.keys.box)
    limit = publish_bytes(disk_bytes(row.job))
    if size > limit:
        raise PayloadTooLarge(f"The job may publish {limit} bytes.", max_bytes=limit)
    if target is not None:
        handed = delivery.Handed(filename, size, call.signer.digest, call.chunks)
        with call.services.streams.slot():
            name = delivery.deliver(target, row, handed, call.services.node.public_key, call.services.fetch_allow)
        return Reply({"filename": name, "size": size, "sha256": handed.sha256})
    with call.services.streams.slot():
        stored = call.services.storage.write(
            result_key(job_id, filename), call.chunks, expected_sha256=call.signer.digest, max_bytes=size
        )
    if stored.size_bytes != size:
        raise InvalidRequest(f"size: {size} bytes were announced and {stored.size_bytes} came", path="size")
    with transaction():
        job_views.in_phase(job_id, Phase.PUBLISH)
        results.record_result(job_id, filename, stored, call.now_ms(), "output")
    return Reply({"filename": filename, "size": size, "sha256": stored.sha256})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.job_publish_result:create_app()'
