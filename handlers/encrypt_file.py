"""encryptFile: encrypt bytes, or the file that a file object names, for this node's key."""

from contextlib import closing

from shared import file_encryption, files, signers
from shared.errors import InvalidRequest, JobError
from shared.file_objects import parse_files
from shared.files import FetchRules
from shared.strict_json import loads
from shared.web import Call, Command, Reply, Rows, Takes, app_factory

MOST_BYTES = 25 << 20

COMMAND = Command(
    name="encryptFile", method="POST", path="/api/services/encryptFile", takes=Takes.BYTES, body="encrypt.request",
    reply="application/octet-stream", signer=signers.consumer("encryptFile"), rows=Rows.NONE, is_stream=False,
    max_bytes=MOST_BYTES,
)  # fmt: skip


def respond(call: Call) -> Reply:
    """Answer the ciphertext as bytes, and how it was made as headers."""
    method = file_encryption.method_of(call.body.get("encryptMethod"))
    plaintext = b"".join(call.chunks)
    if not plaintext:
        raise InvalidRequest("Missing required body")
    if "json" in (call.header("content-type") or "") and not call.is_direct:
        plaintext = fetched(call, plaintext)
    headers = {"X-Encrypted-By": call.services.node.address, "X-Encrypted-Method": method}
    services = call.services
    data = file_encryption.encrypt(method, plaintext, services.node.public_key, services.settings.private_key)
    return Reply(data=data, media_type="application/octet-stream", headers=headers)


def fetched(call: Call, body: bytes) -> bytes:
    """Read the file that the body names."""
    document = loads(body)
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a file object.", path="")
    (file, *_) = parse_files(document, "file", call.services.decrypt)
    rules = FetchRules(allow=call.services.fetch_allow, max_bytes=MOST_BYTES, total_s=30.0, tries=2)
    try:
        with (
            call.services.looks.turn(call.peer),
            call.services.streams.slot(),
            closing(files.open_file(file, rules).chunks) as chunks,
        ):
            return b"".join(chunks)
    except JobError as error:
        raise InvalidRequest(f"The file cannot be read: {error.detail}", path="url") from error


create_app = app_factory(COMMAND, respond)  # gunicorn 'handlers.encrypt_file:create_app()'
