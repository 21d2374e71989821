"""Who may still send and say something: a process that was held up may not."""

from __future__ import annotations

import time
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import pytest

from connectors.exchange.binance.rest import BinanceRest, Security
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.errors import NotSentError
from connectors.exchange.orders.events import FillSeen, OrderSeen
from connectors.exchange.orders.ledger import Ledger, Result
from connectors.exchange.orders.speaker import Speaker
from connectors.exchange.venues import USDM
from schemas.common import Liquidity, OrderStatus
from schemas.execution.records import ExecutionResult
from tests.unit.exchange.orders.commands import command

NOWHERE = VenueSettings(usdm_url="http://127.0.0.1:9", timeout_s=1.0)


class Group:
    """A log of commands that has been heard of or not, and has partitions or not."""

    def __init__(self) -> None:
        self.heard = True
        self.mine = {0}

    def has(self, partition: int | None) -> bool:
        """Return whether a partition is this process's."""
        return partition in self.mine

    async def has_been_told(self, partitions: Collection[int]) -> bool:
        """Return whether none of the partitions is this process's."""
        return not self.mine & set(partitions)


class Results:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def add(self, result: Any) -> None:
        """Keep a record's id."""
        self.sent.append(result.record.event_id)


async def test_a_request_that_was_held_up_is_not_signed() -> None:
    async with BinanceRest(USDM, NOWHERE) as rest:
        rest._clock_read = time.monotonic()
        with pytest.raises(NotSentError, match="held up"):
            await rest.call("POST", "/fapi/v1/order", {}, Security.SIGNED, not_after=time.monotonic() - 0.1)
        with pytest.raises(NotSentError, match="cannot be reached"):
            await rest.call("POST", "/fapi/v1/order", {}, Security.SIGNED, not_after=time.monotonic() + 60)


def test_nothing_is_said_of_orders_that_may_be_anothers() -> None:
    group, ledger = Group(), Ledger()
    results: Any = Results()
    fills: list[int] = []
    speaker = Speaker(group, results, lambda: fills.append(1))
    for partition, name in enumerate(("mine", "lost")):
        ledger.expect(command(name), {}, partition)
        group.mine.add(partition)

    def accepted(name: str) -> list[Result[ExecutionResult]]:
        seen = OrderSeen(client_order_id=name, venue_order_id=name, status=OrderStatus.ACCEPTED, executed=Decimal(0), event_ts=1)
        return ledger.seen(seen, name)

    group.heard = False
    speaker.say(accepted("mine"))
    speaker.say(accepted("lost"))
    speaker.release()
    assert results.sent == []
    group.heard, group.mine = True, {0}
    speaker.forget([1])
    ledger.drop(1)
    speaker.release()
    assert results.sent == ["mine:ACCEPTED"]
    group.mine = set()
    fill = FillSeen(
        client_order_id="mine", venue_order_id="mine", trade_id="1", quantity=Decimal(1), price=Decimal(1), commission=Decimal(0),
        commission_asset="USDT", liquidity=Liquidity.TAKER, event_ts=2,
    )  # fmt: skip
    speaker.say(ledger.seen(fill, "mine"))
    assert (results.sent, fills) == (["mine:ACCEPTED"], [])
