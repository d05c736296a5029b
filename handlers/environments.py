"""getComputeEnvironments: what can be bought, and how much of it is free now."""

import hashlib

from shared import signers
from shared.db import environments
from shared.db.environments import Live
from shared.strict_json import dumps
from shared.views import environment_view
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="getComputeEnvironments", method="GET", path="/api/services/computeEnvironments", takes=Takes.QUERY,
    body="environments.request", reply="environments.reply", signer=signers.anyone, rows=Rows.READ, is_stream=False,
    max_bytes=QUERY_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Show every environment, or those with fees on one chain; none is an empty list."""
    offers = environments.offers(call.now_ms())
    chain = call.body.get("chainId")
    if chain is not None:
        offers = [offer for offer in offers if str(chain) in (offer.document.get("fees") or {})]
    usages, live = environments.usages([offer.engine for offer in offers]), environments.live()
    shown = [
        environment_view(offer, usages[offer.engine], live.get(offer.id, Live()), call.now_ms()) for offer in offers
    ]
    body = dumps(shown)
    return Reply(shown, data=body, etag=hashlib.sha256(body).hexdigest()[:32], headers={"Cache-Control": "no-cache"})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.environments:create_app()'
