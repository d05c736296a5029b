"""getComputeEvents: the timeline of a job or workflow, as a list or as server-sent events."""

from functools import partial

from shared import event_stream, signers
from shared.db import events, job_views
from shared.errors import NotFound
from shared.job_access import asked_for
from shared.views import event_view
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

COMMAND = Command(
    name="getComputeEvents", method="GET", path="/api/services/computeEvents", takes=Takes.QUERY,
    body="events.request", reply="events.reply", signer=signers.opened("getComputeEvents"), rows=Rows.READ,
    is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Show everything to owner and viewers, moves and their times to who knows the id."""
    wanted = asked_for({**call.body, "consumerAddress": None})
    rows = job_views.find(wanted)
    if not rows:
        raise NotFound("There is no such job or workflow.")
    is_known = all(row.is_for(call.signer.address) for row in rows)
    view = partial(event_view, is_known=is_known)
    after = event_stream.last_seen(call.header("last-event-id") or call.body.get("after"))
    if "text/event-stream" in (call.header("accept") or ""):
        chunks = event_stream.follow(
            wanted, after, view, lambda event: is_known or event.kind == events.MOVE, call.services.wakeups
        )
        return Reply(chunks=chunks, media_type="text/event-stream; charset=utf-8", headers=HEADERS)
    ids = [row.job.job_id for row in rows]
    found = events.list_events(job_ids=ids, after=after, is_moves_only=not is_known)
    return Reply([view(event) for event in found])


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.events:create_app()'
