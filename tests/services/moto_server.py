"""An S3 server for tests: moto's, in a process of its own that ends with the one that started it.

One server a worker, a fresh bucket a test. A test that wants to stop the server asks for `own_moto_server`. Run as a
program it serves on a free loopback port, prints it, and ends when its standard input does.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.needs import require

ROOT = Path(__file__).parents[2]
REGION = "eu-west-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}


@dataclass(frozen=True)
class MotoServer:
    """A running S3 server; `process` is ours."""

    endpoint: str
    process: subprocess.Popen[str]

    def client(self) -> Any:
        """A plain SDK client, to look behind the storage's back."""
        import boto3

        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test-secret"}
        return boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION, **keys)

    def make_bucket(self) -> str:
        """Make a bucket of a new name."""
        bucket = f"test-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        return bucket

    def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket and give back the memory of all that is in it."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=entry["Key"])
        client.delete_bucket(Bucket=bucket)

    def storage_url(self, bucket: str, prefix: str = "results") -> str:
        """What C2D_STORAGE_URL says for a bucket of this server."""
        return f"s3://{bucket}/{prefix}?endpoint={quote(self.endpoint, safe='')}&region={REGION}"

    def stop(self) -> None:
        """End the server; everything in it is gone."""
        self.process.communicate(timeout=30)


def start_moto_server(address: str = "127.0.0.1") -> MotoServer:
    """Start a server at an address of this machine and wait until it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.services.moto_server", address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    endpoint = process.stdout.readline().strip()
    if not endpoint:
        raise RuntimeError(f"the S3 server ended with {process.wait()} before it served")
    return MotoServer(endpoint, process)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """The worker's shared server; never stop it."""
    require("s3")
    server = start_moto_server()
    yield server
    server.stop()


@pytest.fixture
def own_moto_server(s3_credentials: None) -> Iterator[MotoServer]:
    """A server for one test alone, which may stop it."""
    require("s3")
    server = start_moto_server()
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials where the SDK looks for them, in this process and those it starts."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_url(moto_server: MotoServer, s3_credentials: None) -> Iterator[str]:
    """A storage URL below a fresh bucket."""
    bucket = moto_server.make_bucket()
    yield moto_server.storage_url(bucket)
    moto_server.remove_bucket(bucket)


def serve() -> None:
    """Serve until standard input ends."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=sys.argv[1], port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    serve()
