"""The small pure parts of the road in and out: JSON, ranges, rates, slots, names in headers."""

from __future__ import annotations

import socket

import falcon
import pytest
from falcon.testing import create_environ
from hypothesis import given
from hypothesis import strategies as st

from shared import strict_json
from shared.errors import InvalidRequest, RangeNotSatisfiable, TooManyRequests, Unavailable
from shared.rate_limit import OneEach, RateLimit
from shared.streams import SlotStream, StreamSlots
from shared.views import seconds_text
from shared.web.files import disposition, parse_range
from shared.web.incoming import Incoming, Takes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(JSON)
def test_what_is_written_is_read_back_exactly(value: object) -> None:
    try:
        assert strict_json.loads(strict_json.dumps(value)) == value
    except InvalidRequest as refused:
        assert "NUL" in refused.detail or "levels" in refused.detail


@given(st.binary())
def test_any_bytes_are_a_value_or_a_refusal(raw: bytes) -> None:
    try:
        strict_json.loads(raw)
    except InvalidRequest:
        return


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [(None, 10, None), ("bytes=0-", 10, (0, 10)), ("bytes=3-5", 10, (3, 3)), ("bytes=-4", 10, (6, 4)),
     ("bytes=-99", 10, (0, 10)), ("bytes=5-99", 10, (5, 5)), ("bytes=-", 10, None), ("bytes=a-b", 10, None),
     ("bytes=5-2", 10, None), ("bytes=0-1,3-4", 10, None)],
)  # fmt: skip
def test_a_range_is_a_start_and_a_length(text: str | None, size: int, expected: tuple[int, int] | None) -> None:
    assert parse_range(text, size) == expected


@pytest.mark.parametrize(("text", "size"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_a_range_outside_the_file_is_refused(text: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(text, size)


def test_a_name_in_a_header_cannot_add_another_header() -> None:
    header = disposition('a"\r\nX: é.csv')
    assert "\r" not in header and "\n" not in header
    assert header.endswith("filename*=UTF-8''a%22%0D%0AX%3A%20%C3%A9.csv")


def test_rates_are_counted_anew_each_minute() -> None:
    now = [0.0]
    rates = RateLimit(2, lambda: now[0])
    for _ in range(2):
        rates.check("203.0.113.1")
    with pytest.raises(TooManyRequests):
        rates.check("203.0.113.1")
    now[0] = 60.0
    rates.check("203.0.113.1")
    RateLimit(None).check("203.0.113.1")


def test_an_address_does_one_costly_thing_at_a_time() -> None:
    looks = OneEach()
    with looks.turn("a"), looks.turn("b"), pytest.raises(TooManyRequests), looks.turn("a"):
        raise AssertionError("two at once")
    with looks.turn("a"):
        pass


def test_a_slot_comes_back_when_a_stream_is_closed_even_if_nobody_read_it() -> None:
    slots = StreamSlots(1)
    stream = SlotStream(iter([b"a"]), slots)
    with pytest.raises(Unavailable):
        slots.check()
    stream.close()
    stream.close()
    slots.check()
    assert list(SlotStream(iter([b"a", b"b"]), slots)) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("at_ms", "text"), [(None, "0"), (0, "0"), (1769000000125, "1769000000.125"), (1769000000000, "1769000000")]
)
def test_times_are_seconds_as_text(at_ms: int | None, text: str) -> None:
    assert seconds_text(at_ms) == text


def test_a_body_that_stops_arriving_is_not_waited_for_for_ever() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as body:
        environment = create_environ("/", "POST", headers={"Content-Length": "10"})
        incoming = Incoming(
            falcon.Request({**environment, "wsgi.input": body, "gunicorn.socket": ours}), {}, Takes.BYTES, 99
        )
        incoming.silence_s = 0.1
        theirs.sendall(b"half")
        with pytest.raises(Unavailable, match="stopped arriving"):
            list(incoming.chunks())
        assert ours.gettimeout() is None
