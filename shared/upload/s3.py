"""Own targets of type `s3`: one PUT, or parts where the file is large; every call is a signed address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from shared.errors import C2DError, Unavailable
from shared.files import FetchRules, FileObject
from shared.files.http import Request
from shared.files.s3 import Signed
from shared.upload.body import Outgoing
from shared.upload.parts import cut
from shared.upload.put import Answer, send

PART_BYTES = 16 << 20
MOST_PARTS = 9000
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")


def upload(storage: FileObject, outgoing: Outgoing, rules: FetchRules) -> None:
    """Send the file; a key that ends with `/` gets its name. Raises: as `put.send`."""
    access = storage["s3Access"]
    key = access["objectKey"] + (outgoing.name if access["objectKey"].endswith("/") else "")
    signed = Signed(access, key)
    if outgoing.size_bytes <= PART_BYTES:
        _call(signed, "put_object", rules, outgoing.chunks, outgoing.size_bytes)
    else:
        _upload_parts(signed, outgoing, rules)


def _upload_parts(signed: Signed, outgoing: Outgoing, rules: FetchRules) -> None:
    """Send the parts and put them together; on any failure none of them stays."""
    found = _UPLOAD_ID.search(_call(signed, "create_multipart_upload", rules).body)
    if found is None:
        raise Unavailable("output: the S3 server began no upload")
    upload_id = found[1].decode()
    try:
        tags = list(_sent(signed, upload_id, outgoing, rules))
        done = _call(signed, "complete_multipart_upload", rules, *_completed(tags), UploadId=upload_id)
        if b"<Error>" in done.body:
            raise Unavailable("output: the S3 server did not put the parts together")
    except C2DError:
        _forget(signed, upload_id, rules)
        raise


def _sent(signed: Signed, upload_id: str, outgoing: Outgoing, rules: FetchRules) -> Iterator[str]:
    """Send part after part; yields what the server calls each."""
    part_bytes = max(PART_BYTES, -(-outgoing.size_bytes // MOST_PARTS))
    for number, (chunks, size) in enumerate(cut(outgoing.chunks, outgoing.size_bytes, part_bytes), 1):
        answer = _call(signed, "upload_part", rules, chunks, size, UploadId=upload_id, PartNumber=number)
        yield answer.headers.get("etag", "")


def _completed(tags: list[str]) -> tuple[list[bytes], int]:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
        for number, tag in enumerate(tags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    return [body], len(body)


def _forget(signed: Signed, upload_id: str, rules: FetchRules) -> None:
    try:
        _call(signed, "abort_multipart_upload", rules, UploadId=upload_id)
    except C2DError:
        return  # the failure that led here is the one to tell


def _call(
    signed: Signed, verb: str, rules: FetchRules, chunks: Iterable[bytes] = (), size: int = 0,
    **arguments: object,
) -> Answer:  # fmt: skip
    method, address = signed.address(verb, **arguments)
    return send(Request(method, address, {}), chunks, size, rules)
