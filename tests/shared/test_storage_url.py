"""C2D_STORAGE_URL: what it opens, and what it says when it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.storage import BACKENDS, open_storage
from tests.needs import needs
from tests.services.moto_server import MotoServer

ROOT = Path(__file__).parents[2]


def test_a_file_url_opens_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space, 100% & ünïcode"
    folder.mkdir()
    for url in (folder.as_uri(), folder.as_uri().replace("file://", "file://localhost")):
        open_storage(url).write("job/x", [b"x"])
        assert (folder / "job" / "x").read_bytes() == b"x"


def test_opening_touches_neither_disk_nor_network(tmp_path: Path) -> None:
    open_storage((tmp_path / "later").as_uri())
    open_storage("s3://some-bucket/a/b?endpoint=http://192.0.2.1:9&region=eu-west-1")
    open_storage("s3://some-bucket")
    assert list(tmp_path.iterdir()) == []


@needs("s3")
def test_the_endpoint_may_come_from_the_environment(
    moto_server: MotoServer, s3_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    bucket = moto_server.make_bucket()
    open_storage(f"s3://{bucket}").write("job/x", [b"x"])
    assert b"".join(open_storage(moto_server.storage_url(bucket, "")).read("job/x")) == b"x"
    moto_server.remove_bucket(bucket)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "not nothing"),
        ("/srv/results", "not nothing"),
        ("ftp://host/path", "not ftp"),
        ("file://srv/results", "three slashes"),
        ("file:results", "absolute path"),
        ("file:///srv/results?endpoint=x", "no parameters"),
        ("file:///srv/results#x", "no parameters"),
        ("s3://", "3 to 63"),
        ("s3:///prefix", "3 to 63"),
        ("s3://ab", "3 to 63"),
        ("s3://key:secret@bucket/prefix", "no credentials"),
        ("s3://host:9000/bucket", "no host"),
        ("s3://bucket?endpont=http://x", "not endpont"),
        ("s3://bucket?endpoint", "bad query field"),
        ("s3://bucket?endpoint=no-url", "no-url"),
        ("s3://bucket?region=not%20a%20region", "region"),
        ("s3://[bucket/x", "Invalid IPv6"),
    ],
)
def test_a_wrong_url_is_told_with_the_setting_the_fault_and_an_example(url: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        open_storage(url)
    assert raised.value.detail.startswith("C2D_STORAGE_URL: ")
    assert told in raised.value.detail
    assert "file:///srv" in raised.value.detail
    assert "secret" not in raised.value.detail


def test_local_storage_loads_no_sdk(tmp_path: Path) -> None:
    program = f"""
import sys
from shared.storage import open_storage
open_storage({tmp_path.as_uri()!r}).write("job/x", [b"x"])
print(sorted({{"boto3", "botocore", "urllib3"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_sdk_that_is_not_installed_is_named(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["boto3"] = None
from shared.storage import open_storage
open_storage("s3://bucket")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "needs the package boto3" in done.stderr


def test_every_backend_is_named_by_its_scheme() -> None:
    assert set(BACKENDS) == {"file", "s3"}
