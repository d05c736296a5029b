"""Own the S3 client: the one place where the SDK's calls and errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import NotFound, RangeNotSatisfiable, Unavailable

CHUNK_BYTES = 1 << 20
COPY = TransferConfig(multipart_threshold=256 << 20, multipart_chunksize=256 << 20, max_concurrency=2)


class S3Client:
    """Talk to one bucket; may be shared between threads. Credentials are found by the SDK's usual chain."""

    def __init__(self, bucket: str, endpoint_url: str | None = None, region: str | None = None) -> None:
        """Touch no network. Raises: ValueError where endpoint, region or profile cannot be."""
        self.bucket = bucket
        try:
            self._client: Any = Session().client(
                "s3", endpoint_url=endpoint_url, region_name=region, config=_config(endpoint_url)
            )
        except BotoCoreError as error:
            raise ValueError(str(error)) from error

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Call a verb of the SDK's client on this bucket. Raises: NotFound, RangeNotSatisfiable, Unavailable."""
        try:
            return getattr(self._client, verb)(Bucket=self.bucket, **arguments) or {}
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "NoSuchUpload", "NotFound", "404"):
                raise NotFound(f"nothing is stored under {arguments.get('Key', '')}") from error
            if code in ("InvalidRange", "416"):
                raise RangeNotSatisfiable("the range begins at the end or beyond") from error
            raise self._out_of_reach(error) from error
        except BotoCoreError as error:
            raise self._out_of_reach(error) from error

    def copy(self, source: str, target: str, metadata: dict[str, str]) -> None:
        """Have the server copy an object, of any size, under new metadata."""
        extra = {"Metadata": metadata, "MetadataDirective": "REPLACE"}
        self.ask("copy", Key=target, CopySource={"Bucket": self.bucket, "Key": source}, ExtraArgs=extra, Config=COPY)

    def stream(self, key: str, **arguments: Any) -> Iterator[bytes]:
        """Open an object at the call; closing the iterator closes the connection, whether it was begun or not."""
        chunks = self._chunks(self.ask("get_object", Key=key, **arguments)["Body"])
        next(chunks)
        return chunks

    def listed(self, verb: str, field: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the entries of all pages of a listing; none where the upload they are of is gone."""
        pages = self._client.get_paginator(verb).paginate(Bucket=self.bucket, **arguments)
        try:
            for page in pages:
                yield from page.get(field, [])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchUpload":  # it has ended since it was listed
                return
            raise self._out_of_reach(error) from error
        except BotoCoreError as error:
            raise self._out_of_reach(error) from error

    def check(self) -> None:
        """Raise `Unavailable` where there is no such bucket for us."""
        try:
            self.ask("head_bucket")
        except NotFound as error:
            raise Unavailable(f"the bucket {self.bucket} cannot be used: it does not exist") from error

    def _chunks(self, body: Any) -> Iterator[bytes]:
        try:
            yield b""  # taken by `stream`, so that closing reaches `finally`
            yield from body.iter_chunks(CHUNK_BYTES)
        except BotoCoreError as error:
            raise self._out_of_reach(error) from error
        finally:
            body.close()

    def _out_of_reach(self, error: Exception) -> Unavailable:
        return Unavailable(f"the bucket {self.bucket} cannot be used: {error}")


def _config(endpoint_url: str | None) -> Config:
    """Settle for what every S3 server speaks; the signature already protects the bytes on their way."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint_url else "auto", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=50,
    )
