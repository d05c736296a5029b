"""jobs: what runs on this node, what finished lately, and how much may run at once."""

from typing import Any

from shared import signers
from shared.db import environments, job_views
from shared.db.job_views import Wanted
from shared.views import job_view, limits_view
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

LITERAL = ":job"
"Clients request the advertised path as it stands."

COMMAND = Command(
    name="jobs", method="GET", path="/api/services/jobs", takes=Takes.QUERY, body="jobs.request", reply="jobs.reply",
    signer=signers.anyone, rows=Rows.READ, is_stream=False, max_bytes=QUERY_BYTES, also=("/api/services/jobs/{job}",),
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Show running jobs and, with fromTimestamp, those finished since; beside them each environment's limits."""
    rows = job_views.find(wanted(call.body))
    jobs = [job_view(row, is_known=False, shows_metadata=False) for row in rows]
    return Reply(jobs if call.is_direct else {"jobs": jobs, "limits": limits(call.now_ms())})


def wanted(fields: Any) -> Wanted:
    """Read the filters."""
    since = fields.get("fromTimestamp")
    job = fields.get("job")
    return Wanted(
        job_id=None if job in (None, LITERAL) else job,
        owners=listed(fields.get("consumerAddrs")),
        environments=listed(fields.get("environments")),
        finished_since_ms=None if since is None else int(float(since) * 1000),
        is_unfinished=fields.get("runningJobs") in (True, "true") or (since is None and job in (None, LITERAL)),
    )


def listed(value: str | list[str] | None) -> tuple[str, ...]:
    """Read a list, or the comma list that a query has."""
    return tuple(value.split(",") if isinstance(value, str) else value or ())


def limits(now_ms: int) -> list[dict[str, Any]]:
    """How much may run in each environment."""
    offers = environments.offers(now_ms)
    usages = environments.usages([offer.engine for offer in offers])
    engines = {engine.name: engine for engine in environments.engines()}
    return [limits_view(offer, usages[offer.engine], engines[offer.engine]) for offer in offers]


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.jobs:create_app()'
