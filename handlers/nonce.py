"""nonce: the last nonce an address has used; the next signed call needs a higher one."""

from shared import signers
from shared.db import nonces
from shared.names import Address
from shared.web import QUERY_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="nonce", method="GET", path="/api/services/nonce", takes=Takes.QUERY, max_bytes=QUERY_BYTES,
    body="nonce.request", reply="nonce.reply", signer=signers.anyone, rows=Rows.READ, is_stream=False,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Look it up; an address that never signed has 0, and nothing is written for it."""
    address = Address(call.body.get("userAddress") or call.body["address"])
    last = str(nonces.last_used(address))
    if call.is_direct:
        return Reply(data=last.encode(), media_type="text/plain; charset=utf-8")
    return Reply({"nonce": last}, headers={"Cache-Control": "no-store"})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.nonce:create_app()'
