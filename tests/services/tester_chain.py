"""Own the chain inside the test's own process: eth-tester, asked in JSON-RPC's words. It mines whatever it is sent."""

from __future__ import annotations

import threading
from typing import Any

from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import BlockNotFound, TransactionFailed, ValidationError
from eth_utils.address import to_checksum_address
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import ContractLogicError, Web3Exception
from web3.providers import BaseProvider

from tests.services.local_chain import MNEMONIC, LocalChain

CHAIN_ID = 131277322940537  # py-evm's own, not to be chosen


class TesterProvider(BaseProvider):
    """Answer as a node does over HTTP: hex for numbers and bytes, error objects for what a contract refuses."""

    def __init__(self, tester: EthereumTester) -> None:
        super().__init__()
        self._tester = tester
        self._inside = Web3(EthereumTesterProvider(tester))
        self._one_at_a_time = threading.RLock()

    def make_request(self, method: Any, params: Any) -> Any:
        """One request; several threads take turns."""
        with self._one_at_a_time:
            try:
                return {"jsonrpc": "2.0", "id": 1, "result": as_json(self._answer(str(method), list(params)))}
            except (TransactionFailed, ContractLogicError) as error:
                data = getattr(error, "data", None)
                return _error(3, str(error), data if isinstance(data, str) else "0x")
            except (ValidationError, BlockNotFound, Web3Exception) as error:
                return _error(-32000, str(error), None)

    def _answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_getLogs":  # several topics for one place: eth-tester takes them one by one
            return self._logs(dict(params[0]))
        return self._inside.manager.request_blocking(method, params)  # type: ignore[arg-type]

    def _logs(self, look: dict[str, Any]) -> list[dict[str, Any]]:
        """What the backend tells itself: web3 in between takes no address that is text here."""
        ((topics,), blocks) = look["topics"], (int(look["fromBlock"], 16), int(look["toBlock"], 16))
        found = [
            entry
            for topic in topics
            for entry in self._tester.get_logs(*blocks, to_checksum_address(look["address"]), [topic])
        ]
        names = {"blockNumber": "block_number", "blockHash": "block_hash", "transactionHash": "transaction_hash"}
        told = [
            {
                "address": entry["address"],
                "topics": entry["topics"],
                "data": entry["data"],
                "logIndex": entry["log_index"],
            }
            | {name: entry[own] for name, own in names.items()}
            for entry in found
        ]
        return sorted(told, key=lambda entry: (entry["blockNumber"], entry["logIndex"]))


class TesterChain(LocalChain):
    """py-evm behind the product's `Rpc`."""

    __test__ = False  # its name begins as a test's would

    def __init__(self) -> None:
        self.tester = EthereumTester(PyEVMBackend.from_mnemonic(MNEMONIC, hd_path="m/44'/60'/0'/0"))
        super().__init__(TesterProvider(self.tester), CHAIN_ID, "http://eth-tester.invalid", finality_blocks=2)

    def mine(self, blocks: int = 1) -> None:
        self.tester.mine_blocks(blocks)

    def pass_time(self, seconds: int) -> None:
        self.tester.time_travel(self.chain.head().time_s + seconds)
        self.tester.mine_block()

    def snapshot(self) -> Any:
        return self.tester.take_snapshot()

    def revert(self, snapshot: Any) -> None:
        self.tester.revert_to_snapshot(snapshot)


def as_json(value: Any) -> Any:
    """Python's values in JSON-RPC's words."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, bytes | bytearray):
        return "0x" + bytes(value).hex()
    if hasattr(value, "items"):
        return {str(name): as_json(each) for name, each in value.items()}
    return [as_json(each) for each in value]


def _error(code: int, message: str, data: str | None) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}
