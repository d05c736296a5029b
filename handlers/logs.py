"""getComputeStreamableLogs: a job's log as it grows, until the job ends."""

from shared import job_access, log_stream, signers
from shared.names import JobId
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

COMMAND = Command(
    name="getComputeStreamableLogs", method="GET", path="/api/services/computeStreamableLogs", takes=Takes.QUERY,
    body="logs.request", reply="text/plain", signer=signers.consumer("getComputeStreamableLogs"), rows=Rows.READ,
    is_stream=True, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Stream image, provisioning and algorithm logs one after the other, to the owner or a viewer."""
    row = job_access.viewable(call.body["jobId"], call.signer.address)
    services = call.services
    chunks = log_stream.follow(JobId(row.job.job_id), services.storage, services.wakeups, call.is_gone)
    return Reply(chunks=chunks, media_type="text/plain; charset=utf-8", headers=HEADERS)


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.logs:create_app()'
