"""Contract wallets sign too: the chain is asked, about both hashes the field's nodes ask about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared import curve
from shared.addresses import checksum
from shared.signatures import command_text, wallet_digests
from tests.factories import ALICE, workflow_job
from tests.handlers.api import Api
from tests.handlers.paying import shop
from tests.needs import needs

if TYPE_CHECKING:
    from tests.services.tester_chain import TesterChain

pytestmark = needs("chain")


def signed_by_wallet(fields: dict[str, Any], wallet: str, owner: bytes, nonce: int, which: int) -> dict[str, Any]:
    """A free start of the wallet's, signed by a key over one of the two hashes."""
    digest = wallet_digests(command_text(checksum(wallet), nonce, "freeStartCompute"))[which]
    raw = curve.sign_digest(owner, digest)
    signature = "0x" + raw[:64].hex() + f"{raw[64] + 27:02x}"
    return {**fields, "consumerAddress": wallet, "nonce": str(nonce), "signature": signature}


@pytest.fixture
def api(quick_database: str, tmp_path: Path, tester_chain: TesterChain) -> Api:
    """A node with the chain, whose environment takes free jobs too."""
    from tests.factories import environment

    return shop(tmp_path / "data", quick_database, tester_chain, free=environment()["free"]).api


@pytest.mark.parametrize("which", [0, 1], ids=["the text's own hash", "the text's hash as a message"])
def test_a_contract_wallet_starts_a_job_of_its_own(api: Api, tester_chain: TesterChain, which: int) -> None:
    from tests.services.local_chain import CONSUMER, KEYS

    wallet, body = tester_chain.contracts.wallet, {"workflow": [workflow_job()]}
    good = signed_by_wallet(body, wallet, KEYS[CONSUMER], 5, which)
    result = api.post("freeCompute", good)
    assert (result.status_code, result.json[0]["owner"]) == (200, wallet), result.text
    assert api.post("freeCompute", good).status_code == 401  # its nonce is used up like any other


def test_nobody_else_signs_for_a_contract_wallet(api: Api, tester_chain: TesterChain) -> None:
    body = {"workflow": [workflow_job()]}
    for signed in (
        signed_by_wallet(body, tester_chain.contracts.wallet, ALICE, 5, 0),
        signed_by_wallet(body, tester_chain.contracts.token, ALICE, 5, 0),
        {**body, "consumerAddress": tester_chain.contracts.wallet, "nonce": "5", "signature": "0x12zz"},
    ):
        assert api.post("freeCompute", signed).status_code == 401
