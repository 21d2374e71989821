"""Raw frames of a venue to trades, quotes, bars, funding and instruments; pure.

Trades alone, and the connector's heartbeats, move the time of the bars: a quote that overtakes a trade on another connection
must not close the bar that the trade belongs to, nor may it while REST fills a gap.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from processors.market.bars import Bar, BarState, add_trade, advance
from processors.market.instruments import instrument_of
from processors.market.payloads import MILLISECOND, corrupt, mark_of, quote_of, taker_side, trade_of
from processors.market.rules import Rules
from processors.market.trades import TradeIds
from processors.output import Output
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketFunding, MarketKline, MarketQuote, MarketTick


class VenueState(msgspec.Struct):
    """What is remembered of one symbol at one venue.

    Attributes
    ----------
    ids : TradeIds
        Trades that have come.
    bars : BarState
        Open bars.
    update_id : int
        Newest update id of the book; -1 before the first.
    stale_quotes : int
        Quotes that were older than one before and were dropped.
    funding_ts : int
        Event time of the newest mark price, microseconds.
    """

    ids: TradeIds = msgspec.field(default_factory=TradeIds)
    bars: BarState = msgspec.field(default_factory=BarState)
    update_id: int = -1
    stale_quotes: int = 0
    funding_ts: int = 0


def on_frame(rules: Rules, state: VenueState, frame: ExchangeFrame) -> Iterable[Output]:
    """Take a frame; return the records that it makes.

    Raises
    ------
    CorruptRecordError
        The payload is not what the channel says, or its time is far after its receipt; the state is as before.
    """
    if frame.event_ts - frame.ingest_ts > rules.max_ahead_us:
        raise corrupt(frame, f"event time {frame.event_ts} is {(frame.event_ts - frame.ingest_ts) / 1e6:.0f} s after the receipt")
    match frame.channel:
        case "trade":
            return _on_trade(rules, state, frame)
        case "quote":
            return _on_quote(state, frame)
        case "heartbeat":
            return _closed(rules, state, frame, frame.event_ts)
        case "mark":
            return _on_mark(state, frame)
        case "instrument":
            return (Output("market.instrument", f"{frame.venue}:{frame.symbol}", instrument_of(frame)),)
        case "depth" | "depth_snapshot":
            return ()
        case unknown:
            raise corrupt(frame, f"no channel is called {unknown}")


def _on_trade(rules: Rules, state: VenueState, frame: ExchangeFrame) -> Iterable[Output]:
    """Write the trade once; one without a price or a quantity is in no bar."""
    trade = trade_of(frame)
    ts = trade.time_ms * MILLISECOND
    if ts - frame.ingest_ts > rules.max_ahead_us:
        raise corrupt(frame, f"trade {trade.id} happened {(ts - frame.ingest_ts) / 1e6:.0f} s after its receipt")
    if not state.ids.take(trade.id, rules.gaps_kept):
        return ()
    side = taker_side(trade)
    tick = MarketTick(
        event_id=f"{frame.venue}:{frame.symbol}:t:{trade.id}", event_ts=ts, ingest_ts=frame.ingest_ts, venue=frame.venue,
        symbol=frame.symbol, trade_id=trade.id, price=trade.price, quantity=trade.quantity, side=side,
    )  # fmt: skip
    outputs = [Output("market.tick", frame.symbol, tick)]
    if trade.price > 0 and trade.quantity > 0:
        add_trade(state.bars, trade.id, ts, trade.price, trade.quantity, side)
    outputs.extend(_closed(rules, state, frame, ts - rules.grace_us))
    return outputs


def _on_quote(state: VenueState, frame: ExchangeFrame) -> Iterable[Output]:
    quote = quote_of(frame)
    if quote.update_id <= state.update_id:
        state.stale_quotes += 1
        return ()
    state.update_id = quote.update_id
    record = MarketQuote(
        event_id=f"{frame.venue}:{frame.symbol}:q:{quote.update_id}",
        event_ts=(quote.time_ms or quote.sent_ms) * MILLISECOND or frame.event_ts,
        ingest_ts=frame.ingest_ts, venue=frame.venue, symbol=frame.symbol, update_id=quote.update_id,
        bid_price=quote.bid_price, bid_quantity=quote.bid_quantity, ask_price=quote.ask_price, ask_quantity=quote.ask_quantity,
    )  # fmt: skip
    return (Output("market.quote", frame.symbol, record),)


def _on_mark(state: VenueState, frame: ExchangeFrame) -> Iterable[Output]:
    mark = mark_of(frame)
    ts = mark.time_ms * MILLISECOND
    if ts <= state.funding_ts:
        return ()
    state.funding_ts = ts
    record = MarketFunding(
        event_id=f"{frame.venue}:{frame.symbol}:f:{ts}", event_ts=ts, ingest_ts=frame.ingest_ts, venue=frame.venue, symbol=frame.symbol,
        mark_price=mark.mark_price, index_price=mark.index_price, funding_rate=mark.funding_rate,
        next_funding_ts=mark.next_funding_ms * MILLISECOND,
    )  # fmt: skip
    return (Output("market.funding", frame.symbol, record),)


def _closed(rules: Rules, state: VenueState, frame: ExchangeFrame, watermark: int) -> Iterable[Output]:
    """Return the bars that end at the watermark or before it."""
    bars = state.bars
    if watermark < bars.closed_to + 1_000_000:
        bars.watermark = max(bars.watermark, watermark)
        return ()
    return [
        Output("market.klines", frame.symbol, _kline(frame, interval, length, bar))
        for interval, length, bar in advance(bars, watermark, rules)
    ]


def _kline(frame: ExchangeFrame, interval: str, length: int, bar: Bar) -> MarketKline:
    close_ts = bar.open_ts + length
    return MarketKline(
        event_id=f"{frame.venue}:{frame.symbol}:{interval}:{bar.open_ts}", event_ts=close_ts, ingest_ts=frame.ingest_ts,
        venue=frame.venue, symbol=frame.symbol, interval=interval, open_ts=bar.open_ts, close_ts=close_ts,
        open=bar.open, high=bar.high, low=bar.low, close=bar.close, volume=bar.volume, quote_volume=bar.quote_volume,
        trades=bar.trades, taker_buy_volume=bar.taker_buy_volume,
        first_trade_id=bar.first_trade_id if bar.trades else None, last_trade_id=bar.last_trade_id if bar.trades else None,
    )  # fmt: skip
