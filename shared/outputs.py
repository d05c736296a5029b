"""Own where results go instead of this node (wire §19.5): reading and checking a target, naming what is sent; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self
from urllib.parse import urlsplit

from shared.errors import InvalidRequest, NotAvailable
from shared.file_objects import Decrypt, FileObject
from shared.files import KNOWN_TYPES, url
from shared.strict_json import loads

NO_UPLOAD = frozenset({"ipfs", "arweave", "nodePersistentStorage"})
NOT_BUILT = frozenset({"ftp"})
S3_FIELDS = ("endpoint", "bucket", "objectKey", "accessKeyId", "secretAccessKey")
AES_KEY_BYTES = 32
CBC, GCM = "AES", "AES-GCM"
"The field's own method, with its fixed IV, and one that also shows whether the file was changed."


@dataclass(frozen=True)
class OutputTarget:
    """Where a job's outputs are sent, and the key they are encrypted with on the way."""

    storage: FileObject = field(repr=False)
    method: str | None = None
    "`AES` or `AES-GCM`; null = as they are."
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `read` has checked, as it was sealed."""
        method, key = _encryption(document.get("encryption"))
        return cls(document["remoteStorage"], method, key)

    @property
    def is_folder(self) -> bool:
        """Whether it ends with `/`, so that each file goes below it under its own name."""
        if self.storage["type"] == "s3":
            return str(self.storage["s3Access"]["objectKey"]).endswith("/")
        return urlsplit(str(self.storage["url"])).path.endswith("/")


def read(sent: Any, decrypt: Decrypt) -> dict[str, Any]:
    """Open and check a target; gives the document to be sealed. Raises: InvalidRequest, NotAvailable."""
    document = _opened(sent, decrypt)
    storage = document.get("remoteStorage")
    if not isinstance(storage, dict) or not isinstance(storage.get("type"), str):
        raise _wrong("Invalid output: remoteStorage is a file object with a type")
    checked = {"remoteStorage": _checked(storage)}
    if document.get("encryption") is not None:
        _encryption(document["encryption"])
        checked["encryption"] = document["encryption"]
    return checked


def name_of(filename: str, environment_id: str, job_id: str) -> str:
    """Give the name a file has where it goes: the engine's hash, the job and the file's own suffix."""
    return f"outputs-{environment_id.partition('-')[0]}-{job_id}{PurePosixPath(filename).suffix}"


def _opened(sent: Any, decrypt: Decrypt) -> dict[str, Any]:
    """Read a target in clear, or encrypted for this node in hex."""
    try:
        document = loads(decrypt(sent.removeprefix("0x"))) if isinstance(sent, str) else sent
    except (InvalidRequest, ValueError) as error:
        raise _wrong(f"Invalid output: {getattr(error, 'detail', 'hex is expected')}") from error
    if not isinstance(document, dict):
        raise _wrong("Invalid output: an object is expected")
    return document


def _checked(storage: Mapping[str, Any]) -> dict[str, Any]:
    known = {name.lower(): name for name in KNOWN_TYPES}
    kind = known.get(storage["type"].lower())
    if kind is None:
        raise _wrong(f"Invalid output: type must be one of {', '.join(KNOWN_TYPES)}")
    if kind in NO_UPLOAD:
        raise _wrong("Storage class has no support for upload")
    if kind in NOT_BUILT:
        raise NotAvailable(f"output: targets of type {kind} are not available on this node.", path="output")
    if kind == "s3":
        _check_s3(storage.get("s3Access"))
    else:
        _check_url(storage)
    return {**storage, "type": kind}


def _check_url(storage: Mapping[str, Any]) -> None:
    try:
        url.request_of({name: value for name, value in storage.items() if name != "method"})
    except InvalidRequest as error:
        raise _wrong(error.detail) from error


def _check_s3(access: Any) -> None:
    if not isinstance(access, dict):
        raise _wrong("Error validating the S3 file: s3Access is missing")
    missing = [name for name in S3_FIELDS if not isinstance(access.get(name), str) or not access[name]]
    if missing:
        raise _wrong(f"Error validating the S3 file: {', '.join(missing)} missing")
    if urlsplit(access["endpoint"]).scheme not in ("http", "https"):
        raise _wrong("Error validating the S3 file: endpoint is an http(s) address")
    if not isinstance(access.get("region") or "", str):
        raise _wrong("Error validating the S3 file: region is a text")


def _encryption(asked: Any) -> tuple[str | None, bytes]:
    """Read how to encrypt; the first 32 bytes of the key count. Raises: InvalidRequest."""
    if asked is None:
        return None, b""
    if not isinstance(asked, dict) or not isinstance(asked.get("key"), str) or not asked["key"]:
        raise _wrong("Encryption required, but no key")
    method = str(asked.get("encryptMethod", "")).upper()
    if method not in (CBC, GCM):
        raise _wrong("Only AES encryption is supported")
    try:
        key = bytes.fromhex(asked["key"].removeprefix("0x"))
    except ValueError as error:
        raise _wrong("AES key must be hex") from error
    if len(key) < AES_KEY_BYTES:
        raise _wrong(f"AES key must be at least 32 bytes (64 hex chars), got {len(key)} bytes")
    return method, key[:AES_KEY_BYTES]


def _wrong(sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, path="output")
