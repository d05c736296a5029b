"""freeStartCompute: take in a workflow, or ocean-node's single job, free of charge; nothing is started here."""

from shared import signers, submission
from shared.db import job_views
from shared.db.workflows import Submission
from shared.views import job_view
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="freeStartCompute", method="POST", path="/api/services/freeCompute", takes=Takes.JSON,
    body="free_start.request", reply="jobs_started.reply", signer=signers.consumer("freeStartCompute"),
    rows=Rows.WRITE, is_stream=False, max_bytes=JSON_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Write the workflow, its jobs and the nonce at once; answer with a record for each job, in order."""
    decrypt = call.services.decrypt
    workflow = submission.read(call.body, decrypt)
    workflow_id, ids = submission.submit(
        Submission(
            workflow=workflow,
            owner=call.signer.address,
            owner_as_sent=call.body["consumerAddress"],
            is_free=True,
            at_ms=call.now_ms(),
            box=call.services.keys.box,
            decrypt_login=lambda hex_text: submission.login(decrypt, hex_text),
        )
    )
    rows = sorted(job_views.get_workflow(workflow_id), key=lambda row: ids.index(row.job.job_id))
    is_command = workflow.door == "command"
    prefix = (workflow.jobs[0].environment_id or "").partition("-")[0] if is_command else ""
    return Reply([job_view(row, is_known=True, shows_metadata=True, prefix=prefix) for row in rows])


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.free_start:create_app()'
