"""Many orders through the gateway to a venue that takes an order and then says nothing: each is there once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.common import OrderStatus, Side
from schemas.execution.records import ExecutionResult, OrderCommand
from tests.conftest import RunningStack
from tests.integration.order_bench import market, order_bench
from tests.integration.venue_process import VenueProcess, running_venue

pytestmark = pytest.mark.stack

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
QUANTITIES = {"BTCUSDT": "0.002", "ETHUSDT": "0.01", "SOLUSDT": "0.1", "BNBUSDT": "0.05", "XRPUSDT": "10", "DOGEUSDT": "100"}
TIMED_OUT = -1007
PAGE = 1_000
IN_HAND = 400
HANG_S = 3.5


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueProcess]:
    options = ["--symbols", ",".join(SYMBOLS), "--balance", "1000000", "--orders-per-minute", "1000000", "--latency-ms", "1"]
    with running_venue(tmp_path, *options) as process:
        yield process


def all_orders(venue: VenueProcess, symbol: str) -> Iterator[dict[str, Any]]:
    """Yield every order of a symbol that the venue has, page by page."""
    start = 0
    while rows := venue.signed("/fapi/v1/allOrders", symbol=symbol, orderId=start, limit=PAGE):
        yield from rows
        start = rows[-1]["orderId"] + 1
        time.sleep(0.1)  # keeps within the weight of a minute


def order(number: int, name: str) -> OrderCommand:
    """Return the n-th command: all symbols in turn, bought and sold alike."""
    symbol = SYMBOLS[number % len(SYMBOLS)]
    return market(name, symbol, Side.BUY if number // len(SYMBOLS) % 2 else Side.SELL, quantity=Decimal(QUANTITIES[symbol]))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("total", [150, pytest.param(10_000, marks=pytest.mark.campaign)])
def test_orders_that_time_out_after_they_were_taken_are_neither_sent_twice_nor_lost(
    stack: RunningStack, venue: VenueProcess, unique: str, tmp_path: Path, total: int
) -> None:
    names = [f"{unique}-{n}" for n in range(total)]
    with order_bench(stack, venue, unique, tmp_path) as bench:
        venue.fault(kind="accept_then_time_out", path="POST /fapi/v1/order", probability=0.04, seconds=3_600)
        venue.fault(kind="accept_then_time_out", path="POST /fapi/v1/order", probability=0.01, hang_seconds=HANG_S, seconds=3_600)
        bench.start()
        bench.until_active("one")
        for start in range(0, total, IN_HAND):  # an entry that lies on the log for a minute is not sent any more
            stop = min(start + IN_HAND, total)
            bench.send(*(order(n, names[n]) for n in range(start, stop)))
            bench.until(partial(lambda least: bench.committed() >= least, stop - IN_HAND // 2))
        bench.until(lambda: bench.committed() == total)
        time.sleep(HANG_S + 0.5)  # an answer that hangs is counted when it is given up
        answers = {code: count for (request, code), count in venue.requests().items() if request == "POST /fapi/v1/order"}
        assert answers.keys() == {200, TIMED_OUT}, "an order was refused, maybe because it was there already"
        assert sum(answers.values()) == total, "an order was sent twice or not at all"
        assert 0.02 * total < answers[TIMED_OUT] < 0.1 * total  # chances are seeded
        at_venue = {row["clientOrderId"]: row for symbol in SYMBOLS for row in all_orders(venue, symbol)}
        assert Counter(row["status"] for row in at_venue.values()) == {"FILLED": total}
        assert at_venue.keys() == set(names)
        chains: dict[str, list[ExecutionResult]] = {}
        for result in bench.results():
            chains.setdefault(result.client_order_id, []).append(result)
        assert chains.keys() == set(names)
        for name, chain in chains.items():
            assert chain[0].status is OrderStatus.ACCEPTED
            assert [result.status for result in chain].count(OrderStatus.FILLED) == 1
            assert len({result.event_id for result in chain}) == len(chain), "something was said twice"
            assert str(chain[-1].filled_quantity) == at_venue[name]["executedQty"]
