"""File objects of type url, against a real server whose faults are settings."""

# ruff: noqa: E501

from __future__ import annotations

import hashlib
import ipaddress
import random
import threading
import tracemalloc

import pytest

from shared import files
from shared.errors import Forbidden, InvalidRequest, JobError, NotAvailable
from shared.files.base import FetchRules
from shared.files.reach import is_allowed, is_public
from tests.file_server import Served, serve_files

DATA = random.Random(1).randbytes(3_000_000)
RULES = FetchRules.allowing(["127.0.0.0/8"])._replace(backoff_s=0.01)


def read(url: str, rules: FetchRules = RULES, **fields: object) -> bytes:
    fetched = files.open_file({"type": "URL", "url": url, "method": "get", **fields}, rules)
    try:
        return b"".join(fetched.chunks)
    finally:
        fetched.chunks.close()


def test_a_file_is_read_with_its_name_size_and_type() -> None:
    with serve_files(Served({"/a%20b.csv": DATA})) as base:
        fetched = files.open_file({"type": "url", "url": f"{base}/a%20b.csv?x=1", "method": "GET"}, RULES)
        assert (fetched.name, fetched.size_bytes, fetched.content_type) == ("a b.csv", len(DATA), "text/csv")
        assert b"".join(fetched.chunks) == DATA
        assert fetched.chunks.sha256() == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("sends_length", [True, False])
def test_a_file_without_a_length_is_read_too(sends_length: bool) -> None:
    with serve_files(Served({"/f": DATA}, sends_length=sends_length)) as base:
        assert read(f"{base}/f") == DATA


@pytest.mark.parametrize(
    ("sentence", "faults", "ranges"),
    [
        ("resumed where it broke", {"break_after": [1_000_000, 5, 700_000]}, [None, 1_000_000, 1_000_005, 1_700_005]),
        ("read from the start where ranges are ignored", {"break_after": [900_000], "ignores_range": True}, [None, 900_000]),
        ("resumed without an ETag", {"break_after": [900_000], "etag": None}, [None, 900_000]),
        ("asked again when it broke before the first byte", {"break_after": [0]}, [None, None]),
        ("broken twice while reading again", {"break_after": [900_000, 100, 950_000], "ignores_range": True}, [None, 900_000, 900_000, 950_000]),
        ("asked again when the server is busy", {"statuses": [503, 500, 429]}, [None, None, None, None]),
    ],
)  # fmt: skip
def test_a_broken_download_is_taken_up_again(
    sentence: str, faults: dict[str, object], ranges: list[int | None]
) -> None:
    served = Served({"/f": DATA}, **faults)  # type: ignore[arg-type]
    with serve_files(served) as base:
        assert read(f"{base}/f") == DATA
    asked = [headers.get("range") for _, _, headers in served.requests]
    assert asked == [None if start is None else f"bytes={start}-" for start in ranges]


def test_a_file_that_changed_in_between_is_refused() -> None:
    changed = Served({"/f": DATA}, break_after=[900_000], ignores_range=True, changes_on_resume=b"x" * len(DATA))
    with serve_files(changed) as base, pytest.raises(JobError, match="changed while it was read"):
        read(f"{base}/f")


def test_tries_are_limited_and_the_reason_names_no_host() -> None:
    served = Served({"/f": DATA}, statuses=[503] * 20)
    with serve_files(served) as base:
        with pytest.raises(JobError, match=r"answered 503 \(5 tries") as raised:
            read(f"{base}/f?secret=1")
        assert len(served.requests) == 5
        assert "127" not in raised.value.detail
        assert "secret" not in raised.value.detail
    with pytest.raises(JobError, match="cannot be reached"):
        read(f"{base}/f")


def test_a_refusal_is_final() -> None:
    served = Served({"/f": DATA}, statuses=[403])
    with serve_files(served) as base, pytest.raises(JobError, match="answered 403"):
        read(f"{base}/f")
    assert len(served.requests) == 1


@pytest.mark.parametrize("sends_length", [True, False])
def test_a_file_beyond_its_limit_is_refused(sends_length: bool) -> None:
    with serve_files(Served({"/f": DATA}, sends_length=sends_length)) as base:
        assert read(f"{base}/f", RULES._replace(max_bytes=len(DATA))) == DATA
        with pytest.raises(JobError, match="larger than the 2,999,999 bytes"):
            read(f"{base}/f", RULES._replace(max_bytes=len(DATA) - 1))


def test_a_server_that_drips_does_not_outlast_the_time_allowed() -> None:
    dripping = Served({"/f": DATA}, drip=threading.Event())
    with serve_files(dripping) as base, pytest.raises(JobError, match=r"not read within 0\.3 s"):
        read(f"{base}/f", RULES._replace(total_s=0.3))


def test_redirects_are_followed_and_a_users_headers_stay_with_their_origin() -> None:
    there = Served({"/g": b"there"})
    with serve_files(there) as other:
        here = Served({"/f": b"here"}, redirects={"/near": "/f", "/far": f"{other}/g"})
        with serve_files(here) as base:
            assert read(f"{base}/near", headers={"X-Key": "k"}) == b"here"
            assert read(f"{base}/far", headers={"X-Key": "k"}) == b"there"
    assert here.requests[1][2]["x-key"] == "k"
    assert "x-key" not in there.requests[0][2]


def test_redirects_are_checked_again_and_counted() -> None:
    loop = Served(redirects={"/loop": "/loop", "/in": "http://169.254.169.254/latest", "/file": "file:///etc/passwd"})
    with serve_files(loop) as base:
        with pytest.raises(JobError, match="more than 5 times"):
            read(f"{base}/loop")
        with pytest.raises(Forbidden, match="not public"):
            read(f"{base}/in")
        with pytest.raises(InvalidRequest):
            read(f"{base}/file")


def test_user_data_joins_the_query_and_odd_characters_are_encoded() -> None:
    served = Served({"/f%C3%BC": b"x"})
    with serve_files(served) as base:
        assert read(f"{base}/fü?a=1", userdata={"b c": "d&e", "n": 2}, method="post") == b"x"
    assert served.requests[0][:2] == ("POST", "/f%C3%BC?a=1&b%20c=d%26e&n=2")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serve_files(Served({"/f": b"x"})) as base:
        assert read(f"{base}/f") == b"x"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]", "0x7f.1"]
)
def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(Forbidden, match="C2D_FETCH_ALLOW"):
        read(f"http://{host}:1/", FetchRules())


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:a00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "ff02::1", "fec0::1"],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused_unless_allowed(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert not is_public(parsed)
    assert not is_allowed(parsed, ())
    assert is_allowed(parsed, (ipaddress.ip_network(parsed),))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_an_allowed_network_covers_addresses_that_carry_it() -> None:
    assert is_allowed(ipaddress.ip_address("::ffff:10.1.1.1"), FetchRules.allowing(["10.0.0.0/8"]).allow)
    with pytest.raises(InvalidRequest, match="not a network"):
        FetchRules.allowing(["10.0.0.0/99"])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "URL or method are missing"),
        ({"url": ""}, "URL or method are missing"),
        ({"url": 5}, "URL or method are missing"),
        ({"url": "http://x/", "method": "put"}, "Invalid method for URL"),
        ({"url": "/etc/passwd"}, "URL looks like a file path"),
        ({"url": "file:///etc/passwd"}, "only http and https"),
        ({"url": "http://"}, "only http and https"),
        ({"url": "http://x:99999/"}, "not well-formed"),
        ({"url": "http://[x/"}, "not well-formed"),
        ({"url": f"http://{'a' * 70}.example/"}, "not well-formed"),
        ({"url": "http://x/", "headers": "X: y"}, "headers"),
        ({"url": "http://x/", "userdata": "a"}, "user data"),
    ],
)
def test_a_malformed_object_is_an_invalid_request(fields: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        files.open_file({"type": "url", **fields}, RULES)


def test_a_header_that_would_smuggle_another_is_refused() -> None:
    with serve_files(Served({"/f": b"x"})) as base, pytest.raises(InvalidRequest, match="header"):
        read(f"{base}/f", headers={"X": "a\r\nY: b"})


def test_types_not_built_are_named_and_unknown_ones_refused() -> None:
    with pytest.raises(NotAvailable, match="ipfs: not available on this node"):
        files.open_file({"type": "IPFS", "hash": "Qm"}, RULES)
    for kind in ("graphql", None, 5):
        with pytest.raises(InvalidRequest, match="type must be one of"):
            files.open_file({"type": kind}, RULES)


@pytest.mark.parametrize("refuses_head", [True, False])
def test_a_probe_tells_length_and_type_and_the_whole_digest_on_request(refuses_head: bool) -> None:
    with serve_files(Served({"/a.csv": DATA}, refuses_head=refuses_head)) as base:
        file = {"type": "url", "url": f"{base}/a.csv", "method": "get"}
        probed = files.probe(file, RULES)
        assert (probed.valid, probed.name, probed.size_bytes, probed.content_type) == (
            True,
            "a.csv",
            len(DATA),
            "text/csv",
        )
        assert probed.checksum is None
        assert files.probe(file, RULES, with_checksum=True).checksum == hashlib.sha256(DATA).hexdigest()
        limited = files.probe(file, RULES._replace(max_bytes=10), with_checksum=True)
        assert (limited.valid, limited.size_bytes, limited.checksum) == (True, len(DATA), None)


def test_a_probe_of_what_cannot_be_had_is_not_valid() -> None:
    with serve_files(Served()) as base:
        missing = files.probe({"type": "url", "url": f"{base}/no", "method": "get"}, RULES)
        refused = files.probe({"type": "url", "url": f"{base}/no", "method": "get"}, FetchRules())
    down = files.probe({"type": "url", "url": f"{base}/no", "method": "get"}, RULES)
    assert [probed.valid for probed in (missing, refused, down)] == [False] * 3
    assert missing.reason == "the server answered 404"


def test_memory_stays_flat_while_a_large_file_streams() -> None:
    with serve_files(Served({"/f": bytes(64 << 20)})) as base:
        fetched = files.open_file({"type": "url", "url": f"{base}/f", "method": "get"}, RULES)
        tracemalloc.start()
        size_bytes = sum(len(chunk) for chunk in fetched.chunks)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert size_bytes == 64 << 20
    assert peak < 8 << 20
