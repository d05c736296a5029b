"""`python -m engines.run_settlement` from outside: exit codes, watching, going on with a key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from shared.addresses import address_of
from shared.db import slot_views, slots
from shared.escrow.words import Fees, give_up_nonce
from tests.engines.settlement.rows import ESCROW, NODE_KEY
from tests.needs import needs

if TYPE_CHECKING:
    from tests.services.anvil import AnvilChain

AWAY = {"chainId": 8996, "rpc": "http://127.0.0.1:9", "escrow": ESCROW}


def environment(folder: Path, *chains: dict[str, object], key: bytes | None = NODE_KEY) -> dict[str, str]:
    (folder / "results").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
    given = {"C2D_DATA_DIR": str(folder), "C2D_CHAINS": json.dumps(chains) if chains else ""}
    return {**kept, **given, **({} if key is None else {"C2D_PRIVATE_KEY": key.hex()})}


def settle(folder: Path, *words: str, chains: tuple[dict[str, object], ...] = (), key: bytes | None = NODE_KEY) -> str:
    """Run it; exit code and what it said."""
    command = [sys.executable, "-m", "engines.run_settlement", *words]
    done = subprocess.run(
        command, env=environment(folder, *chains, key=key), capture_output=True, text=True, timeout=100, check=False
    )
    return f"{done.returncode} {done.stderr.strip()}"


def test_without_chains_there_is_nothing_to_do(quick_database: str, tmp_path: Path) -> None:
    assert settle(tmp_path).startswith("0")


def test_without_a_key_it_says_what_to_set(quick_database: str, tmp_path: Path) -> None:
    assert settle(tmp_path, chains=(AWAY,), key=None).startswith("2 C2D_PRIVATE_KEY is not set")


def test_a_chain_out_of_reach_is_told_of_without_its_address(quick_database: str, tmp_path: Path) -> None:

    slots.ensure_signer(8996, address_of(NODE_KEY), 0)
    said = settle(tmp_path, chains=(AWAY,))
    assert said.startswith("1 settlement: The RPC of chain 8996 did not answer")
    assert "127.0.0.1" not in said


def test_watching_ends_when_it_is_told_to(quick_database: str, tmp_path: Path) -> None:
    pulse = tmp_path / "pulse"
    command = [sys.executable, "-m", "engines.run_settlement", "--watch", "--pulse", str(pulse)]
    process = subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not pulse.exists():  # its first turn
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


@needs("anvil")
def test_a_key_goes_on_where_the_chain_is_after_somebody_has_looked(
    quick_database: str, tmp_path: Path, anvil: AnvilChain
) -> None:
    from tests.services.local_chain import ADDRESSES, KEYS, NODE

    before = anvil.chain.nonce(ADDRESSES[NODE])
    slots.ensure_signer(8996, ADDRESSES[NODE], before)
    slot_views.record_problem(8996, ADDRESSES[NODE], "somebody else")
    signed = anvil.chain.sign(give_up_nonce(ADDRESSES[NODE]), KEYS[NODE], before, 21_000, Fees(10**11, 1))
    anvil.chain.send(signed.raw)
    anvil.mined(signed.tx_hash)
    chain = {"chainId": 8996, "rpc": anvil.url, "escrow": anvil.contracts.escrow}
    assert settle(tmp_path, "--trust-nonce", chains=(chain,), key=KEYS[NODE]).startswith("0")
    row = slots.signer(8996, ADDRESSES[NODE])
    assert row is not None and (row.next_nonce, row.problem) == (before + 1, None)
