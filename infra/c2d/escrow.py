"""Look after what you have in the escrow: show it, deposit, authorize the node, withdraw.

Every transaction is explained first; nothing is sent before you type yes (or give --yes). Amounts are whole tokens.
"""

from __future__ import annotations

import argparse
from typing import Any

from infra.c2d.failures import Failure
from infra.c2d.money import Unit
from infra.c2d.node_client import SERVICES, NodeClient
from infra.c2d.options import add_key, add_node, client_of, screen_of
from infra.c2d.paying import chosen
from infra.c2d.submit import add_payment, add_rpc
from infra.c2d.terminal import Screen, clean, span
from infra.c2d.wallet import Standing, Step, Wallet, authorize_step, deposit_steps, is_agreed, open_wallet, unreachable
from shared.chain_config import published
from shared.errors import C2DError, Unavailable
from shared.escrow.words import ChainCall, Kind
from shared.names import Address

DOINGS = ("show", "deposit", "authorize", "withdraw")
DAY_S = 86_400


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what the word takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("doing", choices=DOINGS, metavar="|".join(DOINGS), help="what to do")
    parser.add_argument("amount", metavar="AMOUNT", nargs="?", help="whole tokens; all but show need it")
    parser.add_argument(
        "--seconds", type=int, default=DAY_S, help="authorize: the longest one lock may last (default %(default)s)"
    )
    parser.add_argument("--locks", type=int, default=10, help="authorize: locks at once (default %(default)s)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_payment(parser)
    add_rpc(parser)
    add_key(parser)
    add_node(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show how things stand, and change them after a word of yours."""
    screen = screen_of(arguments)
    if (arguments.doing == "show") == bool(arguments.amount):
        raise Failure("show takes no amount, the others need one", f"c2d escrow {arguments.doing} --rpc URL")
    client = client_of(arguments, screen)
    payment = terms(client, arguments)
    wallet = open_wallet(payment, client.key, arguments)
    unit, token = unit_of_token(wallet, payment), Address(payment["token"].lower())
    payee = Address(payment["payee"].lower())
    standing = wallet.look(token, payee)
    if arguments.doing != "show":
        steps = steps_of(arguments, standing, unit, payment)
        if not is_agreed(steps, arguments, screen):
            return 0
        wallet.carry_out(steps, screen)
        standing = wallet.look(token, payee)
    show(wallet, standing, unit, payment, screen)
    return 0


def terms(client: NodeClient, arguments: argparse.Namespace) -> dict[str, Any]:
    """Where the node is paid: chain, token, its escrow and its address. Raises: Failure."""
    payment = chosen(client, arguments.chain, arguments.token)
    told = client.get(f"{SERVICES}/status").get("escrowAddress") or {}
    escrow = told.get(str(payment["chainId"])) or arguments.escrow or published(payment["chainId"], Kind.ESCROW)
    if not escrow:
        raise Failure(f"the node names no escrow on chain {payment['chainId']}", "name it with --escrow ADDRESS")
    return {**payment, "escrowAddress": str(escrow), "payee": str(client.get("/")["providerAddress"])}


def unit_of_token(wallet: Wallet, payment: dict[str, Any]) -> Unit:
    """How the token is written, by its own word. Raises: Failure, Unreachable."""
    try:
        token = wallet.chain.token(Address(payment["token"].lower()))
    except Unavailable as error:
        raise unreachable(error) from error
    except C2DError as error:
        raise Failure(error.detail) from error
    return Unit(clean(token.symbol), token.decimals)


def steps_of(arguments: argparse.Namespace, standing: Standing, unit: Unit, payment: dict[str, Any]) -> list[Step]:
    """The transactions that are asked for. Raises: Failure."""
    amount = unit.wei(arguments.amount)
    if arguments.doing == "authorize":
        if arguments.seconds < 0 or arguments.locks < 0:
            raise Failure("--seconds and --locks are not negative")
        return [authorize_step(unit, payment, amount, arguments.seconds, arguments.locks)]
    if not amount:
        raise Failure(f"there is nothing to {arguments.doing}")
    if arguments.doing == "deposit":
        return deposit_steps(standing, unit, payment, amount)
    if amount > standing.funds.available_wei:  # the contract would not object, and move nothing
        raise Failure(
            f"{unit.text(standing.funds.available_wei)} are free in the escrow", "locked ones come back by themselves"
        )
    token, escrow = Address(payment["token"].lower()), Address(payment["escrowAddress"].lower())
    return [Step(f"withdraw {unit.text(amount)} to your wallet", ChainCall(escrow, "withdraw", ([token], [amount])))]


def show(wallet: Wallet, standing: Standing, unit: Unit, payment: dict[str, Any], screen: Screen) -> None:
    """Print what stands on the chain."""
    funds, allowed = standing.funds, standing.authorization
    screen.document({
        "address": wallet.address, **payment, "symbol": unit.symbol, "decimals": unit.decimals,
        "coins": str(standing.coins_wei), "wallet": str(standing.held_wei), "available": str(funds.available_wei),
        "locked": str(funds.locked_wei), "authorization": None if allowed is None else {
            "maxLockedAmount": str(allowed.most_locked_wei), "lockedAmount": str(allowed.locked_wei),
            "maxLockSeconds": str(allowed.most_lock_s), "maxLocks": str(allowed.most_locks),
            "openLocks": allowed.open_locks,
        },
    })  # fmt: skip
    rows = [
        [
            "your wallet",
            f"{unit.text(standing.held_wei)}, and {Unit('coin', 18).text(standing.coins_wei)} for transactions",
        ],
        ["in the escrow, free", f"{unit.text(funds.available_wei)}; you can withdraw it"],
        ["in the escrow, locked", unit.text(funds.locked_wei)],
        ["the node may lock", "nothing yet" if allowed is None else limits(allowed, unit)],
    ]
    screen.say(f"{wallet.address} on chain {payment['chainId']}, escrow {payment['escrowAddress']}")
    screen.table(("what", "how much"), rows)
    screen.next("c2d submit FILE --pay --rpc URL --follow")


def limits(allowed: Any, unit: Unit) -> str:
    """An authorization in words; limits beyond all sense are said to be none."""
    most = unit.text(allowed.most_locked_wei) if allowed.most_locked_wei < 2**128 else "any amount"
    longest = span(allowed.most_lock_s) if allowed.most_lock_s < 2**32 else "any time"
    count = str(allowed.most_locks) if allowed.most_locks < 2**32 else "any number"
    now = f"{unit.text(allowed.locked_wei)} in {allowed.open_locks} now"
    now = f"{unit.text(allowed.locked_wei)} in {allowed.open_locks} now"
    return f"{most} in all, each lock for {longest}, {count} at once; {now}"
