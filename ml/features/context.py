"""Features of the last quote, the book, the funding and the other venues: pure functions of what was last seen."""

from __future__ import annotations

from collections.abc import Sequence

BPS = 1e4


def spread_bps(bid_price: float, ask_price: float) -> float:
    """Return the spread over the mid, basis points."""
    return BPS * 2.0 * (ask_price - bid_price) / (ask_price + bid_price)


def microprice_offset_bps(bid_price: float, bid_quantity: float, ask_price: float, ask_quantity: float) -> float | None:
    """Return the microprice over the mid, minus 1, basis points; None for an empty book.

    The microprice weighs each side's price by the other side's quantity, so that it lies nearer to the side that is
    about to be used up; over the mid it is half the spread times the imbalance at the touch.
    """
    imbalance = top_imbalance(bid_quantity, ask_quantity)
    return None if imbalance is None else 0.5 * spread_bps(bid_price, ask_price) * imbalance


def top_imbalance(bid_quantity: float, ask_quantity: float) -> float | None:
    """Return bid less ask quantity over their sum at the touch, -1 to 1; None for an empty book."""
    total = bid_quantity + ask_quantity
    return (bid_quantity - ask_quantity) / total if total > 0.0 else None


def depth_imbalance(bid_quantities: Sequence[float], ask_quantities: Sequence[float], levels: int) -> float | None:
    """Return bid less ask quantity over their sum in the best levels of each side, -1 to 1; None where a side has fewer levels."""
    if min(len(bid_quantities), len(ask_quantities)) < levels:
        return None
    return top_imbalance(sum(bid_quantities[:levels]), sum(ask_quantities[:levels]))


def time_to_funding_s(close_ts: int, next_funding_ts: int) -> float | None:
    """Return the seconds to the coming funding; None where that time is past, because the next one is not known yet."""
    return (next_funding_ts - close_ts) / 1e6 if next_funding_ts >= close_ts else None
