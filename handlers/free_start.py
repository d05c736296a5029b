"""freeStartCompute: take in a workflow, or ocean-node's single job, free of charge; nothing is started here."""

from shared import access_lists, signers, submission
from shared.db.workflows import Submission
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="freeStartCompute", method="POST", path="/api/services/freeCompute", takes=Takes.JSON,
    body="free_start.request", reply="jobs_started.reply", signer=signers.consumer("freeStartCompute"),
    rows=Rows.LOOK, is_stream=False, max_bytes=JSON_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Write the workflow, its jobs and the nonce at once; answer with a record for each job, in order."""
    services, decrypt = call.services, call.services.decrypt
    workflow = submission.read(call.body, decrypt)
    held = access_lists.held_now(services.chains, workflow, call.signer.address, call.now_ms(), is_free=True)
    with call.together():
        workflow_id, ids = submission.submit(
            Submission(
                workflow=workflow,
                owner=call.signer.address,
                owner_as_sent=call.body["consumerAddress"],
                is_free=True,
                at_ms=call.now_ms(),
                box=services.keys.box,
                decrypt_login=lambda hex_text: submission.login(decrypt, hex_text),
            ),
            held,
        )
        return Reply(submission.records(workflow, workflow_id, ids))


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.free_start:create_app()'
