"""A chain's node that misbehaves: nothing is asked twice, no address is shown, what is not understood is no answer."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.escrow.words import ChainCall, ChainConfig, Fees, Reverted, Token
from shared.names import Address
from tests.needs import needs

pytestmark = needs("chain")

ESCROW, SOMEBODY = Address("0x" + "e5" * 20), Address("0x" + "ab" * 20)
HASH = "0x" + "0f" * 32
GOOD_BLOCK = {"number": "0x7", "hash": HASH, "timestamp": "0x64", "baseFeePerGas": "0x9", "extraData": "0x" + "00" * 97}

Answer = Callable[[str, list[Any]], Any]


class Node:
    """A real HTTP server that answers each method as it was told, and keeps what it was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = {"eth_chainId": "0x1", **answers}
        self.asked: list[tuple[str, list[Any]]] = []

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked if method != "eth_chainId"]

    def reply(self, method: str, params: list[Any]) -> tuple[int, bytes]:
        """Status and body; an answer is a result, an `Error`, raw bytes, a status, or a function of the parameters."""
        self.asked.append((method, params))
        answer = self.answers.get(method)
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, bytes):
            return 200, answer
        if isinstance(answer, Status):
            return int(answer), b"no"
        member = "error" if isinstance(answer, Error) else "result"
        return 200, json.dumps({"jsonrpc": "2.0", "id": 1, member: answer}).encode()


class Error(dict[str, Any]):
    """A JSON-RPC error object."""


class Status(int):
    """An HTTP status instead of an answer."""


@contextmanager
def serving(**answers: Any) -> Iterator[tuple[Node, Any]]:
    """A node and an `Rpc` of it, whose address holds a key."""
    from shared.escrow.rpc import Rpc

    node = Node(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = node.reply(asked["method"], asked["params"])
            self.send_response(status)
            if status in (301, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        config = ChainConfig(1, f"http://127.0.0.1:{server.server_port}/v3/SECRETKEY", ESCROW, finality_blocks=2)
        yield node, Rpc(config)
    finally:
        server.shutdown()
        server.server_close()


SILENCE: list[tuple[str, Any]] = [
    ("a fault of its own", Status(500)),
    ("too many requests", Status(429)),
    ("a redirect", Status(307)),
    ("something else than JSON", b"<html>"),
    ("a list", b"[]"),
    ("neither result nor error", b'{"jsonrpc": "2.0", "id": 1}'),
    ("an error", Error(code=-32000, message="header not found")),
    ("an error that is text", b'{"error": "out of credits"}'),
    ("a block without a number", {"hash": HASH}),
    ("a block that is text", "latest"),
    ("no block", None),
    ("a number that is none", {"number": "seven", "hash": HASH, "timestamp": "0x1"}),
]


@pytest.mark.parametrize(("what", "answer"), SILENCE, ids=[what for what, _ in SILENCE])
def test_whatever_is_no_answer_is_out_of_reach_and_asked_once(what: str, answer: Any) -> None:
    with serving(eth_getBlockByNumber=answer) as (node, chain):
        with pytest.raises(Unavailable) as silent:
            chain.head()
        assert node.methods() == ["eth_getBlockByNumber"], what
    assert "SECRETKEY" not in "".join(traceback.format_exception(silent.value))


def test_nobody_there_is_out_of_reach_and_the_key_stays_hidden(caplog: pytest.LogCaptureFixture) -> None:
    from shared.escrow.rpc import Rpc

    chain = Rpc(ChainConfig(1, "http://127.0.0.1:9/v3/SECRETKEY", ESCROW))
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as silent:
        chain.head()
    assert "SECRETKEY" not in "".join(traceback.format_exception(silent.value)) + caplog.text + repr(chain.config)


def test_a_key_is_not_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    with serving(eth_getBlockByNumber=GOOD_BLOCK) as (_, chain), caplog.at_level(logging.DEBUG):
        assert chain.head().number == 7
    assert "SECRETKEY" not in caplog.text


def test_a_transaction_is_handed_over_once_whatever_comes_back() -> None:
    with serving(eth_sendRawTransaction=Status(502)) as (node, chain):
        with pytest.raises(Unavailable):
            chain.send(b"\x02\x01")
        assert node.methods() == ["eth_sendRawTransaction"]
    echo = Error(code=-32001, message="invalid key SECRETKEY")
    with serving(eth_sendRawTransaction=echo, eth_gasPrice=echo) as (_, chain):
        assert chain.send(b"\x02\x01") == "invalid key …"
    refusal = Error(code=-32000, message="nonce too low")
    with serving(eth_sendRawTransaction=refusal) as (node, chain):
        assert chain.send(b"\x02\x01") == "nonce too low"
        assert node.asked[-1] == ("eth_sendRawTransaction", ["0x0201"])


def test_a_long_block_of_a_chain_of_known_signers_is_read() -> None:
    with serving(eth_getBlockByNumber=GOOD_BLOCK) as (_, chain):
        assert (chain.head().number, chain.head().time_s) == (7, 100)


def test_a_node_that_lags_is_not_believed_when_it_knows_of_no_events() -> None:
    with serving(eth_getBlockByNumber=None, eth_getLogs=[]) as (node, chain):
        with pytest.raises(Unavailable, match="no block 900 yet"):
            chain.events(1, 900, SOMEBODY)
        assert "eth_getLogs" not in node.methods()


def test_a_node_that_bounds_its_log_is_asked_for_less_at_a_time() -> None:
    def few(params: list[Any]) -> Any:
        first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
        return [] if last - first < 300 else Error(code=-32005, message="too much")

    with serving(eth_getBlockByNumber=GOOD_BLOCK, eth_getLogs=few) as (node, chain):
        assert chain.events(0, 999, SOMEBODY) == []
        looks = [params[0] for method, params in node.asked if method == "eth_getLogs"]
    covered = [(int(look["fromBlock"], 16), int(look["toBlock"], 16)) for look in looks]
    good = [(first, last) for first, last in covered if last - first < 300]
    assert good[0][0] == 0 and good[-1][1] == 999
    for (_, one_ends), (other_begins, _) in itertools.pairwise(good):
        assert one_ends + 1 == other_begins, "no block twice, none left out"
    with serving(eth_getBlockByNumber=GOOD_BLOCK, eth_getLogs=Error(code=1, message="never")) as (node, chain):
        with pytest.raises(Unavailable, match="eth_getLogs"):
            chain.events(0, 999, SOMEBODY)
        assert len(node.methods()) < 20


REVERTS: list[tuple[Error, str]] = [
    (Error(code=3, message="execution reverted", data="0x4e487b71" + "11".zfill(64)), "panic 0x11"),
    (Error(code=3, message="execution reverted: No auth found", data="0x"), "No auth found"),
    (Error(code=-32000, message="execution reverted"), "gives no reason"),
    (Error(code=-32015, message="VM execution error.", data="Reverted 0x4e487b71" + "12".zfill(64)), "division by 0"),
    (Error(code=-32000, message="err", data={"data": "0x4e487b71" + "01".zfill(64)}), "an assertion failed"),
]


@pytest.mark.parametrize(("error", "reason"), REVERTS, ids=[reason for _, reason in REVERTS])
def test_a_refusal_is_understood_however_a_node_words_it(error: Error, reason: str) -> None:
    with serving(eth_call=error) as (_, chain), pytest.raises(Reverted, match=reason):
        chain.simulate(ChainCall(ESCROW, "deposit", (SOMEBODY, 1)), SOMEBODY)


def test_a_call_that_could_not_be_tried_is_no_refusal() -> None:
    for answer in (Error(code=-32000, message="header not found"), Status(500)):
        with serving(eth_call=answer) as (_, chain):
            with pytest.raises(Unavailable):
                chain.simulate(ChainCall(ESCROW, "deposit", (SOMEBODY, 1)), SOMEBODY)
            with pytest.raises(Unavailable):
                chain.holds(SOMEBODY, SOMEBODY)
            with pytest.raises(Unavailable):
                chain.is_signed_by_contract(SOMEBODY, b"\1" * 32, b"\1" * 65)


def test_fees_of_old_chains_are_their_gas_price() -> None:
    old = {name: value for name, value in GOOD_BLOCK.items() if name != "baseFeePerGas"}
    with serving(eth_getBlockByNumber=old, eth_gasPrice="0x64") as (_, chain):
        assert chain.fees() == Fees(100, 0)
    unknown = Error(code=-32601, message="the method does not exist")
    with serving(eth_getBlockByNumber=GOOD_BLOCK, eth_gasPrice="0x64", eth_maxPriorityFeePerGas=unknown) as (_, chain):
        assert chain.fees() == Fees(9, 91)


def test_a_token_of_the_early_days_and_one_that_plays_tricks_are_shown() -> None:
    decimals = "0x" + "12".rjust(64, "0")

    def call(symbol: bytes) -> Answer:
        return lambda params: decimals if params[0]["data"] == "0x313ce567" else "0x" + symbol.hex()  # type: ignore[return-value, misc]

    with serving(eth_call=call(b"MKR".ljust(32, b"\0"))) as (_, chain):
        assert chain.token(SOMEBODY) == Token(SOMEBODY, "MKR", 18)
    text = "US\x1b[2JD\n‮" * 20
    tricks = (32).to_bytes(32) + len(text.encode()).to_bytes(32) + text.encode() + bytes(32)
    with serving(eth_call=call(tricks)) as (_, chain):
        assert chain.token(SOMEBODY).symbol.isprintable() and len(chain.token(SOMEBODY).symbol) <= 32


def test_another_chains_node_is_not_asked_anything_else() -> None:
    with serving(eth_chainId="0x5") as (node, chain):
        for _ in range(2):
            with pytest.raises(Unavailable, match="it is the RPC of chain 5"):
                chain.locks(SOMEBODY)
        assert node.methods() == []
