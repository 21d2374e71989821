"""Trades to running bars: Avro records in and out through the platform's codec, a table of Faust's Records between them.

``python -m tests.bench.avro_app`` with PREFIX, BOOTSTRAP, REGISTRY and STATE in the environment; AGENT is ``event`` or ``batch``.
For every ``market.tick`` of ``<PREFIX>-in`` the bar of its symbol so far goes to ``<PREFIX>-out`` as ``market.klines`` has it.
"""

from __future__ import annotations

import os
from typing import Any

import faust
from prometheus_client import CollectorRegistry

from connectors.registry.client import Registry
from processors.runtime import App, run
from processors.wiring import AvroCodec
from schemas.codec import RecordCodec, SchemaIds
from schemas.common import Side
from schemas.market.records import MarketKline, MarketTick
from tests.bench.ticks import START

INTERVAL = "1h"
INTERVAL_US = 3_600_000_000
BATCH = 1_000


class Running(faust.Record, serializer="json"):
    """What a symbol has traded so far."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_buy_volume: float
    first_trade_id: int


def begin(tick: MarketTick) -> Running:
    """Return the state before a symbol's first trade."""
    price = tick.price
    return Running(price, price, price, price, 0.0, 0.0, 0, 0.0, tick.trade_id)


def advance(state: Running, tick: MarketTick) -> MarketKline:
    """Take a trade into the state; return the bar so far."""
    price, quantity = tick.price, tick.quantity
    state.high, state.low, state.close = max(state.high, price), min(state.low, price), price
    state.volume += quantity
    state.quote_volume += price * quantity
    state.trades += 1
    if tick.side is Side.BUY:
        state.taker_buy_volume += quantity
    return MarketKline(
        event_id=f"{tick.event_id}:bar", event_ts=tick.event_ts, ingest_ts=tick.ingest_ts, venue=tick.venue, symbol=tick.symbol,
        interval=INTERVAL, open_ts=START, close_ts=START + INTERVAL_US, open=state.open, high=state.high, low=state.low,
        close=state.close, volume=state.volume, quote_volume=state.quote_volume, trades=state.trades,
        taker_buy_volume=state.taker_buy_volume, first_trade_id=state.first_trade_id, last_trade_id=tick.trade_id,
    )  # fmt: skip


def create_app(prefix: str, bootstrap: str, ids: SchemaIds, agent: str, **options: Any) -> App:
    """Return the application.

    Parameters
    ----------
    prefix
        Beginning of the names of topics, subjects and group.
    bootstrap
        Kafka's bootstrap servers.
    ids
        The registry, which has both schemas under ``<prefix>-in-value`` and ``<prefix>-out-value``.
    agent
        ``event`` or ``batch``.
    options
        Further ones of the application.
    """
    app = App(f"{prefix}-app", broker=f"kafka://{bootstrap}", metrics=CollectorRegistry(), **options)
    ticks = AvroCodec(RecordCodec(f"{prefix}-in-value", MarketTick, ids))
    bars = AvroCodec(RecordCodec(f"{prefix}-out-value", MarketKline, ids))
    source = app.topic(f"{prefix}-in", key_type=str, key_serializer="raw", value_serializer=ticks, partitions=4)
    sink: Any = app.topic(f"{prefix}-out", key_type=str, key_serializer="raw", value_serializer=bars, partitions=4)
    table = app.Table("running", key_type=str, key_serializer="raw", value_type=Running, partitions=4)

    async def by_event(stream: Any) -> None:
        async for event in stream.events():
            tick = event.value
            state = table.get(tick.symbol) or begin(tick)
            bar = advance(state, tick)
            table[tick.symbol] = state
            await sink.send(key=tick.symbol, value=bar)

    async def by_batch(stream: Any) -> None:
        async for ticks in stream.take(BATCH):
            symbols = list(dict.fromkeys(tick.symbol for tick in ticks))
            states = {symbol: table.get(symbol) for symbol in symbols}
            outputs = []
            for tick in ticks:
                state = states[tick.symbol] = states[tick.symbol] or begin(tick)
                outputs.append((tick.symbol, advance(state, tick)))
            table.put_many(states)
            await sink.send_many(outputs)

    app.agent(source, name="bars")({"event": by_event, "batch": by_batch}[agent])
    return app


if __name__ == "__main__":
    environment = os.environ
    run(
        create_app(
            environment["PREFIX"], environment["BOOTSTRAP"], Registry(environment["REGISTRY"]), environment["AGENT"],
            worker="0", datadir=environment["STATE"],
        )
    )  # fmt: skip
