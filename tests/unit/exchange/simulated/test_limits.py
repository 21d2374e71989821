from __future__ import annotations

from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.rest.limits import BAN_SECONDS, REFUSALS_BEFORE_BAN, Limits

MINUTE = 60_000_000
START = 30_000_000 * MINUTE + 20_000_000


def test_weight_is_counted_by_the_minute_and_refused_past_the_limit() -> None:
    limits = Limits(Product.USDM)
    for _ in range(120):
        assert limits.spend(20, START) is None
    assert limits.headers(START) == {"X-MBX-USED-WEIGHT-1M": "2400"}
    refused = limits.spend(1, START)
    assert refused is not None
    error, wait = refused
    assert (error.status, error.code, wait) == (429, -1003, 40)
    assert limits.spend(1, START + 40_000_000) is None
    assert limits.headers(START + 40_000_000) == {"X-MBX-USED-WEIGHT-1M": "1"}


def test_who_goes_on_after_429_is_banned_for_a_while() -> None:
    limits = Limits(Product.SPOT)
    limits.spend(6000, START)
    answers = [limits.spend(1, START) for _ in range(REFUSALS_BEFORE_BAN + 1)]
    assert [a[0].status for a in answers if a] == [429] * REFUSALS_BEFORE_BAN + [418]
    still = limits.spend(1, START + MINUTE)
    assert still is not None
    assert (still[0].status, still[1]) == (418, BAN_SECONDS - 60)
    assert limits.spend(1, START + BAN_SECONDS * 1_000_000) is None


def test_orders_are_counted_by_ten_seconds() -> None:
    limits = Limits(Product.USDM)
    answers = [limits.order(START) for _ in range(301)]
    assert answers[:300] == [None] * 300
    assert answers[300] is not None
    assert (answers[300][0].status, answers[300][0].code) == (429, -1015)
    assert limits.order_headers(START)["X-MBX-ORDER-COUNT-10S"] == "301"
    assert limits.order(START + 10_000_000) is None
