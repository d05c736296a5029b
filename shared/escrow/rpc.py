"""Own one chain over JSON-RPC: `Rpc` is the product's `Chain`. May be used from several threads at once.

"Could not look" is `Unavailable` here and everywhere; an empty answer is believed only where the node's own block says
that it has looked far enough.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from shared.errors import InvalidRequest, Unavailable
from shared.escrow import abi, signing
from shared.escrow.reading import block_of, log_of, number, raw, shown_symbol, tag, text
from shared.escrow.transport import Provider, RpcRefused, http_provider, request, unavailable
from shared.escrow.words import (
    Authorization,
    Block,
    ChainCall,
    ChainConfig,
    EscrowEvent,
    Fees,
    Funds,
    Kind,
    OpenLock,
    Reverted,
    SignedTx,
    Token,
    TxReceipt,
)
from shared.names import Address

NOBODY = Address("0x" + "0" * 40)
MOST_BLOCKS = 2_000  # of one look for events; halved where a node refuses
LOCKS = "(uint256,address,uint256,uint256,address)[]"
VALID_SIGNATURE = bytes.fromhex("1626ba7e")


class _Nothing(Exception):
    """There is no contract, or none that knows the call."""


class Rpc:
    """One chain, its escrow, and the tokens, lists and wallets on it. Opens nothing before it is asked something."""

    def __init__(self, config: ChainConfig, provider: Provider | None = None) -> None:
        self._config = config
        self._provider = provider or http_provider(config.rpc)
        self._tokens: dict[Address, Token] = {}
        self._is_right = False
        self._checking = threading.Lock()

    @property
    def config(self) -> ChainConfig:
        """What the operator set."""
        return self._config

    def head(self) -> Block:
        """The newest block."""
        return block_of(self._known_block("latest"))

    def final(self) -> Block:
        """The newest block that is never undone: so many below the newest, or what the chain itself calls final."""
        if self._config.finality_blocks is None:
            return block_of(self._known_block("finalized"))
        return block_of(self._known_block(tag(max(self.head().number - self._config.finality_blocks, 0))))

    def block(self, number: int) -> Block | None:
        """A block by its number; null where there is none."""
        found = self._ask("eth_getBlockByNumber", tag(number), False)
        return None if found is None else block_of(found)

    def nonce(self, address: Address, at_block: int | None = None) -> int:
        """How many transactions of the address were mined, up to a block; null = the newest."""
        return number(self._ask("eth_getTransactionCount", address, tag(at_block)))

    def coins(self, address: Address) -> int:
        """The chain's own coin, in wei."""
        return number(self._ask("eth_getBalance", address, "latest"))

    def fees(self) -> Fees:
        """What a unit of gas costs now; a chain without base fees has its price as the base."""
        base = self._known_block("latest").get("baseFeePerGas")
        if base is None or self._config.is_legacy:
            return Fees(number(self._ask("eth_gasPrice")), 0)
        try:
            return Fees(number(base), number(self._try("eth_maxPriorityFeePerGas")))
        except RpcRefused:  # an older node, which knows a price alone
            return Fees(number(base), max(number(self._ask("eth_gasPrice")) - number(base), 0))

    def token(self, token: Address) -> Token:
        """What the token says of itself, asked once. Raises: InvalidRequest where the address is no token."""
        if token not in self._tokens:
            try:
                (decimals,) = self._read(token, "decimals", ["uint8"])
                symbol = shown_symbol(self._call(ChainCall(token, "symbol")))
            except (Reverted, _Nothing):
                raise InvalidRequest(f"{token} is no token on chain {self._config.chain_id}.") from None
            self._tokens[token] = Token(token, symbol, decimals)
        return self._tokens[token]

    def token_balance(self, token: Address, owner: Address) -> int:
        """Tokens outside the escrow, in wei."""
        return int(self._of_token(token, "balanceOf", owner))

    def allowance(self, token: Address, owner: Address) -> int:
        """What the owner lets the escrow take."""
        return int(self._of_token(token, "allowance", owner, self._config.escrow))

    def funds(self, payer: Address, token: Address) -> Funds:
        """What the payer has in the escrow."""
        return Funds(*self._of_escrow("getUserFunds", "(uint256,uint256)", payer, token))

    def authorization(self, token: Address, payer: Address, payee: Address) -> Authorization | None:
        """What the payer lets the payee lock; null where nothing was ever said."""
        shape = "(address,uint256,uint256,uint256,uint256,uint256)[]"
        found = self._of_escrow("getAuthorizations", shape, token, payer, payee)
        return next((Authorization(*rest) for whom, *rest in found if whom.lower() == payee.lower()), None)

    def locks(self, payee: Address, *, at_block: int | None = None) -> list[OpenLock]:
        """The payee's open locks as of a block; null = the newest."""
        found = self._of_escrow("getLocks", LOCKS, NOBODY, NOBODY, payee, at_block=at_block)
        return [
            OpenLock(onchain_id, Address(payer.lower()), Address(token.lower()), amount, expires)
            for onchain_id, payer, amount, expires, token in found
        ]

    def events(self, first_block: int, last_block: int, payee: Address) -> list[EscrowEvent]:
        """What the contract told of the payee's locks, oldest first, both blocks included."""
        if first_block > last_block:
            return []
        if self.block(last_block) is None:  # a node that lags would say "nothing happened" of blocks it has not seen
            raise unavailable(self._config.chain_id, "eth_getLogs", f"its node has no block {last_block} yet")
        found = (abi.decode_event(log_of(entry)) for entry in self._logs(first_block, last_block))
        return [event for event in found if event is not None and event.payee == payee.lower()]

    def receipt(self, tx_hash: str) -> TxReceipt | None:
        """A mined transaction; null while it is not."""
        found = self._ask("eth_getTransactionReceipt", tx_hash)
        if found is None or found.get("blockNumber") is None:
            return None
        ours = [log_of(entry) for entry in found["logs"] if text(entry["address"]) == self._config.escrow]
        events = tuple(event for entry in ours if (event := abi.decode_event(entry)) is not None)
        block, is_good = number(found["blockNumber"]), number(found.get("status")) == 1
        return TxReceipt(tx_hash, block, text(found.get("blockHash")), is_good, number(found.get("gasUsed")), events)

    def holds(self, contract: Address, owner: Address) -> bool:
        """Whether the owner holds a token of an access list; false for what is no list."""
        try:
            (count,) = self._read(contract, "balanceOf", ["uint256"], owner)
        except (Reverted, _Nothing):
            return False
        return bool(count > 0)

    def is_signed_by_contract(self, wallet: Address, digest: bytes, signature: bytes) -> bool:
        """Whether a contract wallet says the signature is its own (ERC-1271); false for what is no contract."""
        try:
            answer = self._call(ChainCall(wallet, "isValidSignature", (digest, signature)))
        except (Reverted, _Nothing):
            return False
        return answer == VALID_SIGNATURE + bytes(28)

    def kind(self) -> Kind | None:
        """Which of the two contracts stands at the escrow's address; null where neither does."""
        try:
            self._read(self._config.escrow, "getLocks", [LOCKS], NOBODY, NOBODY, self._config.escrow)
        except (Reverted, _Nothing):
            return None
        try:
            self._read(self._config.escrow, "factoryRouter", ["address"])
        except (Reverted, _Nothing):
            return Kind.ENTERPRISE
        return Kind.ESCROW

    def least_fee_wei(self, token: Address) -> int:
        """What a claim must at least be, for the contract's own fee; 0 for Escrow. Raises: Reverted (token refused)."""
        if self._config.kind is Kind.ESCROW:
            return 0
        collector = Address(self._of_escrow("opcCollector", "address").lower())
        if collector == NOBODY:
            return 0
        (is_allowed,) = self._read(collector, "isTokenAllowed", ["bool"], token)
        if not is_allowed:
            raise Reverted(f"The escrow of chain {self._config.chain_id} takes no token {token}.")
        ((_, least, _, _),) = self._read(collector, "getToken", ["(bool,uint256,uint256,uint256)"], token)
        return int(least)

    def simulate(self, call: ChainCall, sender: Address) -> None:
        """Try a call without sending it. Raises: Reverted with the contract's reason."""
        self._ask_contract("eth_call", self._transaction(call, sender), "latest")

    def gas(self, call: ChainCall, sender: Address) -> int:
        """How much gas the call would need now. Raises: Reverted."""
        return number(self._ask_contract("eth_estimateGas", self._transaction(call, sender)))

    def sign(self, call: ChainCall, key: bytes, nonce: int, gas: int, fees: Fees) -> SignedTx:
        """Sign a transaction; asks the chain nothing."""
        return signing.sign(self._config, call, key, nonce, gas, fees)

    def send(self, raw: bytes) -> str | None:
        """Hand signed bytes to the chain; what it objects is told, and proves nothing. Raises: Unavailable."""
        try:
            self._try("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcRefused as refusal:
            return refusal.message
        return None

    def _logs(self, first: int, last: int) -> list[dict[str, Any]]:
        """The escrow's log of some blocks, in as many looks as the node wants."""
        topics = [list(abi.TOPICS)]
        found: list[dict[str, Any]] = []
        step = MOST_BLOCKS
        while first <= last:
            until = min(first + step - 1, last)
            look = {"address": self._config.escrow, "topics": topics, "fromBlock": tag(first), "toBlock": tag(until)}
            try:
                found += self._try("eth_getLogs", look)
            except RpcRefused as refusal:  # nodes bound blocks or entries, each by its own words: ask for less
                if first == until:
                    raise self._refused("eth_getLogs", refusal) from None
                step = (until - first + 1) // 2
                continue
            first = until + 1
        return found

    def _known_block(self, which: str) -> dict[str, Any]:
        """A block that must be there."""
        found = self._ask("eth_getBlockByNumber", which, False)
        if not isinstance(found, dict):
            hint = "; set finalityBlocks for a chain without this tag" if which == "finalized" else ""
            raise unavailable(self._config.chain_id, "eth_getBlockByNumber", f"it has no {which} block{hint}")
        return found

    def _of_escrow(self, function: str, shape: str, *arguments: Any, at_block: int | None = None) -> Any:
        """One answer of the escrow. Raises: Unavailable where there is no escrow, for that tells nothing of money."""
        try:
            return self._read(self._config.escrow, function, [shape], *arguments, at_block=at_block)[0]
        except (Reverted, _Nothing):
            raise unavailable(self._config.chain_id, function, f"no escrow at {self._config.escrow}") from None

    def _of_token(self, token: Address, function: str, *arguments: Any) -> Any:
        """One number a token keeps. Raises: InvalidRequest."""
        try:
            return self._read(token, function, ["uint256"], *arguments)[0]
        except (Reverted, _Nothing):
            raise InvalidRequest(f"{token} is no token on chain {self._config.chain_id}.") from None

    def _read(
        self, contract: Address, function: str, shapes: Sequence[str], *arguments: Any, at_block: int | None = None
    ) -> tuple[Any, ...]:
        return abi.decode(shapes, self._call(ChainCall(contract, function, arguments), at_block))

    def _call(self, call: ChainCall, at_block: int | None = None) -> bytes:
        """Ask a contract. Raises: Reverted; _Nothing where there is no contract."""
        answer = self._ask_contract("eth_call", self._transaction(call), tag(at_block))
        if not (found := raw(answer)):
            raise _Nothing
        return found

    def _transaction(self, call: ChainCall, sender: Address | None = None) -> dict[str, str]:
        said = {"from": sender} if sender else {}
        return {**said, "to": call.to, "data": "0x" + abi.encode(call).hex()}

    def _ask_contract(self, method: str, *params: Any) -> Any:
        """Ask what runs a contract. Raises: Reverted, Unavailable."""
        try:
            return self._try(method, *params)
        except RpcRefused as refusal:
            if not refusal.is_revert:
                raise self._refused(method, refusal) from None
            raise Reverted(abi.reason(refusal.data) or refusal.reason or abi.NOTHING_SAID) from None

    def _ask(self, method: str, *params: Any) -> Any:
        """Ask what is no contract's business. Raises: Unavailable."""
        try:
            return self._try(method, *params)
        except RpcRefused as refusal:
            raise self._refused(method, refusal) from None

    def _try(self, method: str, *params: Any) -> Any:
        """Ask once it is sure whom. Raises: RpcRefused, Unavailable."""
        if not self._is_right:
            self._check_chain()
        return request(self._provider, self._config, method, params)

    def _check_chain(self) -> None:
        """Another chain's answers would all be wrong. Raises: Unavailable."""
        with self._checking:
            found = number(request(self._provider, self._config, "eth_chainId", ()))
            if found != self._config.chain_id:
                raise unavailable(self._config.chain_id, "eth_chainId", f"it is the RPC of chain {found}")
            self._is_right = True

    def _refused(self, method: str, refusal: RpcRefused) -> Unavailable:
        return unavailable(self._config.chain_id, method, f"error {refusal.code}: {refusal.message}")
