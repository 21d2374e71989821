"""The schema registry goes away: a stage works on, also a worker that starts meanwhile, and waits where it meets an unknown schema."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fastavro
import msgspec
import pytest
from confluent_kafka import Producer

from connectors.kafka.config import client_config
from infra.local import process
from infra.local.stack import Stack
from processors.components import publisher, read_all, read_from, registry
from processors.contracts import apply_schemas, apply_topics
from quantum.home import Home
from quantum.settings import Settings
from schemas.codec import MAGIC, schema_text
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketTick

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

_SYMBOLS = [f"R{i}USDT" for i in range(8)]
_PAUSE_S = 3.0


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Stack]:
    """Servers of this test alone, because it kills one."""
    made = Stack(Home(tmp_path / "servers"), ports={"kafka": 0, "registry": 0, "store": 0}, die_with_parent=True)
    made.up()
    yield made
    made.down()


@pytest.fixture
def settings(servers: Stack, tmp_path: Path) -> Settings:
    endpoints = servers.home.endpoints()
    assert endpoints is not None
    made = Settings(home=tmp_path / "home", kafka=endpoints.kafka, registry=endpoints.registry, clickhouse=endpoints.clickhouse)
    apply_topics(made)
    with registry(made) as ids:
        apply_schemas(ids)
    return made


@contextmanager
def market_worker(settings: Settings, log: Path, *, kill: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of the market stage for the time of a block, which it must outlive; then kill it, or end it as one does."""
    environment = {
        **os.environ,
        "QUANTUM_HOME": str(settings.home),
        "QUANTUM_KAFKA": settings.kafka,
        "QUANTUM_REGISTRY": settings.registry,
        "QUANTUM_CLICKHOUSE": settings.clickhouse,
    }
    with log.open("wb") as output:
        worker = subprocess.Popen([sys.executable, "-m", "quantum", "worker", "market"], env=environment, stderr=output)
    try:
        yield worker
        assert worker.poll() is None
        if not kill:
            worker.terminate()
            assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()


def frame(symbol: str, trade_id: int) -> ExchangeFrame:
    at = 1_700_000_000_000 + trade_id
    return ExchangeFrame(
        event_id=f"{symbol}:{trade_id}", event_ts=at * 1000, ingest_ts=at * 1000, venue="binance-usdm", symbol=symbol, channel="trade",
        kind=FrameKind.STREAM, session="test", sequence=trade_id,
        payload=f'{{"e":"trade","E":{at},"T":{at},"s":"{symbol}","t":{trade_id},"p":"10.0","q":"1","X":"MARKET","m":false}}',
    )  # fmt: skip


def newer_schema() -> str:
    schema = json.loads(schema_text(ExchangeFrame))
    schema["fields"].append({"name": "hops", "type": "int", "default": 0, "doc": "Relays that the frame passed."})
    return json.dumps(schema)


def written_by(schema: str, schema_id: int, record: ExchangeFrame) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(json.loads(schema)), {**msgspec.to_builtins(record), "hops": 2})
    return MAGIC + schema_id.to_bytes(4, "big") + buffer.getvalue()


def ticks(settings: Settings) -> list[tuple[str, int]]:
    return [(record.symbol, record.trade_id) for _, record in read_all(settings, "market.tick") if isinstance(record, MarketTick)]


def wait_for(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_a_stage_goes_on_starts_and_waits_while_the_registry_is_away(servers: Stack, settings: Settings, tmp_path: Path) -> None:
    newer = newer_schema()
    with registry(settings) as ids:
        newer_id = ids.register("exchange.raw-value", newer)
    for path in (settings.folders.schemas).rglob("*.json"):  # what this process has kept is not what the worker has learnt
        path.unlink()

    expected: list[tuple[str, int]] = []
    with publisher(settings, "feed") as out:

        def feed(first: int) -> None:
            for trade_id in range(first, first + 25):
                for symbol in _SYMBOLS:
                    out.send("exchange.raw", f"binance-usdm:{symbol}", frame(symbol, trade_id))
                    expected.append((symbol, trade_id))
            out.flush()

        def all_are_there() -> bool:
            return len(ticks(settings)) >= len(expected)

        with market_worker(settings, tmp_path / "first.log", kill=True):
            feed(1)
            wait_for(all_are_there)
            record = process.record_of(servers.home, "registry")
            assert record is not None
            running = process.find(servers.home, record)
            assert running is not None
            running.kill()
            running.wait(10)
            feed(26)
            wait_for(all_are_there)

        with market_worker(settings, tmp_path / "second.log"):
            feed(51)
            wait_for(all_are_there)

            producer = Producer(client_config(settings.kafka))
            unknown = written_by(newer, newer_id, frame(_SYMBOLS[0], 76))
            producer.produce("exchange.raw", unknown, key=f"binance-usdm:{_SYMBOLS[0]}", partition=0)
            assert producer.flush(10) == 0
            time.sleep(_PAUSE_S)
            assert len(ticks(settings)) == len(expected)
            log = (tmp_path / "second.log").read_text()
            assert f"schema id {newer_id} is not known here" in log
            assert settings.registry in log
            assert "quantum up" in log

            servers.up()
            expected.append((_SYMBOLS[0], 76))
            feed(77)
            wait_for(all_are_there)
    assert sorted(ticks(settings)) == sorted(expected)
    assert list(read_from(settings.kafka, {("exchange.raw.dlq", partition): 0 for partition in range(settings.partitions)})) == []
