"""What every storage does, told once and run on each."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.errors import DigestMismatch, NotFound, PayloadTooLarge, Unavailable
from shared.storage import StoredObject, open_storage
from shared.storage.checks import digest_of
from tests.contracts.storage_backends import MIB, Backend, content, local_backend, s3_backend
from tests.needs import needs
from tests.services.moto_server import MotoServer

ROOT = Path(__file__).parents[2]
KEY = "job/outputs.zip"


@pytest.fixture(params=["local", pytest.param("s3", marks=needs("s3"))])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "local":
        yield local_backend(tmp_path)
        return
    request.getfixturevalue("s3_credentials")
    server: MotoServer = request.getfixturevalue("moto_server")
    bucket = server.make_bucket()
    yield s3_backend(server, bucket)
    server.remove_bucket(bucket)


def test_what_is_written_is_read_back(backend: Backend) -> None:
    stored = backend.storage.write(KEY, [b"one ", b"", b"two"])
    assert stored == StoredObject(KEY, 7, hashlib.sha256(b"one two").hexdigest())
    assert b"".join(backend.storage.read(KEY)) == b"one two"
    assert backend.storage.head(KEY) == stored


def test_an_empty_object_is_an_object(backend: Backend) -> None:
    stored = backend.storage.write(KEY, [])
    assert stored == StoredObject(KEY, 0, hashlib.sha256().hexdigest())
    assert list(backend.storage.read(KEY)) == []
    assert list(backend.storage.read(KEY, 0, 5)) == []
    assert backend.storage.head(KEY) == stored
    assert list(backend.storage.keys()) == [KEY]


def test_nothing_stored_is_told_at_the_call(backend: Backend) -> None:
    assert backend.storage.head(KEY) is None
    for start, length in ((0, None), (0, 0), (5, 2)):
        with pytest.raises(NotFound):
            backend.storage.read(KEY, start, length)
    assert list(backend.storage.keys()) == []


def test_a_second_write_replaces_the_first(backend: Backend) -> None:
    backend.storage.write(KEY, [b"a long first content"])
    stored = backend.storage.write(KEY, [b"short"])
    assert read(backend) == b"short"
    assert backend.storage.head(KEY) == stored


def test_who_reads_while_it_is_replaced_gets_one_whole_content(backend: Backend) -> None:
    backend.storage.write(KEY, [b"a" * MIB * 3])
    stream = backend.storage.read(KEY)
    begun = next(stream)
    backend.storage.write(KEY, [b"b" * MIB * 3])
    assert begun + b"".join(stream) == b"a" * MIB * 3


def test_ranges_are_those_of_a_slice(backend: Backend) -> None:
    whole = b"0123456789"
    backend.storage.write(KEY, [whole])
    for start in (0, 1, 9, 10, 11, 99):
        for length in (None, 0, 1, 9, 10, 11):
            expected = whole[start:] if length is None else whole[start : start + length]
            assert b"".join(backend.storage.read(KEY, start, length)) == expected, (start, length)


def test_a_negative_range_is_refused(backend: Backend) -> None:
    backend.storage.write(KEY, [b"some"])
    for start, length in ((-1, None), (0, -1)):
        with pytest.raises(ValueError):
            backend.storage.read(KEY, start, length)


def test_a_stream_may_be_closed_before_its_end_or_its_beginning(backend: Backend) -> None:
    backend.storage.write(KEY, content(3 * MIB))
    for begun in (False, True):
        stream = backend.storage.read(KEY)
        if begun:
            next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert next(stream, b"closed") == b"closed"


@pytest.mark.parametrize("size", [40, 16 * MIB, pytest.param(20 * MIB, marks=pytest.mark.full)])
def test_the_announced_digest_is_accepted_in_either_case(backend: Backend, size: int) -> None:
    digest = digest_of(content(size))
    for announced in (digest, digest.upper()):
        backend.storage.write(KEY, content(size), expected_sha256=announced)
        assert backend.storage.head(KEY) == StoredObject(KEY, size, digest)


@pytest.mark.parametrize("size", [0, 40, 16 * MIB, pytest.param(20 * MIB, marks=pytest.mark.full)])
def test_another_digest_leaves_what_was_there(backend: Backend, size: int) -> None:
    with pytest.raises(DigestMismatch):
        backend.storage.write(KEY, content(size), expected_sha256="0" * 64)
    assert_untouched(backend, None)
    before = backend.storage.write(KEY, [b"before"])
    with pytest.raises(DigestMismatch):
        backend.storage.write(KEY, content(size), expected_sha256="0" * 64)
    assert_untouched(backend, before)


class SourceFault(OSError):
    """The sender went away."""


@pytest.mark.parametrize("size", [0, 40, pytest.param(20 * MIB, marks=pytest.mark.full)])
@pytest.mark.parametrize("fault", [SourceFault("gone"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_source_that_fails_midway_leaves_what_was_there(backend: Backend, size: int, fault: BaseException) -> None:
    def chunks() -> Iterator[bytes]:
        yield from content(size)
        raise fault

    before = backend.storage.write(KEY, [b"before"])
    with pytest.raises(type(fault)) as raised:
        backend.storage.write(KEY, chunks())
    assert raised.value is fault
    assert_untouched(backend, before)


@pytest.mark.parametrize("size", [1, 40, 20 * MIB])
def test_more_than_allowed_is_refused_and_just_enough_is_not(backend: Backend, size: int) -> None:
    with pytest.raises(PayloadTooLarge):
        backend.storage.write(KEY, content(size), max_bytes=size - 1)
    assert_untouched(backend, None)
    assert backend.storage.write(KEY, content(size), max_bytes=size).size_bytes == size


def test_an_endless_source_is_left_as_soon_as_it_is_too_much(backend: Backend) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(PayloadTooLarge):
        backend.storage.write(KEY, endless(), max_bytes=10_000)
    assert taken == 11


@pytest.mark.parametrize(
    "announced",
    [pytest.param(True, id="digest announced"), pytest.param(False, id="digest unknown", marks=pytest.mark.full)],
)
def test_64_mib_go_up_and_come_down(backend: Backend, announced: bool) -> None:
    digest = digest_of(content(64 * MIB))
    stored = backend.storage.write(KEY, content(64 * MIB), expected_sha256=digest if announced else None)
    assert stored == backend.storage.head(KEY) == StoredObject(KEY, 64 * MIB, digest)
    assert digest_of(backend.storage.read(KEY)) == digest
    middle = b"".join(backend.storage.read(KEY, 33 * MIB - 5, 10))
    assert middle == b"".join(content(64 * MIB))[33 * MIB - 5 :][:10]
    assert backend.rests() == [] and list(backend.storage.keys()) == [KEY]


def test_one_chunk_may_be_larger_than_any_part(backend: Backend) -> None:
    whole = b"".join(content(40 * MIB))
    backend.storage.write(KEY, [whole])
    assert b"".join(backend.storage.read(KEY)) == whole


@pytest.mark.parametrize("size", [40, 72 * MIB])
def test_a_writer_killed_midway_leaves_nothing_that_shows_and_a_sweep_removes_the_rest(
    backend: Backend, size: int
) -> None:
    before = backend.storage.write(KEY, [b"before"])
    program = [sys.executable, "-m", "tests.contracts.storage_backends", "hang", backend.url, KEY, str(size)]
    with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"in the middle\n"
        writer.kill()
    rests = backend.rests()
    assert list(backend.storage.keys()) == [KEY] and backend.storage.head(KEY) == before
    assert backend.storage.sweep(older_than_s=3600) == 0 and backend.rests() == rests
    assert backend.storage.sweep(older_than_s=0) == len(rests)
    assert_untouched(backend, before)


def test_a_sweep_leaves_every_object_alone(backend: Backend) -> None:
    backend.storage.write(KEY, content(17 * MIB))
    assert backend.storage.sweep(older_than_s=0) == 0
    assert read(backend) == b"".join(content(17 * MIB))


def test_of_many_writers_of_one_key_one_wins_whole_and_readers_never_see_half(backend: Backend) -> None:
    contents = [bytes([65 + n]) * (300_000 if n % 2 else 300_001) for n in range(6)]
    allowed = {hashlib.sha256(whole).hexdigest(): whole for whole in contents}
    backend.storage.write(KEY, [contents[0]])
    ended = threading.Event()

    def look() -> int:
        looks = 0
        while not ended.is_set() or not looks:
            whole = served(lambda: read(backend))
            facts = served(lambda: backend.storage.head(KEY))
            assert whole in contents
            assert facts is not None and facts.size_bytes == len(allowed[facts.sha256])
            looks += 1
        return looks

    def write(whole: bytes) -> None:
        for _ in range(5):
            served(lambda: backend.storage.write(KEY, [whole[:1000], whole[1000:]]))

    with ThreadPoolExecutor(7) as pool:
        reader = pool.submit(look)
        try:
            for writer in [pool.submit(write, whole) for whole in contents]:
                writer.result()
        finally:
            ended.set()
        assert reader.result() > 0
    facts = backend.storage.head(KEY)
    assert facts is not None and allowed[facts.sha256] == read(backend)
    assert backend.rests() == []


def served(ask: Callable[[], Any]) -> Any:
    """The answer: who is away for a moment is asked again, as the tests' S3 server is while it replaces an object."""
    for _ in range(20):
        try:
            return ask()
        except Unavailable:
            time.sleep(0.05)
    return ask()


def test_writing_and_deleting_side_by_side_fails_neither(backend: Backend) -> None:
    def churn(name: str) -> None:
        for _ in range(15):
            backend.storage.write(f"job/{name}", [name.encode()])
            backend.storage.delete(f"job/{name}")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(churn, name) for name in "abcd"]:
            done.result()
    assert list(backend.storage.keys()) == []


@pytest.mark.parametrize(
    "key",
    [
        "job/with space .txt",
        "job/ümläut-日本語-🐧",
        "job/100%25 %2F+&=?#;:@'\"<>|*~`^[]{}$!,()",
        "job/back\\slash",
        "job/.hidden",
        "job/...",
        "job/x.sha256",
        "one",
        "a/b/c/d/e",
        f"job/{'n' * 255}",
    ],
)
def test_unusual_names_are_kept_as_they_are(backend: Backend, key: str) -> None:
    stored = backend.storage.write(key, [b"content of ", key.encode()])
    assert b"".join(backend.storage.read(key)) == b"content of " + key.encode()
    assert backend.storage.head(key) == stored
    assert list(backend.storage.keys()) == [key]
    backend.storage.delete(key)
    assert list(backend.storage.keys()) == []


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "/etc/passwd", "..", "job/../../x", "job/..", "./x", "job//x", "job/", ".tmp/x", ".sha256/x"),
        *("job/a\0b", "job/a\nb", "job/\x7f", "job/\udcff"),
        *(f"job/{'n' * 256}", f"job/{'ü' * 128}", "/".join(["n" * 200] * 5)),
    ],
)
def test_a_key_that_is_not_safe_everywhere_is_refused(backend: Backend, key: str) -> None:
    verbs: list[Callable[[], object]] = [
        lambda: backend.storage.write(key, [b"x"]),
        lambda: backend.storage.read(key),
        lambda: backend.storage.head(key),
        lambda: backend.storage.delete(key),
    ]
    for verb in verbs:
        with pytest.raises(ValueError):
            verb()


def test_keys_are_sorted_and_begin_with_the_prefix(backend: Backend) -> None:
    keys = ["a", "b/1", "b/10", "b/2", "b-c", "b/2.x", "bb/1", "ü/x", "Z/x"]
    for key in keys:
        backend.storage.write(key, [b"x"])
    assert list(backend.storage.keys()) == sorted(keys)
    for prefix in ("b/", "b", "b/1", "b/2.", "none", "none/", "ü"):
        assert list(backend.storage.keys(prefix)) == sorted(key for key in keys if key.startswith(prefix)), prefix


@pytest.mark.parametrize("prefix", ["/", "../", "b/../", "b//", "./"])
def test_a_prefix_that_leads_out_is_refused(backend: Backend, prefix: str) -> None:
    with pytest.raises(ValueError):
        list(backend.storage.keys(prefix))


def test_deleting_twice_is_deleting_once(backend: Backend) -> None:
    backend.storage.write(KEY, [b"x"])
    backend.storage.write("job/other", [b"y"])
    for _ in range(2):
        backend.storage.delete(KEY)
        assert backend.storage.head(KEY) is None
    assert list(backend.storage.keys()) == ["job/other"]


def test_a_storage_that_answers_passes_its_check(backend: Backend) -> None:
    backend.storage.check()
    assert backend.rests() == []


def test_a_storage_out_of_reach_is_unavailable_and_never_empty(backend: Backend) -> None:
    storage = open_storage(backend.broken_url)
    verbs: dict[str, Callable[[], object]] = {
        "write": lambda: storage.write(KEY, [b"x"]),
        "write large": lambda: storage.write(KEY, content(17 * MIB)),
        "read": lambda: storage.read(KEY),
        "head": lambda: storage.head(KEY),
        "delete": lambda: storage.delete(KEY),
        "keys": lambda: list(storage.keys()),
        "keys below": lambda: list(storage.keys("job/")),
        "sweep": lambda: storage.sweep(0),
        "check": lambda: storage.check(),
    }
    with ThreadPoolExecutor(len(verbs)) as pool:  # side by side, since a client tries more than once
        for name, done in {name: pool.submit(verb) for name, verb in verbs.items()}.items():
            error = done.exception()
            assert isinstance(error, Unavailable), name
            assert "cannot be used" in error.detail and error.__cause__ is not None, name


def test_2_gib_go_through_local_disk_in_little_memory(tmp_path: Path) -> None:
    assert_flat(local_backend(tmp_path).url, 2048 * MIB)


@needs("s3")
@pytest.mark.parametrize(
    "size_mib", [pytest.param(256, marks=pytest.mark.full), pytest.param(2048, marks=pytest.mark.long)]
)
def test_gigabytes_go_through_s3_in_little_memory(s3_url: str, size_mib: int) -> None:
    assert_flat(s3_url, size_mib * MIB)


def assert_flat(url: str, size_bytes: int) -> None:
    program = [sys.executable, "-m", "tests.contracts.storage_backends", "pump", url, KEY, str(size_bytes)]
    seen = json.loads(subprocess.run(program, cwd=ROOT, capture_output=True, check=True).stdout)
    assert seen["same"]
    assert seen["growth"] <= 64 * MIB, seen


def read(backend: Backend) -> bytes:
    return b"".join(backend.storage.read(KEY))


def assert_untouched(backend: Backend, before: StoredObject | None) -> None:
    assert backend.storage.head(KEY) == before
    assert list(backend.storage.keys()) == ([KEY] if before else [])
    assert backend.rests() == []
    if before:
        assert read(backend) == b"before"
