"""A digest taken beside the writing is the digest."""

from __future__ import annotations

import hashlib
import os

import pytest

from shared.storage.hashing import BESIDE_BYTES, Sha256


@pytest.mark.parametrize("size_bytes", [0, 1, BESIDE_BYTES - 1, BESIDE_BYTES, 3 * BESIDE_BYTES + 7])
@pytest.mark.parametrize("chunk_bytes", [64 << 10, 1 << 20, 5 << 20])
def test_the_digest_is_that_of_the_whole_however_it_is_cut(size_bytes: int, chunk_bytes: int) -> None:
    data = os.urandom(size_bytes)
    digest = Sha256()
    for start in range(0, size_bytes, chunk_bytes):
        digest.update(data[start : start + chunk_bytes])
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_the_digest_so_far_can_be_asked_for_at_any_time() -> None:
    data, digest = os.urandom(2 * BESIDE_BYTES), Sha256()
    for start in range(0, len(data), 1 << 20):
        digest.update(data[start : start + (1 << 20)])
        assert digest.hexdigest() == hashlib.sha256(data[: start + (1 << 20)]).hexdigest()
