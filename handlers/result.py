"""getComputeResult: one file of a job, whole or in part; logs can be read while they grow."""

from collections.abc import Callable

from shared import job_access, signers
from shared.errors import NotFound
from shared.results_read import media_type, reader
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory
from shared.web.files import file_reply

COMMAND = Command(
    name="getComputeResult", method="GET", path="/api/services/computeResult", takes=Takes.QUERY,
    body="result.request", reply="application/octet-stream", signer=signers.consumer("getComputeResult"),
    rows=Rows.READ, is_stream=True, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Send the file, to its owner or a viewer."""
    row = job_access.viewable(call.body["jobId"], call.signer.address)
    index = int(call.body["index"])
    if index >= len(row.results):
        raise NotFound(f"The job has no result {index}; it has {len(row.results)}.", path="index")
    file = row.results[index]
    read = reader(row.job.job_id, file, call.services.storage)
    return file_reply(ranged(call), file.size_bytes, read, media_type(file), file.filename, file.sha256)


def ranged(call: Call) -> Callable[[str], str | None]:
    """Read headers, with directCommand's `offset` in the place of a range."""
    offset = call.body.get("offset")
    given = {} if not offset else {"Range": f"bytes={int(offset)}-"}
    return lambda name: given.get(name) or call.header(name)


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.result:create_app()'
