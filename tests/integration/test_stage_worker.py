"""A stage as a process on real servers: it works, shares its partitions, and sets aside what it cannot read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from connectors.kafka.config import client_config
from connectors.kafka.headers import header_map
from connectors.registry.client import Registry
from processors.components import publisher, read_all, read_from
from processors.contracts import apply_schemas, apply_tables, apply_topics, check_schemas, compare_topics
from processors.topology import TOPICS
from quantum.metrics import addresses
from quantum.settings import Settings
from schemas.codec import RecordCodec
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketTick

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def settings(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The platform's topics and subjects on the servers of the test run."""
    endpoints = stack.endpoints
    made = Settings(
        home=tmp_path_factory.mktemp("home"), kafka=endpoints.kafka, registry=endpoints.registry, clickhouse=endpoints.clickhouse
    )
    apply_topics(made)
    with Registry(made.registry) as registry:
        apply_schemas(registry)
        assert all(state.done for state in check_schemas(registry))
    assert compare_topics(made) == []
    apply_tables(made)
    assert apply_tables(made) == []
    return made


def start(settings: Settings, worker: str) -> subprocess.Popen[bytes]:
    """Start a worker of the market stage."""
    environment = {
        **os.environ,
        "QUANTUM_HOME": str(settings.home),
        "QUANTUM_KAFKA": settings.kafka,
        "QUANTUM_REGISTRY": settings.registry,
        "QUANTUM_CLICKHOUSE": settings.clickhouse,
    }
    command = [sys.executable, "-m", "quantum", "worker", "market", "--worker", worker]
    with (Path(settings.home) / f"market-{worker}.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stderr=log)


@pytest.fixture
def workers(settings: Settings) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two workers of the market stage, ended after the test."""
    started = [start(settings, "0"), start(settings, "1")]
    deadline = time.monotonic() + 60
    while not all("works on [(" in (Path(settings.home) / f"market-{worker}.log").read_text() for worker in "01"):
        assert time.monotonic() < deadline
        assert [process.poll() for process in started] == [None, None]
        time.sleep(0.1)
    yield started
    for process in started:
        process.send_signal(signal.SIGTERM)
    codes = [process.wait(timeout=20) for process in started]
    assert codes == [0, 0]


def frame(symbol: str, trade_id: int, payload: str | None = None) -> ExchangeFrame:
    at = 1_700_000_000_000 + trade_id
    text = payload or f'{{"e":"trade","E":{at},"T":{at},"s":"{symbol}","t":{trade_id},"p":"10.0","q":"1","X":"MARKET","m":false}}'
    return ExchangeFrame(
        event_id=f"{symbol}:{trade_id}", event_ts=at * 1000, ingest_ts=at * 1000, venue="binance-usdm", symbol=symbol, channel="trade",
        kind=FrameKind.STREAM, session="test", sequence=trade_id, payload=text,
    )  # fmt: skip


def ticks(settings: Settings) -> list[MarketTick]:
    return [record for _, record in read_all(settings, "market.tick") if isinstance(record, MarketTick)]


def letters(settings: Settings) -> list[Any]:
    return list(read_from(settings.kafka, {("exchange.raw.dlq", p): 0 for p in range(settings.partitions)}))


def taken(settings: Settings) -> dict[str, float]:
    """Return how many frames each worker has taken, by its own count."""
    found = {}
    for name, port in addresses(settings.folders.run):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            found[name] = sum(
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == "quantum_records_in_total" and sample.labels["topic"] == "exchange.raw"
            )
    return found


def test_good_frames_become_ticks_and_bad_ones_dead_letters(settings: Settings, workers: list[subprocess.Popen[bytes]]) -> None:
    symbols = [f"T{i}USDT" for i in range(12)]
    with publisher(settings, "feed") as out:
        for trade_id in range(1, 51):
            for symbol in symbols:
                out.send("exchange.raw", f"binance-usdm:{symbol}", frame(symbol, trade_id))
        out.send("exchange.raw", f"binance-usdm:{symbols[0]}", frame(symbols[0], 99, payload='{"t": "no trade"}'))
    with Registry(settings.registry) as ids:
        whole = RecordCodec("exchange.raw-value", ExchangeFrame, ids).encode(frame(symbols[1], 51))
    bad = [b"no avro at all", whole[:-3], b"\x00" + (999_999).to_bytes(4, "big") + whole[5:]]
    producer = Producer(client_config(settings.kafka))
    for value in bad:
        producer.produce("exchange.raw", value, key=f"binance-usdm:{symbols[1]}", headers={"traceparent": b"00-a-b-01"})
    producer.produce("exchange.raw", whole, key=f"binance-usdm:{symbols[1]}")
    assert producer.flush(10) == 0

    deadline = time.monotonic() + 90
    while (len(ticks(settings)) < 601 or len(letters(settings)) < 4) and time.monotonic() < deadline:
        assert all(process.poll() is None for process in workers)
        time.sleep(0.5)
    found = [(tick.symbol, tick.trade_id) for tick in ticks(settings)]
    assert sorted(found) == sorted([*((symbol, i) for symbol in symbols for i in range(1, 51)), (symbols[1], 51)])

    shares = taken(settings)
    assert shares.keys() == {"market-0", "market-1"}
    assert min(shares.values()) > 0, "one worker did all the work"
    assert sum(shares.values()) == 605

    dead = letters(settings)
    assert len(dead) == 4
    assert {message.value() for message in dead} >= set(bad)
    for message in dead:
        headers = {name.removeprefix("dlq."): value for name, value in header_map(message).items()}
        assert headers["topic"] == b"exchange.raw"
        assert headers["error"]
        assert TOPICS["exchange.raw"].dead_letters == message.topic()
