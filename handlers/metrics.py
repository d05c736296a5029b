"""metrics: figures for Prometheus, read from the database at each scrape."""

from prometheus_client import CollectorRegistry, generate_latest

from shared import signers
from shared.errors import Forbidden
from shared.figures import Figures
from shared.rate_limit import is_loopback
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COMMAND = Command(
    name="metrics", method="GET", path="/metrics", takes=Takes.QUERY, body="nothing.request", reply="text/plain",
    signer=signers.anyone, rows=Rows.READ, is_stream=False, max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Answer this machine alone, unless C2D_METRICS_PUBLIC says otherwise."""
    if not call.services.settings.metrics_public and not is_loopback(call.peer):
        raise Forbidden("/metrics answers this machine alone; C2D_METRICS_PUBLIC=yes opens it.")
    registry = CollectorRegistry()
    registry.register(Figures())
    return Reply(data=generate_latest(registry), media_type=MEDIA_TYPE)


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.metrics:create_app()'
