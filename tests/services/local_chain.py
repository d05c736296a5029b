"""Own a chain for one machine alone: the field's contracts on it, accounts with coin, and the clock in our hands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from eth_account import Account
from web3 import Web3
from web3.logs import DISCARD

from shared.escrow.rpc import Rpc
from shared.escrow.transport import Provider
from shared.escrow.words import ChainCall, ChainConfig, Fees, Kind, TxReceipt
from shared.names import Address
from tests.services.contracts.artifacts import artifact

MNEMONIC = "test test test test test test test test test test test junk"
ZERO = "0x" + "0" * 40
GAS = 7_000_000
PRICE = Fees(base_wei=100 * 10**9, priority_wei=10**9)

Account.enable_unaudited_hdwallet_features()
KEYS = tuple(bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{n}").key) for n in range(10))
"Accounts with coin on either chain; what anvil prints at its start."
ADDRESSES = tuple(Address(Account.from_key(key).address.lower()) for key in KEYS)
DEPLOYER, NODE, CONSUMER, OTHER = range(4)
"Places in KEYS and ADDRESSES: who deployed (and owns what has an owner), the payee, a payer, another payer."

ENTERPRISE_LEAST = {18: 5 * 10**16, 6: 50_000}
"What EnterpriseEscrow takes at least of a claim, by the token's decimals: 0.05 tokens."


@dataclass(frozen=True)
class Contracts:
    """Where everything stands; lower case."""

    router: Address
    escrow: Address
    collector: Address
    "Of EnterpriseEscrow: takes 1 % of a claim, at least 0.05 and at most 10 tokens."
    enterprise: Address
    token: Address
    "18 decimals, TOK."
    coin: Address
    "6 decimals, USD."
    stranger: Address
    "18 decimals, published mock; EnterpriseEscrow does not take it."
    access_list: Address
    "NFTs that let in; CONSUMER holds one, OTHER none."
    wallet: Address
    "A contract wallet (ERC-1271) whose owner is CONSUMER."


class LocalChain(ABC):
    """One chain, from the outside (`chain`, `enterprise`: the product's own `Rpc`) and from above (the rest)."""

    def __init__(self, provider: Any, chain_id: int, rpc: str, finality_blocks: int | None) -> None:
        self.provider: Provider = provider
        self.w3 = Web3(provider)
        self.w3.eth.account.enable_unaudited_hdwallet_features()
        self.contracts = deploy(self, chain_id)
        self.config = ChainConfig(chain_id, rpc, self.contracts.escrow, finality_blocks=finality_blocks)
        self.chain = self.open()
        self.enterprise = self.open(escrow=self.contracts.enterprise, kind=Kind.ENTERPRISE)

    def open(self, **changes: Any) -> Rpc:
        """A `Chain` with other settings, on the same chain."""
        return Rpc(replace(self.config, **changes), self.provider)

    def send(self, call: ChainCall, key: bytes, gas: int = GAS) -> TxReceipt:
        """Sign, send and mine a call the product knows."""
        address = Address(Account.from_key(key).address.lower())
        signed = self.chain.sign(call, key, self.chain.nonce(address), gas, PRICE)
        objection = self.chain.send(signed.raw)
        assert objection is None, objection
        return self.mined(signed.tx_hash)

    def mined(self, tx_hash: str) -> TxReceipt:
        """The receipt, mining a block where nobody else does."""
        self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=30, poll_latency=0.02)  # type: ignore[arg-type]
        receipt = self.chain.receipt(tx_hash)
        assert receipt is not None
        return receipt

    def transact(self, name: str, at: str, function: str, *arguments: Any, by: int = DEPLOYER) -> Mapping[str, Any]:
        """Have one of the ten accounts call any function of a contract whose artifact is named."""
        contract = self.w3.eth.contract(address=Web3.to_checksum_address(at), abi=artifact(name)["abi"])
        call = contract.functions[function](*(_checksummed(each) for each in arguments))
        return self.done(call.transact({"from": Web3.to_checksum_address(ADDRESSES[by]), "gas": GAS}))

    def deploy(self, name: str, *arguments: Any) -> Address:
        """Put a contract on the chain."""
        made = self.w3.eth.contract(abi=artifact(name)["abi"], bytecode=artifact(name)["bytecode"])
        call = made.constructor(*(_checksummed(each) for each in arguments))
        receipt = self.done(call.transact({"from": Web3.to_checksum_address(ADDRESSES[DEPLOYER]), "gas": GAS}))
        return Address(str(receipt["contractAddress"]).lower())

    def done(self, tx_hash: Any) -> Mapping[str, Any]:
        """A good receipt."""
        receipt = self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=30, poll_latency=0.02)
        assert receipt["status"] == 1, f"{tx_hash.hex()} failed"
        return receipt

    def mint(self, token: Address, to: Address, amount_wei: int) -> None:
        """Make tokens (of `token` or `coin`) out of nothing."""
        self.transact("TestToken", token, "mint", to, amount_wei)

    def fund(self, address: Address, coins_wei: int = 10**18) -> None:
        """Give an address coin for gas."""
        sender = Web3.to_checksum_address(ADDRESSES[DEPLOYER])
        to = Web3.to_checksum_address(address)
        self.done(self.w3.eth.send_transaction({"from": sender, "to": to, "value": coins_wei, "gas": 21_000}))

    def prepare_payer(
        self,
        key: bytes = KEYS[CONSUMER],
        *,
        token: Address | None = None,
        deposit_wei: int = 100 * 10**18,
        payee: Address = ADDRESSES[NODE],
        most_locked_wei: int = 10**30,
        most_lock_s: int = 10**6,
        most_locks: int = 100,
        escrow: Address | None = None,
    ) -> Address:
        """Do all that a payer does before a first paid job: mint, approve, deposit, authorize. Returns the payer."""
        token, escrow = token or self.contracts.token, escrow or self.contracts.escrow
        payer = Address(Account.from_key(key).address.lower())
        if deposit_wei:
            self.mint(token, payer, deposit_wei)
            self.send(ChainCall(token, "approve", (escrow, deposit_wei)), key)
            assert self.send(ChainCall(escrow, "deposit", (token, deposit_wei)), key).is_good
        limits = (token, payee, most_locked_wei, most_lock_s, most_locks)
        assert self.send(ChainCall(escrow, "authorize", limits), key).is_good
        return payer

    @abstractmethod
    def mine(self, blocks: int = 1) -> None:
        """Mine blocks, with whatever waits."""

    @abstractmethod
    def pass_time(self, seconds: int) -> None:
        """Let the chain's clock go on, and mine a block under the new time."""

    @abstractmethod
    def snapshot(self) -> Any:
        """Remember everything."""

    @abstractmethod
    def revert(self, snapshot: Any) -> None:
        """Be again as remembered."""


def deploy(local: LocalChain, chain_id: int) -> Contracts:
    """Put all contracts on a fresh chain, always in this order, so that their addresses are always the same."""
    owner = ADDRESSES[DEPLOYER]
    token = local.deploy("TestToken", "Token", "TOK", 18)
    coin = local.deploy("TestToken", "Dollar", "USD", 6)
    stranger = local.deploy("MockERC20Decimals", "Stranger", "STR", 18)
    router = local.deploy("FactoryRouter", owner, token, owner, ADDRESSES[9], [])
    collector = local.deploy("EnterpriseFeeCollector", ADDRESSES[9], owner)
    for address, decimals in ((token, 18), (coin, 6)):
        least, most = ENTERPRISE_LEAST[decimals], 10 * 10**decimals
        local.transact("EnterpriseFeeCollector", collector, "updateToken", address, least, most, 10**16, True)
    return Contracts(
        router=router,
        escrow=local.deploy("Escrow", router, ZERO),
        collector=collector,
        enterprise=local.deploy("EnterpriseEscrow", collector),
        token=token,
        coin=coin,
        stranger=stranger,
        access_list=_access_list(local, owner),
        wallet=local.deploy("TestWallet", ADDRESSES[CONSUMER]),
    )


def _access_list(local: LocalChain, owner: Address) -> Address:
    factory = local.deploy("AccessListFactory", local.deploy("AccessList"))
    made = ("Allowed", "ALL", False, owner, [ADDRESSES[CONSUMER]], ["https://example.org/1"])
    receipt = local.transact("AccessListFactory", factory, "deployAccessListContract", *made)
    contract = local.w3.eth.contract(
        address=Web3.to_checksum_address(factory), abi=artifact("AccessListFactory")["abi"]
    )
    (told,) = contract.events.NewAccessList().process_receipt(receipt, errors=DISCARD)
    return Address(told["args"]["contractAddress"].lower())


def _checksummed(argument: Any) -> Any:
    """web3 takes mixed-case addresses alone."""
    if isinstance(argument, list):
        return [_checksummed(each) for each in argument]
    is_address = isinstance(argument, str) and len(argument) == 42 and argument.startswith("0x")
    return Web3.to_checksum_address(argument) if is_address else argument
