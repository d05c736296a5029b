"""startCompute: take in a workflow, or ocean-node's single job, and set its price aside; nothing is sent from here."""

from shared import paid_start, signers, submission
from shared.db.workflows import Submission
from shared.names import Address
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="startCompute", method="POST", path="/api/services/compute", takes=Takes.JSON, body="start.request",
    reply="jobs_started.reply", signer=signers.consumer("startCompute"), rows=Rows.LOOK, is_stream=False,
    max_bytes=JSON_BYTES, asks_chains=True,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Look at the chain, then write workflow, jobs, nonce and the signed lock at once; a record for each job.

    The jobs wait until the lock is confirmed. A refusal leaves nothing behind: the lock is not sent yet.
    """
    services, decrypt = call.services, call.services.decrypt
    call.signer.check()
    asked = submission.read(call.body, decrypt)
    submission.check_logins(asked, decrypt)
    submitted = Submission(
        workflow=asked,
        owner=call.signer.address,
        owner_as_sent=call.body["consumerAddress"],
        is_free=False,
        at_ms=call.now_ms(),
        box=services.keys.box,
        decrypt_login=lambda hex_text: submission.login(decrypt, hex_text),
    )
    key, payee = paid_start.wallet_key(services.settings.private_key), Address(services.node.address.lower())
    start = paid_start.prepared(services.chains, submitted, call.body["payment"], payee)
    with call.together():
        workflow_id, ids = paid_start.write(start, key)
        return Reply(submission.records(start.submission.workflow, workflow_id, ids))


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.start_compute:create_app()'
