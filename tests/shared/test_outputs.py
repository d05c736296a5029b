"""Where outputs go instead of the node: what is asked for, what is sent, and that nothing false arrives whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

from shared import outputs
from shared.errors import DigestMismatch, Forbidden, InvalidRequest, Unavailable
from shared.files import FetchRules
from shared.files.base import Network
from shared.outputs import OutputTarget
from shared.upload import send_away
from shared.upload.body import Outgoing, encrypted, verified
from shared.upload.parts import cut
from tests.clients.targets import serve_uploads

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PUBLIC_KEY = "02466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27"


def chunked(data: bytes = CONTENT, size: int = 777) -> Iterator[bytes]:
    """The content as a pod sends it."""
    return (data[start : start + size] for start in range(0, len(data), size))


def target(encryption: dict[str, Any] | None = None, **storage: Any) -> OutputTarget:
    """A checked target."""
    sent = {"remoteStorage": {"type": "URL", "url": "https://example.org/a/", **storage}, "encryption": encryption}
    return OutputTarget.from_document(outputs.read(sent, lambda _: b""))


def test_a_target_that_ends_with_a_slash_is_a_folder() -> None:
    access = {"endpoint": "https://s3.example.org", "bucket": "b", "accessKeyId": "a", "secretAccessKey": "s"}
    assert target().is_folder and not target(url="https://example.org/a?b=/").is_folder
    assert target(type="s3", s3Access={**access, "objectKey": "folder/"}).is_folder


def test_a_file_is_called_by_engine_job_and_its_own_suffix() -> None:
    assert outputs.name_of("outputs.tar", "0x12-0x34", "ab") == "outputs-0x12-ab.tar"
    assert outputs.name_of("table", "0x12-0x34", "ab") == "outputs-0x12-ab"


@pytest.mark.parametrize("sent", ["zz", "abc", [], "0x"])
def test_what_is_no_target_is_refused(sent: Any) -> None:
    with pytest.raises(InvalidRequest, match="Invalid output"):
        outputs.read(sent, lambda _: b"[]")


def test_the_fields_encryption_takes_its_iv_from_the_nodes_key() -> None:
    sent = encrypted(target({"encryptMethod": "aes", "key": "ab" * 40}), PUBLIC_KEY, whole())
    data = b"".join(sent.chunks)
    assert len(data) == sent.size_bytes
    plain = AES.new(b"\xab" * 32, AES.MODE_CBC, iv=bytes.fromhex(PUBLIC_KEY)[:16]).decrypt(data)
    assert unpad(plain, 16) == CONTENT


def test_the_other_encryption_shows_whether_the_file_was_changed() -> None:
    sent = encrypted(target({"encryptMethod": "AES-GCM", "key": "cd" * 32}), PUBLIC_KEY, whole())
    data = b"".join(sent.chunks)
    assert len(data) == sent.size_bytes
    cipher = AES.new(b"\xcd" * 32, AES.MODE_GCM, nonce=data[:12])
    assert cipher.decrypt_and_verify(data[12:-16], data[-16:]) == CONTENT


def test_bytes_that_are_not_those_announced_never_arrive_whole() -> None:
    for chunks, size, error in (
        (chunked(CONTENT[:-1] + b"x"), len(CONTENT), DigestMismatch),
        (chunked(CONTENT[:-1]), len(CONTENT), InvalidRequest),
        (chunked(CONTENT + b"more"), len(CONTENT), InvalidRequest),
    ):
        passed = []
        with pytest.raises(error):
            passed.extend(verified(chunks, size, DIGEST))
        assert sum(len(each) for each in passed) < len(CONTENT)
    assert b"".join(verified(chunked(), len(CONTENT), DIGEST)) == CONTENT


def test_parts_have_the_lengths_they_say() -> None:
    parts = [(b"".join(chunks), length) for chunks, length in cut(chunked(), len(CONTENT), 3000)]
    assert [len(data) for data, _ in parts] == [length for _, length in parts] == [3000, 3000, 3000, 1240]
    assert b"".join(data for data, _ in parts) == CONTENT


def test_a_false_upload_is_not_kept_by_the_server(loopback: tuple[Network, ...]) -> None:
    with serve_uploads() as uploads:
        wrong = Outgoing("a.tar", len(CONTENT), verified(chunked(b"x" * len(CONTENT)), len(CONTENT), DIGEST))
        with pytest.raises(DigestMismatch):
            send_away({"type": "url", "url": f"{uploads.url}/"}, wrong, FetchRules(allow=loopback))
        send_away({"type": "url", "url": f"{uploads.url}/"}, whole(), FetchRules(allow=loopback))
        assert uploads.files == {"/a.tar": CONTENT}


def test_addresses_that_are_not_public_are_refused_unless_allowed() -> None:
    with serve_uploads() as uploads, pytest.raises(Forbidden):
        send_away({"type": "url", "url": f"{uploads.url}/"}, whole(), FetchRules())


@pytest.mark.parametrize(("status", "error"), [(403, InvalidRequest), (307, InvalidRequest), (503, Unavailable)])
def test_a_refusal_is_told_from_a_server_that_is_busy(
    loopback: tuple[Network, ...], status: int, error: type[Exception]
) -> None:
    with serve_uploads() as uploads, pytest.raises(error, match=str(status)):
        uploads.statuses.append(status)
        send_away({"type": "url", "url": f"{uploads.url}/x"}, whole(), FetchRules(allow=loopback))


def whole() -> Outgoing:
    """The content on its way."""
    return Outgoing("a.tar", len(CONTENT), verified(chunked(), len(CONTENT), DIGEST))


@pytest.fixture
def loopback() -> tuple[Network, ...]:
    """What an operator allows who keeps results on the same machine."""
    return FetchRules.allowing(["127.0.0.0/8"]).allow
