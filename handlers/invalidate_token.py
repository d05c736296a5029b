"""invalidateAuthToken: end a token's life before its time."""

from shared import signers
from shared.db import tokens
from shared.errors import Unauthorized
from shared.signatures import is_same_address
from shared.tokens import parse_token
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

COMMAND = Command(
    name="invalidateAuthToken", method="POST", path="/api/services/auth/token/invalidate", takes=Takes.JSON,
    body="invalidate_token.request", reply="invalidate_token.reply", rows=Rows.WRITE, is_stream=False,
    signer=signers.consumer("invalidateAuthToken", "", address_field="address", takes_token=False),
    max_bytes=JSON_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Forget the token; one that is gone already is success, somebody else's is refused."""
    token = call.body["token"].removeprefix("Bearer ").strip()
    if not is_same_address(parse_token(call.services.keys.token, token).address, call.signer.address):
        raise Unauthorized("Authenticated address does not match the requested address")
    tokens.delete_token(token)
    return Reply({"success": True})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.invalidate_token:create_app()'
