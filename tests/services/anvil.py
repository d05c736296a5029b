"""Own the chain in a process of its own: anvil, with a mempool, blocks that can be undone, silence that can be had."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from typing import Any

from shared.escrow.transport import http_provider
from tests.services.contracts.artifacts import anvil_binary
from tests.services.local_chain import MNEMONIC, LocalChain
from tests.services.postgres import free_port

CHAIN_ID = 8996
START_S = 30


class AnvilChain(LocalChain):
    """A node at a local address. It mines as soon as it is sent to, until `automine(False)` or `mine_every`."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        binary = anvil_binary()
        assert binary is not None
        self.port = free_port()
        self.url = f"http://{address}:{self.port}"
        options = ("--silent", "--chain-id", str(CHAIN_ID), "--mnemonic", MNEMONIC, "--slots-in-an-epoch", "2")
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [str(binary), "--host", address, "--port", str(self.port), *options],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            cwd=tempfile.gettempdir(),
        )
        try:
            self._wait()
            super().__init__(http_provider(self.url), CHAIN_ID, self.url, finality_blocks=2)
        except BaseException:
            self.stop()
            raise

    def rpc(self, method: str, *params: Any) -> Any:
        """Ask the node anything, `anvil_*` and `evm_*` too."""
        answer = http_provider(self.url).make_request(method, list(params))
        assert "error" not in answer, answer
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def pass_time(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", hex(seconds))
        self.rpc("anvil_mine", "0x1")

    def snapshot(self) -> Any:
        return self.rpc("evm_snapshot")

    def revert(self, snapshot: Any) -> None:
        """Be again as remembered, mining at once again, with nothing waiting."""
        self.rpc("anvil_dropAllTransactions")
        assert self.rpc("evm_revert", snapshot) is True
        self.automine(True)

    def automine(self, is_on: bool) -> None:
        """Whether each transaction gets its block at once; off: `mine()` says when."""
        self.rpc("evm_setAutomine", is_on)

    def mine_every(self, seconds: int) -> None:
        """A block every so many seconds, as a real chain has them; 0 = none by itself."""
        self.rpc("evm_setIntervalMining", seconds)

    def reorg(self, blocks: int) -> None:
        """Undo the newest blocks and mine as many empty ones; what was in them is gone until it is sent again."""
        self.rpc("anvil_reorg", blocks, [])

    def silence(self) -> None:
        """Answer nothing, as a node out of reach: connections are taken and hang."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def speak(self) -> None:
        """Answer again."""
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait(timeout=10)
        self.log.close()

    def _wait(self) -> None:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at and self.process.poll() is None:
            try:
                self.rpc("eth_chainId")
                return
            except OSError:
                time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError(f"anvil did not start: {self.log.read().decode()[-2000:]}")
