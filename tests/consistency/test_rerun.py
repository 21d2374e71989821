"""A re-run over the recorded order gives the same tables and outputs; in another order it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING

from connectors.kafka.tapes import Tapes
from processors.components import read_from
from processors.runtime import App
from processors.runtime.epochs.order import Order, Run, order_topic, read_order
from processors.runtime.epochs.rerun import Rerun
from quantum.errors import ConfigurationError, StopError
from tests.consistency import broker
from tests.consistency.test_semantics import make, raw, running

pytestmark = pytest.mark.stack

PRICES, ORDERS = 400, 300
Sent = list[tuple[str, int, bytes, bytes]]
Rearrange = Callable[[list[Run]], list[Run]]


def build(prefix: str, bootstrap: str, fail_once: set[bytes]) -> App:
    """Return an application whose outputs depend on the order between its two topics: orders are filled at the last price."""
    app = make(prefix, bootstrap, order_log=True, max_retries=1)
    prices, orders, fills = (raw(app, f"{prefix}-{name}") for name in ("prices", "orders", "fills"))
    last = app.Table("last", default=int, key_type=str, key_serializer="raw", partitions=broker.PARTITIONS)

    @app.agent(prices)
    async def on_price(stream: Any) -> None:
        async for event in stream.events():
            last[event.key] = int(event.value)

    @app.agent(orders)
    async def on_order(stream: Any) -> None:
        async for event in stream.events():
            await fills.send(key=event.key, value=b"%s at %d" % (event.value, last[event.key]), partition=event.message.partition)
            if event.value == b"poison":
                raise ValueError("raised after the send")
            if event.value in fail_once:
                fail_once.remove(event.value)
                raise ValueError("raised once")

    return app


async def run_live(prefix: str, bootstrap: str) -> None:
    """Write both topics while a worker reads them, until all orders are filled."""
    broker.create_topics(bootstrap, *(f"{prefix}-{name}" for name in ("prices", "orders", "fills")))
    app = build(prefix, bootstrap, {b"50", b"150", b"250"})
    async with running(app):
        for part in range(10):
            at = range(part * ORDERS // 10, (part + 1) * ORDERS // 10)
            orders = [(f"k{i % 7}", b"poison" if i == 123 else b"%d" % i) for i in at]
            prices = [(f"k{i % 7}", b"%d" % i) for i in range(part * PRICES // 10, (part + 1) * PRICES // 10)]
            await asyncio.gather(
                asyncio.to_thread(broker.write, bootstrap, f"{prefix}-prices", prices),
                asyncio.to_thread(broker.write, bootstrap, f"{prefix}-orders", orders),
            )
        await asyncio.to_thread(broker.read, bootstrap, f"{prefix}-fills", until=ORDERS - 1)
        await asyncio.to_thread(broker.read, bootstrap, f"{prefix}-orders.dlq", until=1)
        await asyncio.to_thread(broker.read, bootstrap, f"{prefix}-app-last-changelog", until=7)


def orders_of(prefix: str, bootstrap: str, partition: int) -> list[Order]:
    log = order_topic(f"{prefix}-app")
    return [read_order(message.value() or b"") for message in read_from(bootstrap, {(log, partition): OFFSET_BEGINNING})]


async def run_again(
    prefix: str, bootstrap: str, rearrange: Rearrange = list, fail_once: set[bytes] | None = None
) -> tuple[Sent, dict[str, int], int]:
    """Return what a re-run sends, its table, and how many records it was given."""
    sent: Sent = []
    table: dict[str, int] = {}
    given = 0
    async with Rerun(build(prefix, bootstrap, fail_once or set())) as rerun:
        for partition in range(broker.PARTITIONS):
            rerun.begin(partition)
            with Tapes(bootstrap, rerun.topics, partition) as tapes:
                for order in orders_of(prefix, bootstrap, partition):
                    records = {run: tapes.take(run.topic, run.count) for run in order.runs}
                    for run in rearrange(order.runs):
                        assert records[run][0].offset() == run.offset
                        given += len(records[run])
                        await rerun.dispatch(run, records[run])
                    outputs, changed = rerun.commit()
                    sent += [(topic, at, key or b"", value or b"") for topic, at, key, value, _, _ in outputs]
                    table.update({(key or b"").decode(): int(data or b"") for _, _, key, data, _, _ in changed})
    return sent, table, given


@pytest.mark.campaign
async def test_a_rerun_in_the_recorded_order_gives_the_same(bootstrap: str, prefix: str) -> None:
    await run_live(prefix, bootstrap)
    filled = await asyncio.to_thread(broker.read, bootstrap, f"{prefix}-fills", until=ORDERS - 1)
    sent, table, given = await run_again(prefix, bootstrap)
    assert given == PRICES + ORDERS
    for partition in range(broker.PARTITIONS):
        assert [(row.key.encode(), row.value) for row in filled if row.partition == partition] == [
            (key, value) for _, at, key, value in sent if at == partition
        ]
    logged = await asyncio.to_thread(broker.read, bootstrap, f"{prefix}-app-last-changelog", until=7)
    assert table == {row.key: int(row.value) for row in logged}
    other, _, _ = await run_again(prefix, bootstrap, lambda runs: runs[::-1])
    assert sorted(other) != sorted(sent)
    orders = [order for partition in range(broker.PARTITIONS) for order in orders_of(prefix, bootstrap, partition)]
    dead = [run for order in orders for run in order.runs if run.dead]
    assert [(run.topic, run.count) for run in dead] == [(f"{prefix}-orders", 1)]
    with pytest.raises(StopError, match="raised once"):
        await run_again(prefix, bootstrap, fail_once={b"77"})


def test_an_application_that_was_started_cannot_be_run_again(bootstrap: str, prefix: str) -> None:
    app = build(prefix, bootstrap, set())
    assert app.engine is not None
    with pytest.raises(ConfigurationError, match="has been started"):
        Rerun(app)
