"""Bars from trades, by event time, in order and without a hole.

1. A trade is folded into the open 1 s bar of its event time; a few 1 s bars may be open at once, so that trades may come out
   of order by the grace.
2. The watermark says how far event time has come. A 1 s bar is closed once the watermark has passed its end; a second without
   a trade is a bar of volume 0 at the last close.
3. A closed 1 s bar is folded into the open 1 m bar, a closed 1 m bar into the 5 m bar, and so on: a bar's volume is exactly
   the sum of the volumes of the bars below it. Its prices are those of its trades, as the venues have it; only a bar without any
   trade is at the last close.

The first second may be seen in part and is a bar all the same; a longer bar is written only where its start was seen. After a
silence longer than ``Rules.max_gap_us`` the bars begin anew, as at the first trade.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from processors.market.rules import Rules
from schemas.common import Side

SECOND = 1_000_000
"""Microseconds."""
INTERVALS: tuple[tuple[str, int], ...] = (("1m", 60 * SECOND), ("5m", 300 * SECOND), ("15m", 900 * SECOND), ("1h", 3_600 * SECOND))
"""Bars that are made of the ones before them, with their lengths in microseconds; 1 s is made of trades."""


class Bar(msgspec.Struct):
    """A bar: prices and values in the quote currency, volumes in the base asset, times in microseconds; ids -1 where there is none."""

    open_ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    quote_volume: float = 0.0
    trades: int = 0
    taker_buy_volume: float = 0.0
    first_trade_id: int = -1
    last_trade_id: int = -1


class BarState(msgspec.Struct):
    """Bars of one symbol at one venue.

    Attributes
    ----------
    started_ts : int
        Event time of the first trade, microseconds; -1 before it.
    watermark : int
        Event time up to which every trade is believed to have come, microseconds.
    closed_to : int
        End of the last closed 1 s bar: the next one begins here, microseconds.
    last_close : float
        Close of the last closed 1 s bar.
    seconds : list of Bar
        1 s bars with trades that are not closed, by time.
    longer : dict
        Open bar of each longer interval.
    late_trades : int
        Trades that came after their bar was closed, so no bar has them.
    resets : int
        Silences after which the bars began anew.
    """

    started_ts: int = -1
    watermark: int = 0
    closed_to: int = 0
    last_close: float = 0.0
    seconds: list[Bar] = []
    longer: dict[str, Bar] = {}
    late_trades: int = 0
    resets: int = 0


def add_trade(state: BarState, trade_id: int, ts: int, price: float, quantity: float, side: Side) -> None:
    """Fold a trade into its 1 s bar; one that is too late is counted."""
    start = ts - ts % SECOND
    if state.started_ts < 0:
        state.started_ts, state.closed_to = ts, start
    elif start < state.closed_to:
        state.late_trades += 1
        return
    bar = _open_bar(state.seconds, start, price)
    bar.high = max(bar.high, price)
    bar.low = min(bar.low, price)
    bar.close = price
    bar.volume += quantity
    bar.quote_volume += price * quantity
    bar.trades += 1
    if side is Side.BUY:
        bar.taker_buy_volume += quantity
    bar.first_trade_id = trade_id if bar.first_trade_id < 0 else min(bar.first_trade_id, trade_id)
    bar.last_trade_id = max(bar.last_trade_id, trade_id)


def _open_bar(seconds: list[Bar], start: int, price: float) -> Bar:
    """Return the open bar of a second; trades come nearly in order, so it is nearly always the last."""
    position = len(seconds)
    while position and seconds[position - 1].open_ts > start:
        position -= 1
    if position and seconds[position - 1].open_ts == start:
        return seconds[position - 1]
    bar = Bar(start, price, price, price, price)
    seconds.insert(position, bar)
    return bar


def advance(state: BarState, ts: int, rules: Rules) -> Iterator[tuple[str, int, Bar]]:
    """Move the watermark to ``ts``; give every bar that this closes, in order, as (interval, length in microseconds, bar)."""
    state.watermark = max(state.watermark, ts)
    if state.started_ts < 0:
        return
    while state.closed_to + SECOND <= state.watermark:
        nothing_until = state.seconds[0].open_ts if state.seconds else state.watermark
        if nothing_until - state.closed_to > rules.max_gap_us:
            _begin_anew(state)
            if state.started_ts < 0:
                return
            continue  # the second that begins anew is not over because its first trade has come
        yield from _close_second(state)


def _close_second(state: BarState) -> Iterator[tuple[str, int, Bar]]:
    if state.seconds and state.seconds[0].open_ts == state.closed_to:
        bar = state.seconds.pop(0)
    else:
        price = state.last_close
        bar = Bar(state.closed_to, price, price, price, price)
    state.last_close = bar.close
    state.closed_to += SECOND
    yield "1s", SECOND, bar
    for interval, length in INTERVALS:
        longer = _fold(state.longer, interval, bar.open_ts - bar.open_ts % length, bar)
        if state.closed_to < longer.open_ts + length:
            return
        del state.longer[interval]
        if longer.open_ts < state.started_ts:
            return  # its beginning was not seen, nor that of any bar which would be made of it
        yield interval, length, longer
        bar = longer


def _fold(longer: dict[str, Bar], interval: str, open_ts: int, part: Bar) -> Bar:
    bar = longer.get(interval)
    if bar is None:
        bar = longer[interval] = Bar(open_ts, part.open, part.high, part.low, part.close)
    elif part.trades and not bar.trades:
        bar.open, bar.high, bar.low = part.open, part.high, part.low
    bar.high = max(bar.high, part.high)
    bar.low = min(bar.low, part.low)
    bar.close = part.close
    bar.volume += part.volume
    bar.quote_volume += part.quote_volume
    bar.trades += part.trades
    bar.taker_buy_volume += part.taker_buy_volume
    if part.trades:
        bar.first_trade_id = part.first_trade_id if bar.first_trade_id < 0 else min(bar.first_trade_id, part.first_trade_id)
        bar.last_trade_id = max(bar.last_trade_id, part.last_trade_id)
    return bar


def _begin_anew(state: BarState) -> None:
    """Forget what is open before a silence that is too long to be filled; trades after it are the first ones."""
    state.resets += 1
    state.longer = {}
    if state.seconds:
        first = state.seconds[0]
        state.started_ts, state.closed_to = first.open_ts + 1, first.open_ts
    else:
        state.started_ts = -1
