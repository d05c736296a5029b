"""c2dJobProvision: a configuration pod asks what to put on the volume, or for an earlier job's outputs."""

from shared import provision, signers
from shared.db import job_views
from shared.db.connection import session
from shared.names import JobId, Phase
from shared.results_read import reader
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory
from shared.web.files import file_reply

COMMAND = Command(
    name="c2dJobProvision", method="POST", path="/api/services/c2dJobProvision", takes=Takes.JSON,
    body="job_provision.request", reply="job_provision.reply", signer=signers.job_key, rows=Rows.NONE,
    is_stream=False, max_bytes=JSON_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Answer only while the job is provisioning; the same question has the same answer."""
    job_id = JobId(call.signer.job_id)
    with session():
        row = job_views.in_phase(job_id, Phase.PROVISION)
        if "input" not in call.body:
            return Reply(provision.document(row, call.services.keys.box, call.services.settings.fetch_allow))
        earlier, file = provision.earlier_output(job_id, int(call.body["input"]))
    read = reader(earlier, file, call.services.storage)
    return file_reply(call.header, file.size_bytes, read, "application/octet-stream", file.filename, file.sha256)


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.job_provision:create_app()'
