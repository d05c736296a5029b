"""directCommand: every command by its name, with its fields in one JSON body."""

from handlers import registry
from shared import signers
from shared.endpoints import NOT_BUILT
from shared.errors import InvalidRequest, NotAvailable
from shared.signatures import is_same_address
from shared.web import JSON_BYTES, Call, Command, Reply, Rows, Takes, app_factory

OWN = frozenset({"command", "node", "multiAddrs"})
"Fields of directCommand itself."

COMMAND = Command(
    name="directCommand", method="POST", path="/directCommand", takes=Takes.JSON, body="direct_command.request",
    reply="any.reply", signer=signers.anyone, rows=Rows.NONE, is_stream=False, max_bytes=JSON_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Send the other fields down the same road as a request to the command's own route."""
    name, node = call.body["command"], call.body.get("node")
    if node and not is_same_address(node, call.services.node.address):
        raise NotAvailable("This node forwards nothing to other nodes.", path="node")
    entry = registry.BY_NAME.get(name)
    if entry is None and name in NOT_BUILT:
        raise NotAvailable(f"The command {name} is not available on this node.", path="command")
    if entry is None:
        raise InvalidRequest(f'Invalid or unrecognized command: "{name[:100]}"', path="command")
    return call.dispatch(entry, {field: value for field, value in call.body.items() if field not in OWN})


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.direct_command:create_app()'
