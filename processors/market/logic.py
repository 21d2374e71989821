"""Raw frames of a venue to trades, quotes, bars, funding and instruments; pure. Books are in `depth`.

Trades alone, and the connector's heartbeats, move the time of the bars: a quote that overtakes a trade on another connection
must not close the bar that the trade belongs to, nor may it while REST fills a gap.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors.exchange.dialects import dialect_of
from connectors.exchange.market_data import Dialect, Mark, OpenInterest, Trade
from connectors.exchange.payload import corrupt
from processors.market.bars import Bar, BarState, add_trade, advance
from processors.market.rules import Rules
from processors.market.trades import TimedTrades, TradeIds
from processors.output import Output
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketFunding, MarketInstrument, MarketKline, MarketQuote, MarketTick


class VenueState(msgspec.Struct):
    """What is remembered of one symbol at one venue.

    Attributes
    ----------
    ids : TradeIds
        Trades that have come, where their ids count up.
    timed : TimedTrades
        Trades that have come, where their ids do not.
    bars : BarState
        Open bars.
    update_id : int
        Newest update id of the book; -1 before the first.
    stale_quotes : int
        Quotes that were older than one before and were dropped.
    funding_ts : int
        Event time of the newest mark price that was written, microseconds.
    mark : Mark
        What is known of mark price and funding; a venue may send only what has changed.
    open_interest : OpenInterest or None
        The newest open interest.
    """

    ids: TradeIds = msgspec.field(default_factory=TradeIds)
    timed: TimedTrades = msgspec.field(default_factory=TimedTrades)
    bars: BarState = msgspec.field(default_factory=BarState)
    update_id: int = -1
    stale_quotes: int = 0
    funding_ts: int = 0
    mark: Mark = Mark(0)
    open_interest: OpenInterest | None = None


def on_frame(rules: Rules, state: VenueState, frame: ExchangeFrame) -> Iterable[Output]:
    """Take a frame; return the records that it makes.

    Raises
    ------
    CorruptRecordError
        The payload is not what the channel says, or its time is far after its receipt; the state is as before.
    """
    if frame.event_ts - frame.ingest_ts > rules.max_ahead_us:
        raise corrupt(frame, f"event time {frame.event_ts} is {(frame.event_ts - frame.ingest_ts) / 1e6:.0f} s after the receipt")
    if frame.channel == "heartbeat":
        return _closed(rules, state, frame, frame.event_ts)
    dialect = dialect_of(frame)
    match frame.channel:
        case "trade":
            return _on_trades(rules, state, frame, dialect)
        case "quote":
            return _on_quote(state, frame, dialect)
        case "mark":
            return _on_mark(rules, state, frame, dialect)
        case "open_interest":
            _note_open_interest(state, dialect.open_interest(frame))
            return ()
        case "instrument":
            return (Output("market.instrument", f"{frame.venue}:{frame.symbol}", _instrument(frame, dialect)),)
        case unknown:
            raise corrupt(frame, f"no channel is called {unknown}")


def _on_trades(rules: Rules, state: VenueState, frame: ExchangeFrame, dialect: Dialect) -> Iterable[Output]:
    """Write each trade once; one without a price or a quantity is in no bar."""
    trades = dialect.trades(frame)
    for trade in trades:
        if trade.ts - frame.ingest_ts > rules.max_ahead_us:
            raise corrupt(frame, f"trade {trade.id} happened {(trade.ts - frame.ingest_ts) / 1e6:.0f} s after its receipt")
    outputs: list[Output] = []
    for trade in trades:
        new = state.ids.take(trade.id, rules.gaps_kept) if dialect.counts_trades else state.timed.take(trade.id, trade.ts)
        if new:
            outputs.append(Output("market.tick", frame.symbol, _tick(frame, trade)))
            if trade.price > 0 and trade.quantity > 0:
                add_trade(state.bars, trade.id if dialect.counts_trades else -1, trade.ts, trade.price, trade.quantity, trade.side)
            outputs.extend(_closed(rules, state, frame, trade.ts - rules.grace_us))
    return outputs


def _tick(frame: ExchangeFrame, trade: Trade) -> MarketTick:
    return MarketTick(
        event_id=f"{frame.venue}:{frame.symbol}:t:{trade.id}", event_ts=trade.ts, ingest_ts=frame.ingest_ts, venue=frame.venue,
        symbol=frame.symbol, trade_id=trade.id, price=trade.price, quantity=trade.quantity, side=trade.side,
    )  # fmt: skip


def _on_quote(state: VenueState, frame: ExchangeFrame, dialect: Dialect) -> Iterable[Output]:
    quote = dialect.quote(frame)
    if quote is None:
        return ()
    if quote.update_id <= state.update_id:
        state.stale_quotes += 1
        return ()
    state.update_id = quote.update_id
    record = MarketQuote(
        event_id=f"{frame.venue}:{frame.symbol}:q:{quote.update_id}", event_ts=quote.ts or frame.event_ts,
        ingest_ts=frame.ingest_ts, venue=frame.venue, symbol=frame.symbol, update_id=quote.update_id,
        bid_price=quote.bid_price, bid_quantity=quote.bid_quantity, ask_price=quote.ask_price, ask_quantity=quote.ask_quantity,
    )  # fmt: skip
    return (Output("market.quote", frame.symbol, record),)


def _on_mark(rules: Rules, state: VenueState, frame: ExchangeFrame, dialect: Dialect) -> Iterable[Output]:
    """Write mark price, funding and the newest open interest once price and funding are known, where the last record is old enough."""
    mark = dialect.mark(frame)
    if mark.ts <= state.mark.ts:
        return ()
    _note_open_interest(state, mark.open_interest)
    known = state.mark = mark if mark.whole else _changed(state.mark, mark)
    price, index, rate, next_ts = known.mark_price, known.index_price, known.funding_rate, known.next_funding_ts
    if price is None or index is None or rate is None or next_ts is None or mark.ts - state.funding_ts < rules.funding_every_us:
        return ()
    state.funding_ts = mark.ts
    held = state.open_interest
    record = MarketFunding(
        event_id=f"{frame.venue}:{frame.symbol}:f:{mark.ts}", event_ts=mark.ts, ingest_ts=frame.ingest_ts, venue=frame.venue,
        symbol=frame.symbol, mark_price=price, index_price=index, funding_rate=rate, next_funding_ts=next_ts,
        open_interest=None if held is None else held.quantity, open_interest_ts=None if held is None else held.ts,
    )  # fmt: skip
    return (Output("market.funding", frame.symbol, record),)


def _note_open_interest(state: VenueState, said: OpenInterest | None) -> None:
    """Keep an open interest that is newer than the one known; the next record of mark price and funding says it."""
    if said is not None and (state.open_interest is None or said.ts >= state.open_interest.ts):
        state.open_interest = said


def _changed(known: Mark, change: Mark) -> Mark:
    """Return what is known after a change."""
    return Mark(
        change.ts,
        known.mark_price if change.mark_price is None else change.mark_price,
        known.index_price if change.index_price is None else change.index_price,
        known.funding_rate if change.funding_rate is None else change.funding_rate,
        known.next_funding_ts if change.next_funding_ts is None else change.next_funding_ts,
    )


def _instrument(frame: ExchangeFrame, dialect: Dialect) -> MarketInstrument:
    instrument = dialect.instrument(frame)
    return MarketInstrument(
        event_id=f"{frame.venue}:{frame.symbol}:i:{frame.event_ts}", event_ts=frame.event_ts, ingest_ts=frame.ingest_ts,
        venue=frame.venue, symbol=frame.symbol, base_asset=instrument.base_asset, quote_asset=instrument.quote_asset,
        rules=instrument.rules,
    )  # fmt: skip


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
        first_trade_id=bar.first_trade_id if bar.first_trade_id >= 0 else None,
        last_trade_id=bar.last_trade_id if bar.last_trade_id >= 0 else None,
    )  # fmt: skip
