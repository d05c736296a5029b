"""What is particular to storage on a file system: digests beside the files, full and forbidden disks."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.errors import Unavailable
from shared.storage.local import LocalStorage

KEY = "job/outputs.zip"
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def test_an_operator_finds_the_object_where_its_key_says(root: Path) -> None:
    LocalStorage(root).write(KEY, [b"x"])
    assert (root / KEY).read_bytes() == b"x"


def test_a_recorded_digest_spares_reading_the_file(root: Path) -> None:
    LocalStorage(root).write(KEY, [b"x"])
    record = root / ".sha256" / KEY
    record.write_text(record.read_text().replace(digest(b"x"), "recorded"))
    assert sha256(root) == "recorded"


def test_a_crash_between_object_and_digest_never_yields_a_wrong_digest(root: Path) -> None:
    LocalStorage(root).write(KEY, [b"before"])
    of_before = (root / ".sha256" / KEY).read_bytes()
    LocalStorage(root).write(KEY, [b"behind"])
    (root / ".sha256" / KEY).write_bytes(of_before)
    assert sha256(root) == digest(b"behind")


@pytest.mark.parametrize(
    "record", [b"", b"\0" * 80, b"no digest at all", b"\xff"], ids=["empty", "nulls", "words", "not text"]
)
def test_a_record_that_a_power_cut_spoiled_is_made_again(root: Path, record: bytes) -> None:
    LocalStorage(root).write(KEY, [b"x"])
    path = root / ".sha256" / KEY
    path.write_bytes(record)
    assert sha256(root) == digest(b"x")
    assert path.read_text().startswith(digest(b"x"))


def test_a_backup_put_back_without_digests_is_read_as_it_is(root: Path, tmp_path: Path) -> None:
    LocalStorage(root).write(KEY, [b"x"])
    restored = tmp_path / "restored"
    shutil.copytree(root, restored, ignore=shutil.ignore_patterns(".sha256", ".tmp"))
    assert sha256(restored) == digest(b"x")
    assert list(LocalStorage(restored).keys()) == [KEY]


def test_a_file_of_a_stranger_is_listed_where_its_name_can_be_a_key(root: Path) -> None:
    (root / "job").mkdir()
    (root / "job" / "notes.txt").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root / "job") + b"/\xff")).write_bytes(b"x")
    (root / ".DS_Store").write_bytes(b"x")
    assert list(LocalStorage(root).keys()) == ["job/notes.txt"]
    assert sha256(root, "job/notes.txt") == digest(b"x")


def test_deleting_the_last_object_leaves_no_folder_of_its_job(root: Path) -> None:
    LocalStorage(root).write(KEY, [b"x"])
    LocalStorage(root).delete(KEY)
    assert [path for path in root.rglob("*") if path.name not in (".tmp", ".sha256")] == []


def test_a_digest_whose_object_is_gone_is_swept(root: Path) -> None:
    LocalStorage(root).write(KEY, [b"x"])
    (root / KEY).unlink()
    assert LocalStorage(root).sweep(older_than_s=3600) == 0
    assert LocalStorage(root).sweep(older_than_s=0) == 1
    assert not (root / ".sha256" / KEY).exists()


def test_the_age_of_a_rest_is_told_by_the_clock_given(root: Path) -> None:
    rest = root / ".tmp" / "rest"
    rest.parent.mkdir()
    rest.write_bytes(b"half")
    os.utime(rest, (1000, 1000))
    assert LocalStorage(root, now=lambda: 1059).sweep(older_than_s=60) == 0
    assert LocalStorage(root, now=lambda: 1060).sweep(older_than_s=60) == 1


def test_a_key_cannot_be_a_folder_of_other_keys(root: Path) -> None:
    storage = LocalStorage(root)
    storage.write("job/a", [b"x"])
    for key in ("job/a/b", "job"):
        with pytest.raises(ValueError, match="folder of other keys"):
            storage.write(key, [b"y"])
        assert storage.head(key) is None
        storage.delete(key)
    assert list(storage.keys()) == ["job/a"]
    assert list((root / ".tmp").iterdir()) == []


def test_a_missing_root_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        LocalStorage(tmp_path / "not mounted").write(KEY, [b"x"])
    assert list(tmp_path.iterdir()) == []


def test_a_write_the_system_breaks_off_is_unavailable_and_leaves_what_was_there(root: Path) -> None:
    storage = LocalStorage(root)
    storage.write(KEY, [b"before"])
    with largest_file(1 << 20), pytest.raises(Unavailable, match="File too large"):
        storage.write(KEY, [bytes(1 << 18)] * 8)
    assert b"".join(storage.read(KEY)) == b"before"
    assert list((root / ".tmp").iterdir()) == []


def test_a_full_disk_is_unavailable_and_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        storage = LocalStorage(disk)
        storage.write(KEY, [b"before"])
        with pytest.raises(Unavailable, match="No space left"):
            storage.write(KEY, [bytes(1 << 18)] * 8)
        assert b"".join(storage.read(KEY)) == b"before"
        storage.check()
        (disk / "filler").write_bytes(bytes(free_bytes(disk)))
        with pytest.raises(Unavailable, match="No space left"):
            storage.check()
        assert storage.head(KEY) is not None


def test_a_forbidden_folder_is_unavailable_and_says_why(root: Path) -> None:
    storage = LocalStorage(root)
    storage.write(KEY, [b"x"])
    with nobody_may_enter(root):
        for verb in (storage.check, lambda: storage.head(KEY), lambda: storage.read(KEY), lambda: list(storage.keys())):
            with pytest.raises(Unavailable, match="Permission denied"):
                verb()
        with pytest.raises(Unavailable, match="Permission denied"):
            storage.write(KEY, [b"y"])


def sha256(root: Path, key: str = KEY) -> str:
    facts = LocalStorage(root).head(key)
    assert facts is not None
    return facts.sha256


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def free_bytes(disk: Path) -> int:
    facts = os.statvfs(disk)
    return facts.f_bavail * facts.f_bsize


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let the system refuse files that grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "c2d-test", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def nobody_may_enter(folder: Path) -> Iterator[None]:
    """Take the folder's permissions away, and root's power to do without."""
    user = os.geteuid()
    folder.chmod(0)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
