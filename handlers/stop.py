"""stopCompute: ask for one job, or all of a workflow, to be stopped; the engine's next pass does it."""

from shared import signers
from shared.db import job_views, jobs
from shared.errors import Forbidden
from shared.job_access import asked_for, owned
from shared.names import JobId
from shared.views import job_view
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="stopCompute", method="PUT", path="/api/services/compute", takes=Takes.QUERY, body="stop.request",
    reply="jobs_shown.reply", signer=signers.consumer("stopCompute"), rows=Rows.WRITE, is_stream=False,
    max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Mark the owner's unfinished jobs; what is finished already stays as it is, and no match is an empty list."""
    wanted = asked_for({**call.body, "consumerAddress": None})
    found = job_views.find(wanted)
    own = owned(found, call.signer.address)
    if found and not own:
        raise Forbidden(f"{call.signer.address} does not own what is to be stopped")
    jobs.request_stop([JobId(row.job.job_id) for row in own], call.now_ms())
    shown = job_views.find(wanted) if own else []
    return Reply([job_view(row, is_known=True, shows_metadata=True) for row in shown])


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.stop:create_app()'
