"""getComputeStatus: how jobs stand; open, but what they are about is for owners, viewers and who knows the id."""

from dataclasses import replace

from shared import signers
from shared.db import job_views
from shared.job_access import asked_for
from shared.views import job_view
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="getComputeStatus", method="GET", path="/api/services/compute", takes=Takes.QUERY, body="status.request",
    reply="jobs_shown.reply", signer=signers.opened("getComputeStatus"), rows=Rows.READ, is_stream=False,
    max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Find the jobs that all filters leave; who signs and names an id may be a viewer rather than the owner."""
    wanted = asked_for(call.body)
    if call.signer.address and (wanted.job_id or wanted.workflow_id):
        wanted = replace(wanted, owners=())
    rows = job_views.find(wanted)
    shows_metadata = wanted.job_id is not None
    address = call.signer.address
    return Reply([job_view(row, is_known=row.is_for(address), shows_metadata=shows_metadata) for row in rows])


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.status:create_app()'
