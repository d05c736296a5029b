"""Bench: signed requests against a command of the same app that commits one row; and what pollers ask all day.

Signed: `createAuthToken` (nonce and token in one transaction) and `stopCompute` (nonce, and a look for the job). Every
request has a wallet of its own, as the nonces of one would have to come in order. Reads: 50 keep-alive clients.
`python -m tests.bench.requests`
"""

from __future__ import annotations

import itertools
import json
import secrets
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from shared.signatures import address_of, sign_command
from tests.bench.load import Load, request, send_all
from tests.bench.measuring import Figure, Size, in_turn, per_size, percentile, seconds, table
from tests.bench.orchestration import one_job, wait_for_engine
from tests.bench.served import Served, served

SHARE = 0.6
WRITERS, READERS = 8, 50
JSON = {"Content-Type": "application/json"}


def measure(size: Size) -> list[Figure]:
    """Writes in turn with the null command, then reads."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), "tests.bench.null_app:create_app()") as node:
        with node.running("-m", "tests.bench.memory_engine"):
            wait_for_engine(node)
            consumer = node.consumer()
            one_job(consumer)
        job_id = consumer.status()[0]["jobId"]
        return [*writes(node, size), *reads(node, job_id, size)]


def writes(node: Served, size: Size) -> list[Figure]:
    """Rates of two signed commands over the null command's."""
    count, rounds = per_size(size, 16, 300, 600), per_size(size, 1, 3, 9)
    numbers = itertools.count(1_000)
    makers = {"null": null, "createAuthToken": token, "stopCompute": stop}

    def rate(make: Callable[[Iterator[int]], bytes]) -> Callable[[], float]:
        return lambda: send_all(node.url, [make(numbers) for _ in range(count)], WRITERS).rate

    of_null, *others = in_turn(rounds, *(rate(make) for make in makers.values()))
    return [
        faster(name, each, of_null, rounds * count) for name, each in zip(list(makers)[1:], others, strict=True)
    ]  # fmt: skip


def faster(name: str, rates: list[float], null: list[float], n: int) -> Figure:
    """A rate over the null command's."""
    mine, theirs = statistics.median(rates), statistics.median(null)
    share = mine / theirs
    return Figure(
        f"signed {name} / null", f"{mine:.0f}/s", f"{theirs:.0f}/s", share, f"≥ {SHARE}", share >= SHARE, n
    )  # fmt: skip


def null(numbers: Iterator[int]) -> bytes:
    """A request of the null command."""
    return request("POST", "/null", b"{}", JSON)


def token(numbers: Iterator[int]) -> bytes:
    """A request for a token."""
    return request(
        "POST", "/api/services/auth/token", json.dumps(signed("address", "createAuthToken", numbers)).encode(), JSON
    )


def stop(numbers: Iterator[int]) -> bytes:
    """A request to stop a job that there is not: anybody may ask, nothing is found."""
    query = {**signed("consumerAddress", "stopCompute", numbers), "jobId": secrets.token_hex(32)}
    return request("PUT", f"/api/services/compute?{urlencode(query)}")


def signed(field: str, command: str, numbers: Iterator[int]) -> dict[str, str]:
    """Who signs, with a new wallet."""
    wallet, nonce = secrets.token_bytes(32), str(next(numbers))
    return {field: address_of(wallet), "nonce": nonce, "signature": sign_command(wallet, nonce, command)}


def reads(node: Served, job_id: str, size: Size) -> list[Figure]:
    """Rate and times of status and environments."""
    asked = {"status": f"compute?jobId={job_id}", "environments": "computeEnvironments"}
    count = per_size(size, 100, 1000, 4000)
    return [
        times(name, send_all(node.url, [request("GET", f"/api/services/{path}")] * count, READERS))
        for name, path in asked.items()
    ]


def times(name: str, load: Load) -> Figure:
    """A figure without a reference."""
    p50, p99 = statistics.median(load.took), percentile(load.took, 0.99)
    what = f"{load.rate:.0f}/s, p50 {seconds(p50)}, p99 {seconds(p99)}"
    return Figure(f"{name}, {READERS} clients", what, "-", None, "-", None, len(load.took))


if __name__ == "__main__":
    print(table(measure(Size.USUAL)))
