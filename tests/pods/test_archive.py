"""Packing and unpacking: what becomes of outputs, hostile ones included, and the same bytes every time."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pods import zip_format
from pods.archive import Door, Packing, pack
from pods.scanning import Entry
from pods.unpacking import Archive, Bounds, unpack
from shared.errors import JobError


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "algorithm.log").write_text("log")
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


def packed(outputs: Path, door: Door = "workflow") -> tuple[Packing, bytes]:
    packing = pack(str(outputs), str(outputs.parent / "logs"), door)
    data = b"".join(packing.chunks())
    assert data == b"".join(packing.chunks())
    return packing, data


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def unpacked(
    data: bytes, archive: Archive, folder: Path, name: str = "", bounds: Bounds = Bounds()
) -> dict[str, bytes]:
    chunks = (data[at : at + 1000] for at in range(0, len(data), 1000))
    unpack(chunks, archive, name, str(folder), bounds, lambda size: None)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("door", ["workflow", "command"])
def test_nothing_gives_nothing(outputs: Path, door: Door) -> None:
    assert packed(outputs, door)[0].kind == "none"
    outputs.rmdir()
    assert packed(outputs, door)[0].kind == "none"


@pytest.mark.parametrize("door", ["workflow", "command"])
def test_what_there_is_no_room_for_is_left_out_and_told(outputs: Path, door: Door) -> None:
    (outputs / "small").write_bytes(b"small")
    (outputs / "more").write_bytes(b"more")
    os.truncate(os.open(outputs / "large", os.O_CREAT | os.O_WRONLY), 1 << 40)
    packing = pack(str(outputs), str(outputs.parent / "logs"), door, 1 << 20)
    data = b"".join(packing.chunks())
    assert len(data) < 1 << 20 and b"small" in data and b"more" in data
    assert [note.rpartition("/")[2] for note in packing.notes] == [
        "large: 1,099,511,627,776 bytes are more than there is room for, left out"
    ]
    (outputs / "small").unlink()
    (outputs / "more").unlink()
    assert pack(str(outputs), str(outputs.parent / "logs"), door, 1 << 20).kind == "none"


def test_one_file_is_itself(outputs: Path, tmp_path: Path) -> None:
    (outputs / "résult.csv").write_bytes(b"a,b\n")
    packing, data = packed(outputs)
    assert (packing.kind, packing.filename, data) == ("file", "résult.csv", b"a,b\n")
    assert unpacked(data, "none", tmp_path / "back", packing.filename) == {"résult.csv": b"a,b\n"}


def test_several_files_and_folders_are_a_zip(outputs: Path, tmp_path: Path) -> None:
    (outputs / "b.txt").write_bytes(b"b")
    (outputs / "a" / "deep").mkdir(parents=True)
    (outputs / "a" / "deep" / "é.bin").write_bytes(bytes(3_000_000) + b"end")
    (outputs / "empty").mkdir()
    (outputs / "zero").write_bytes(b"")
    packing, data = packed(outputs)
    assert (packing.kind, packing.filename, packing.notes) == ("zip", "outputs.zip", ())
    files = unzipped(data)
    assert list(files) == ["a/", "a/deep/", "a/deep/é.bin", "b.txt", "empty/", "zero"]
    assert files["a/deep/é.bin"] == bytes(3_000_000) + b"end"
    assert unpacked(data, "zip", tmp_path / "back") == {name: files[name] for name in ("a/deep/é.bin", "b.txt", "zero")}
    assert (tmp_path / "back" / "empty").is_dir()


@pytest.mark.parametrize("content", ["one folder", "one file in one folder"])
def test_any_folder_makes_a_zip(outputs: Path, content: str) -> None:
    (outputs / "f").mkdir()
    if "file" in content:
        (outputs / "f" / "x").write_bytes(b"x")
    assert packed(outputs)[0].kind == "zip"


def test_other_logs_join_the_zip_and_never_hide_an_output(outputs: Path) -> None:
    (outputs.parent / "logs" / "train.log").write_bytes(b"t")
    assert unzipped(packed(outputs)[1]) == {"logs/train.log": b"t"}
    (outputs / "r").write_bytes(b"r")
    assert unzipped(packed(outputs)[1]) == {"r": b"r", "logs/train.log": b"t"}
    (outputs / "logs").mkdir()
    (outputs / "logs" / "train.log").write_bytes(b"o")
    assert unzipped(packed(outputs)[1]) == {"r": b"r", "logs/": b"", "logs/train.log": b"o", "logs-1/train.log": b"t"}


def test_ocean_nodes_clients_get_a_tar(outputs: Path, tmp_path: Path) -> None:
    long = "n" * 200
    (outputs / long).write_bytes(b"long")
    (outputs / "é").write_bytes(b"e" * 1000)
    (outputs / "d").mkdir()
    packing, data = packed(outputs, "command")
    assert (packing.kind, packing.filename) == ("tar", "outputs.tar")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive.getmembers()}
        assert list(members) == ["outputs", "outputs/d", f"outputs/{long}", "outputs/é"]
        assert all((member.uid, member.gid, member.mtime) == (1000, 1000, 0) for member in members.values())
        assert archive.extractfile("outputs/é").read() == b"e" * 1000  # type: ignore[union-attr]
    assert unpacked(data, "tar", tmp_path / "back") == {long: b"long", "é": b"e" * 1000}


def test_the_same_content_gives_the_same_bytes_whatever_its_age_or_rights(outputs: Path) -> None:
    (outputs / "a").write_bytes(b"a")
    (outputs / "b").write_bytes(b"b")
    before = packed(outputs)[1]
    os.utime(outputs / "a", (5, 5))
    (outputs / "b").chmod(0o600)
    (outputs / "a").rename(outputs / "c")
    (outputs / "c").rename(outputs / "a")
    assert packed(outputs)[1] == before


def test_links_are_followed_to_files_inside_only(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (outputs / "d").mkdir()
    (outputs / "d" / "real").write_bytes(b"real")
    links = {
        "in": "d/real", "absolute": "/data/outputs/d/real", "up": "d/../d/./real", "twice": "in", "d/back": "../d/real",
        "out": "../secret", "outabs": str(tmp_path / "secret"), "etc": "/etc/passwd", "folder": "d", "nowhere": "no",
        "loop": "loop", "through": "d/real/x", "sneaky": "d/../../outputs/d/real", "dev": "/dev/zero",
    }  # fmt: skip
    for name, target in links.items():
        (outputs / name).symlink_to(target)
    packing, data = packed(outputs)
    files = unzipped(data)
    assert {name for name in files if not name.endswith("/")} == {"absolute", "d/back", "d/real", "in", "twice", "up"}
    assert all(content == b"real" for name, content in files.items() if not name.endswith("/"))
    assert len(packing.notes) == len(links) - 5


def test_special_files_are_left_out_and_never_opened(outputs: Path) -> None:
    os.mkfifo(outputs / "fifo")
    (outputs / "to_fifo").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(outputs / "sock"))
        (outputs / "f").write_bytes(b"f")
        packing, data = packed(outputs)
    assert (packing.kind, data) == ("file", b"f")
    assert [note.partition(":")[0] for note in packing.notes] == ["fifo", "sock", "to_fifo"]


def test_names_that_are_not_utf8_are_written_out(outputs: Path) -> None:
    Path(os.fsdecode(os.fsencode(outputs) + b"/a\xff")).write_bytes(b"x")
    (outputs / "b").write_bytes(b"y")
    assert list(unzipped(packed(outputs)[1])) == ["a%FF", "b"]


def test_a_very_deep_folder_is_cut_with_a_note(outputs: Path) -> None:
    here = os.open(outputs, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    packing, data = packed(outputs)
    assert "left out" in packing.notes[0]
    assert len(unzipped(data)) == 128


def test_notes_are_counted_beyond_a_hundred(outputs: Path) -> None:
    for at in range(150):
        (outputs / f"l{at}").symlink_to("/nowhere")
    assert packed(outputs)[0].notes[-1] == "and 50 more"


@pytest.mark.full
def test_more_files_than_a_plain_zip_can_count(outputs: Path, tmp_path: Path) -> None:
    for at in range(66_000):
        os.close(os.open(outputs / f"{at:05}", os.O_CREAT))
    data = packed(outputs)[1]
    assert len(unzipped(data)) == 66_000


@pytest.mark.full
def test_sizes_beyond_four_gib_are_zip64(tmp_path: Path) -> None:
    """Written whole to a sparse file's length, read back by the standard library."""
    size = (4 << 30) + 5
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(size)
    entry = Entry("big", size, lambda: os.open(sparse, os.O_RDONLY))
    after = Entry("after", 0, lambda: os.open("/dev/null", os.O_RDONLY))
    archive = tmp_path / "z.zip"
    with archive.open("wb") as out:
        for chunk in zip_format.zip_chunks([entry, after]):
            if len(chunk) > 100_000:  # content, all zeros: left as a hole
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)
    with zipfile.ZipFile(archive) as read:
        infos = {info.filename: info for info in read.infolist()}
        assert (infos["big"].file_size, infos["after"].header_offset > 4 << 30) == (size, True)
        assert read.read("after") == b""


def test_a_file_that_shrinks_meanwhile_ends_the_job(outputs: Path) -> None:
    entry = Entry("f", 10, lambda: os.open("/dev/null", os.O_RDONLY))
    with pytest.raises(JobError, match="became shorter"):
        list(zip_format.zip_chunks([entry]))


def _tar_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        archive.addfile(member)
    return out.getvalue()


def _zip_of(name: str, data: bytes = b"x", method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, data)
    return out.getvalue()


GOOD_ZIP = _zip_of("a", b"content")


@pytest.mark.parametrize(
    ("sentence", "archive", "data"),
    [
        ("up", "zip", _zip_of("../x")),
        ("up inside", "zip", _zip_of("a/../../x")),
        ("absolute", "zip", _zip_of("/x")),
        ("empty part", "zip", _zip_of("a//x")),
        ("compressed by others", "zip", _zip_of("a", b"x" * 999, zipfile.ZIP_DEFLATED)),
        ("no zip", "zip", b"hello, world"),
        ("cut", "zip", GOOD_ZIP[:35]),
        ("changed", "zip", GOOD_ZIP.replace(b"content", b"c0ntent")),
        ("up", "tar", _tar_of("outputs/../../x")),
        ("absolute", "tar", _tar_of("//x")),
        ("a link", "tar", _tar_of("outputs/l", tarfile.SYMTYPE, "/etc/passwd")),
        ("a hard link", "tar", _tar_of("outputs/l", tarfile.LNKTYPE, "/etc/passwd")),
        ("a device", "tar", _tar_of("outputs/d", tarfile.CHRTYPE)),
        ("a fifo", "tar", _tar_of("outputs/f", tarfile.FIFOTYPE)),
        ("a file in place of the folder", "tar", _tar_of("outputs")),
        ("no tar", "tar", b"x" * 1024),
        ("cut", "tar", _tar_of("outputs/x")[:300]),
        ("up", "none", b"x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",  # bytes that change with the clock name no test
)  # fmt: skip
def test_hostile_archives_are_refused(sentence: str, archive: Archive, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(JobError):
        unpacked(data, archive, tmp_path / "in" / "job", "..")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"a"}


def test_unpacking_is_bounded(outputs: Path, tmp_path: Path) -> None:
    for at in range(5):
        (outputs / str(at)).write_bytes(bytes(1000))
    data = packed(outputs)[1]
    for bounds in (Bounds(entries=4), Bounds(bytes=3000)):
        with pytest.raises(JobError):
            unpacked(data, "zip", tmp_path / "back", bounds=bounds)


def test_memory_stays_flat_over_many_files(outputs: Path) -> None:
    for at in range(20_000):
        (outputs / f"f{at}").write_bytes(b"x" * 100)
    code = (
        "import sys, resource; from pods.archive import pack\n"
        "p = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = p(); k = pack(sys.argv[1], 'none', 'workflow'); n = sum(map(len, k.chunks())); print(n, p() - start)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(outputs)], capture_output=True, text=True, check=True).stdout
    size, grown_kib = map(int, out.split())
    assert size > 20_000 * 100
    assert grown_kib < 24 * 1024
