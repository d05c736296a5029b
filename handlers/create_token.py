"""createAuthToken: a token that stands in for the wallet's signature, for at most 24 hours."""

from shared import signers
from shared.db import tokens
from shared.tokens import TokenClaims, make_token
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

LIFETIME_MS = 24 * 3600 * 1000

COMMAND = Command(
    name="createAuthToken", method="POST", path="/api/services/auth/token", takes=Takes.JSON, max_bytes=JSON_BYTES,
    body="create_token.request", reply="create_token.reply", rows=Rows.WRITE, is_stream=False,
    signer=signers.consumer("createAuthToken", address_field="address", takes_token=False),
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Make the token and remember it; the nonce in it makes it one of a kind."""
    now_ms = call.now_ms()
    token = make_token(call.services.keys.token, TokenClaims(call.body["address"], str(call.signer.nonce), now_ms))
    wanted_ms = int(call.body.get("validUntil") or now_ms + LIFETIME_MS)
    tokens.insert_token(token, call.signer.address, now_ms, min(wanted_ms, now_ms + LIFETIME_MS))
    return Reply({"token": token})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.create_token:create_app()'
