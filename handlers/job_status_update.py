"""c2dJobStatusUpdate: a pod reports how its own phase is getting on."""

from shared import signers
from shared.db import jobs
from shared.names import Phase
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="c2dJobStatusUpdate", method="POST", path="/api/services/c2dJobStatusUpdate", takes=Takes.JSON,
    body="job_status_update.request", reply="job_status_update.reply", signer=signers.job_key, rows=Rows.WRITE,
    is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Record the report; the engine's next pass acts on it. Repeating a report changes nothing."""
    report = {name: call.body[name] for name in REPORTED if name in call.body}
    jobs.record_report(call.signer.job_id, Phase(call.body["phase"]), report, call.now_ms())
    return Reply({"ok": True})


REPORTED = ("state", "code", "reason", "bytesDone", "bytesTotal", "detail")

create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.job_status_update:create_app()'
