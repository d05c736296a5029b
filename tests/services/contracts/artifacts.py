"""Own where contracts for tests come from: the field's published ones, installed once a machine, and two of our own.

own.json is own.sol compiled (solc 0.8.28, optimizer 200 runs, EVM paris, no metadata); the rest is as published.
"""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PUBLISHED = {
    "Escrow": "escrow/Escrow.sol/Escrow",
    "EnterpriseEscrow": "escrow/EnterpriseEscrow.sol/EnterpriseEscrow",
    "EnterpriseFeeCollector": "communityFee/EnterpriseFeeCollector.sol/EnterpriseFeeCollector",
    "FactoryRouter": "pools/FactoryRouter.sol/FactoryRouter",
    "AccessList": "accesslists/AccessList.sol/AccessList",
    "AccessListFactory": "accesslists/AccessListFactory.sol/AccessListFactory",
    "MockERC20Decimals": "utils/mock/MockERC20Decimals.sol/MockERC20Decimals",
}


@functools.cache
def installed() -> Path:
    """The folder of installed packages. Raises: RuntimeError where they cannot be installed."""
    done = subprocess.run(
        [str(HERE / "install")], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the contracts and anvil could not be installed: {done.stderr.strip()[-500:]}")
    return Path(done.stdout.strip()) / "node_modules"


@functools.cache
def artifact(name: str) -> Mapping[str, Any]:
    """A contract's `abi` and `bytecode`."""
    if name in PUBLISHED:
        folder = installed() / "@oceanprotocol" / "contracts" / "artifacts" / "contracts"
        return dict(json.loads((folder / f"{PUBLISHED[name]}.json").read_text()))
    return dict(json.loads((HERE / "own.json").read_text())[name])


def anvil_binary() -> Path | None:
    """The program, where the package has one for this machine."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = installed() / "@foundry-rs" / f"anvil-{sys.platform}-{machine}" / "bin" / "anvil"
    return found if found.exists() else None
