"""initializeCompute: what a workflow can cost at most and how it is locked; nothing is promised or written."""

from shared import paid_start, signers, submission
from shared.names import Address
from shared.payment_view import quote_view
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="initializeCompute", method="POST", path="/api/services/initializeCompute", takes=Takes.JSON,
    body="initialize.request", reply="initialize.reply", signer=signers.anyone, rows=Rows.NONE, is_stream=False,
    max_bytes=JSON_BYTES, asks_chains=True,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Check the request as a start would, but for its payer's funds, and price it: the lock will be the same."""
    services, decrypt = call.services, call.services.decrypt
    asked = submission.read(call.body, decrypt)
    submission.check_logins(asked, decrypt)
    owner = Address(call.body["consumerAddress"].lower())
    quote, _ = paid_start.quoted(services.chains, asked, call.body["payment"], owner, call.now_ms())
    return Reply(quote_view(quote, asked, services.node.address))


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.initialize_compute:create_app()'
