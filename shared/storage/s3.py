"""Own storage in an S3 bucket, on any server that speaks it.

An object always carries its own digest, in its metadata, so the two change in one step. Metadata is fixed when an
upload begins: small objects are hashed first, large ones take the digest announced for them (other content never
becomes visible), and a large one without is uploaded under `.tmp/` and copied by the server.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from mmap import mmap
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

from shared.errors import NotFound, RangeNotSatisfiable
from shared.storage.base import StoredObject
from shared.storage.checks import CheckedSource, check_key, check_range, digest_of, folder_of, is_key
from shared.storage.multipart import PART_BYTES, PARTS, abort, in_parts, put_back, upload
from shared.storage.s3_client import S3Client

LARGEST_BYTES = PART_BYTES * PARTS
TEMPORARY = ".tmp/"


def from_url(url: SplitResult) -> S3Storage:
    """Make the storage of `s3://bucket/prefix?endpoint=…&region=…`. Raises: ValueError saying what is wrong."""
    if "@" in url.netloc or ":" in url.netloc:
        raise ValueError("an s3 URL names a bucket, no host and no credentials; those come from the usual AWS sources")
    if not 3 <= len(url.netloc) <= 63:
        raise ValueError("an s3 URL names a bucket of 3 to 63 characters")
    options = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
    if unknown := set(options) - {"endpoint", "region"}:
        raise ValueError(f"an s3 URL takes endpoint and region, not {', '.join(sorted(unknown))}")
    endpoint = options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return S3Storage(url.netloc, unquote(url.path), endpoint, options.get("region"))


class S3Storage:
    """Keep objects in a bucket below a prefix."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = S3Client(bucket, endpoint_url, region)
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._now = now

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        expected_sha256: str | None = None,
        max_bytes: int | None = None,
    ) -> StoredObject:
        """Put what is less than a part in one request; upload the rest in parts that become visible together."""
        name = self._name(key)
        limit = LARGEST_BYTES if max_bytes is None else min(max_bytes, LARGEST_BYTES)
        source = CheckedSource(chunks, expected_sha256, limit)
        parts = in_parts(source)
        first = list(islice(parts, 1))
        if not first or len(first[0]) < PART_BYTES:
            self._client.ask(
                "put_object", Key=name, Body=first[0] if first else b"", Metadata={"sha256": source.sha256}
            )
        elif expected_sha256 is not None:
            upload(self._client.ask, name, put_back(first, parts), {"sha256": expected_sha256.lower()})
        else:
            self._upload_and_copy(name, put_back(first, parts), source)
        return StoredObject(key, source.size_bytes, source.sha256)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Ask at the call, read as the chunks are taken."""
        check_range(start, length)
        if length == 0:
            self._facts(key)
            return iter(())
        last = "" if length is None else start + length - 1
        wanted = {"Range": f"bytes={start}-{last}"} if start or length else {}
        try:
            return self._client.stream(self._name(key), **wanted)
        except RangeNotSatisfiable:
            return iter(())

    def head(self, key: str) -> StoredObject | None:
        """Tell the digest in the metadata; read an object that another program put there without one."""
        try:
            facts = self._facts(key)
            digest = facts["Metadata"].get("sha256") or digest_of(self.read(key))
        except NotFound:
            return None
        return StoredObject(key, facts["ContentLength"], digest)

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._client.ask("delete_object", Key=self._name(key))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """List below the prefix, in the order S3 guarantees, with other programs' impossible keys left out."""
        folder_of(prefix)
        found = self._client.listed("list_objects_v2", "Contents", Prefix=self._prefix + prefix)
        names = (entry["Key"].removeprefix(self._prefix) for entry in found)
        return (name for name in names if is_key(name))

    def sweep(self, older_than_s: int) -> int:
        """Abort old multipart uploads below the prefix, and remove what was to be copied and was not."""
        until = self._now() - older_than_s
        uploads = [
            entry
            for entry in self._client.listed("list_multipart_uploads", "Uploads", Prefix=self._prefix)
            if self._grown_at(entry) <= until
        ]
        copies = [
            entry["Key"]
            for entry in self._client.listed("list_objects_v2", "Contents", Prefix=self._prefix + TEMPORARY)
            if entry["LastModified"].timestamp() <= until
        ]
        for key in copies:
            self._client.ask("delete_object", Key=key)
        return len(copies) + sum(abort(self._client.ask, entry["Key"], entry["UploadId"]) for entry in uploads)

    def check(self) -> None:
        """Ask for the bucket."""
        self._client.check()

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _upload_and_copy(self, name: str, parts: Iterable[mmap], source: CheckedSource) -> None:
        temporary = f"{self._prefix}{TEMPORARY}{secrets.token_hex(16)}"
        upload(self._client.ask, temporary, parts, {})
        try:
            self._client.copy(temporary, name, {"sha256": source.sha256})
        finally:
            self._client.ask("delete_object", Key=temporary)

    def _facts(self, key: str) -> dict[str, Any]:
        try:
            return self._client.ask("head_object", Key=self._name(key))
        except NotFound:
            self._client.check()  # a HEAD has no body to tell a missing bucket from a missing key
            raise

    def _grown_at(self, upload: dict[str, Any]) -> float:
        """Tell when an upload last got a part, so that a slow one is not taken for a dead one."""
        parts = self._client.listed("list_parts", "Parts", Key=upload["Key"], UploadId=upload["UploadId"])
        grown_at: float = max([upload["Initiated"].timestamp(), *(part["LastModified"].timestamp() for part in parts)])
        return grown_at
