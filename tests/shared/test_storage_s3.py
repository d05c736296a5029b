"""What is particular to S3: answers of servers in trouble, objects of other programs, where uploads go."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.errors import Unavailable
from shared.storage import open_storage
from shared.storage.s3 import S3Storage
from tests.contracts.storage_backends import content
from tests.needs import needs
from tests.services.moto_server import REGION, MotoServer

pytestmark = needs("s3")
KEY = "job/outputs.zip"
MIB = 1 << 20


@pytest.fixture
def bucket(moto_server: MotoServer, s3_credentials: None) -> Iterator[str]:
    name = moto_server.make_bucket()
    yield name
    moto_server.remove_bucket(name)


def test_a_bucket_that_does_not_exist_is_unavailable_and_never_empty(
    moto_server: MotoServer, s3_credentials: None
) -> None:
    storage = open_storage(moto_server.storage_url("no-such-bucket"))
    for verb in (
        lambda: storage.check(),
        lambda: storage.head(KEY),
        lambda: storage.read(KEY),
        lambda: storage.read(KEY, 0, 0),
        lambda: list(storage.keys()),
        lambda: storage.delete(KEY),
        lambda: storage.write(KEY, [b"x"]),
        lambda: storage.sweep(0),
    ):
        with pytest.raises(Unavailable, match="does not exist"):
            verb()


def test_an_object_of_another_program_is_read_for_its_digest(moto_server: MotoServer, bucket: str) -> None:
    moto_server.client().put_object(Bucket=bucket, Key=f"results/{KEY}", Body=b"foreign")
    moto_server.client().put_object(Bucket=bucket, Key="results/job/", Body=b"")
    storage = open_storage(moto_server.storage_url(bucket))
    facts = storage.head(KEY)
    assert facts is not None and facts.sha256 == hashlib.sha256(b"foreign").hexdigest()
    assert list(storage.keys()) == [KEY]


def test_two_prefixes_of_a_bucket_know_nothing_of_each_other(moto_server: MotoServer, bucket: str) -> None:
    one, two, whole = (open_storage(moto_server.storage_url(bucket, prefix)) for prefix in ("a", "a/b", ""))
    one.write("x", [b"1"])
    two.write("x", [b"2"])
    assert list(two.keys()) == ["x"] and list(one.keys()) == ["b/x", "x"] and list(whole.keys()) == ["a/b/x", "a/x"]
    begin_upload(moto_server, bucket, "ab/x")
    assert one.sweep(0) == two.sweep(0) == 0
    assert whole.sweep(0) == 1


def test_an_upload_that_still_grows_is_not_swept(moto_server: MotoServer, bucket: str) -> None:
    upload = begin_upload(moto_server, bucket, "results/job/x")
    part = {"Bucket": bucket, "Key": "results/job/x", "UploadId": upload, "PartNumber": 1, "Body": b"x" * 5 * MIB}
    moto_server.client().upload_part(**part)
    storage = open_storage(moto_server.storage_url(bucket))
    assert storage.sweep(older_than_s=3600) == 0
    assert storage.sweep(older_than_s=0) == 1


def test_an_upload_whose_copy_was_never_made_is_swept_when_old(moto_server: MotoServer, bucket: str) -> None:
    moto_server.client().put_object(Bucket=bucket, Key="results/.tmp/x", Body=b"x")
    storage = open_storage(moto_server.storage_url(bucket))
    assert list(storage.keys()) == []
    assert storage.sweep(older_than_s=3600) == 0
    assert storage.sweep(older_than_s=0) == 1


def test_a_server_that_goes_away_during_an_upload_makes_it_unavailable(own_moto_server: MotoServer) -> None:
    storage = open_storage(own_moto_server.storage_url(own_moto_server.make_bucket()))

    def chunks() -> Iterator[bytes]:
        yield b"x" * 40 * MIB
        own_moto_server.stop()
        yield b"x" * 40 * MIB

    with pytest.raises(Unavailable, match="cannot be used"):
        storage.write(KEY, chunks())


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "AccessDenied", "AccessDenied"),
        (403, "InvalidAccessKeyId", "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        (503, "SlowDown", "SlowDown"),
        (500, "InternalError", "InternalError"),
    ],
)
def test_a_server_that_refuses_is_unavailable_and_its_word_is_told(
    s3_credentials: None, status: int, code: str, told: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with answering(status, body) as endpoint:
        storage = S3Storage("some-bucket", endpoint_url=endpoint, region=REGION)
        with pytest.raises(Unavailable, match=told):
            storage.read(KEY)
        with pytest.raises(Unavailable, match=str(status)):
            storage.head(KEY)


def test_a_part_the_server_refused_once_is_sent_again_whole(s3_credentials: None) -> None:
    whole = b"".join(content(40 * MIB))
    with Forgetful() as server:
        S3Storage("some-bucket", endpoint_url=server.endpoint, region=REGION).write(
            KEY, [whole], expected_sha256=digest(whole)
        )
        assert b"".join(server.parts[number] for number in sorted(server.parts)) == whole
        assert server.refusals == 3


def test_a_body_cut_short_is_unavailable_and_not_the_end(s3_credentials: None) -> None:
    with answering(200, b"half", announced_bytes=8) as endpoint:
        stream = S3Storage("some-bucket", endpoint_url=endpoint, region=REGION).read(KEY)
        with pytest.raises(Unavailable):
            list(stream)


def test_missing_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(Unavailable, match="credentials"):
        S3Storage("some-bucket", endpoint_url="http://127.0.0.1:9", region=REGION).check()


def digest(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()


def begin_upload(server: MotoServer, bucket: str, key: str) -> str:
    return str(server.client().create_multipart_upload(Bucket=bucket, Key=key)["UploadId"])


class Forgetful:
    """A server that takes each part of an upload at its second attempt only."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.refusals = 0
        seen: set[int] = set()
        forgetful = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # with it Python answers `Expect: 100-continue`

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.answer(200, b"<Reply><UploadId>u</UploadId><ETag>e</ETag></Reply>")

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = int(parse_qs(urlsplit(self.path).query)["partNumber"][0])
                if number not in seen:
                    seen.add(number)
                    forgetful.refusals += 1
                    return self.answer(503, b"<Error><Code>SlowDown</Code><Message>no</Message></Error>")
                forgetful.parts[number] = body
                self.answer(200, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("ETag", '"e"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Forgetful:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class answering:
    """A server that gives everybody the same answer."""

    def __init__(self, status: int, body: bytes, announced_bytes: int | None = None) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(announced_bytes or len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
