"""The whole platform, as a newcomer runs it: the demo, a killed worker, an interrupted run, a recording."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from connectors.clickhouse.client import open_client
from connectors.kafka.config import client_config
from infra.local.stack import Stack
from processors.components import read_all
from processors.topology import STAGES
from quantum.home import Home
from schemas.market.records import MarketTick
from tests.consistency.pipeline import differences, kill, replay, settings_of, start_demo, worker_pid

pytestmark = [pytest.mark.stack, pytest.mark.timeout(420)]

RECORDED = Path(os.environ.get("QUANTUM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "binance_raw"
HEAD = 2_000
KILLED = ("features-0", "risk-0", "positions-0", "exits-0", "learning-0")
Trade = tuple[str, str, int]


def finish(process: subprocess.Popen[str], limit_s: float = 300) -> str:
    """Return what the demo printed; it must end by itself with 0."""
    output, _ = process.communicate(timeout=limit_s)
    assert process.returncode == 0, output
    return output


def until(done: Callable[[], Any], limit_s: float) -> Any:
    """Wait until something is true and return it."""
    deadline = time.monotonic() + limit_s
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose servers are ended after the test, whatever happened."""
    folder = tmp_path / "home"
    yield folder
    Stack(Home(folder)).down()
    left = [process for process in psutil.process_iter(["environ"]) if (process.info["environ"] or {}).get("QUANTUM_HOME") == str(folder)]
    assert not left, f"still running: {left}"


def test_frames_become_closed_trades_though_workers_are_killed_and_every_decision_can_be_taken_again(home: Path) -> None:
    summary_file = home.parent / "summary.json"
    process = start_demo(home, "--seconds", "60", "--keep-up", "--summary", str(summary_file))
    try:
        first = until(lambda: worker_pid(home, "features-0"), 120)
        time.sleep(20)
        for name in KILLED:
            assert kill(home, name)
            time.sleep(4)
        second = until(lambda: (pid := worker_pid(home, "features-0")) != first and pid, 20)
        assert psutil.pid_exists(second)
        output = finish(process)
    finally:
        process.kill()
    summary = json.loads(summary_file.read_text())
    assert "where to look next" in output
    assert summary["orders"] >= 2, summary
    assert summary["fills"] >= 2
    assert summary["closed_trades"] >= 1
    assert summary["dead_letters"] == {}
    assert summary["lag"] == dict.fromkeys(summary["lag"], 0)
    assert [error.split(":")[0] for error in summary["errors"]] == list(KILLED)
    records, rows = summary["records_per_topic"], summary["rows_per_table"]
    for topic in ("exchange.raw", "market.tick", "market.quote", "market.klines", "market.funding", "features", "signal.score"):
        assert records[topic] > 0, topic
    for topic in ("sizing.decided", "trade.intent", "order.command", "execution.result", "portfolio.position", "trade.closed", "rl.reward"):
        assert records[topic] > 0, topic
        assert rows[topic.replace(".", "_")] == records[topic], topic
    assert set(summary["latency_ms"]) >= {"market", "features", "signals", "governance", "risk", "execution", "positions", "journal"}
    books, wrong = differences(settings_of(home))
    assert (wrong, books.doubled, books.fills) == ([], 0, summary["fills"])
    verdicts = replay(home)
    assert [verdict["notes"] for verdict in verdicts] == [[]] * len(STAGES)
    assert all(verdict["records"] and verdict["keys"] and verdict["outputs"] for verdict in verdicts)
    twice, closed = settings_of(home), next(read_all(settings_of(home), "trade.closed"))[0]
    producer = Producer(client_config(twice.kafka))
    producer.produce("trade.closed", closed.value(), closed.key(), closed.partition() or 0, headers=closed.headers())
    producer.flush()
    assert [(verdict["stage"], verdict["surplus"], verdict["missing"]) for verdict in replay(home, "journal")] == [("journal", 1, 0)]


def test_an_interrupted_demo_ends_everything(home: Path) -> None:
    process = start_demo(home, "--seconds", "200")
    until(lambda: worker_pid(home, "journal-0"), 120)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert time.monotonic() - began < 30
    assert worker_pid(home, "journal-0") is None


def recording(folder: Path) -> Counter[Trade]:
    """Write a recording of made-up symbols, and the heads of the real files where they are; return its trades."""
    trades: Counter[Trade] = Counter()
    for venue, name, symbol, futures in (("binance-spot", "spot", "ABCUSDT", False), ("binance-usdm", "usdm", "ABCUSDT", True)):
        lines = []
        for i in range(600):
            at = 1_700_000_000_000 + i * 25
            data: dict[str, Any] = {"e": "trade", "E": at, "T": at, "s": symbol, "t": 900 + i, "p": f"{10 + i % 7 / 100:.2f}", "q": "1.5"}
            data |= {"X": "MARKET", "m": i % 3 == 0} if futures else {"m": i % 3 == 0, "M": True}
            lines.append(f"{at * 1_000_000} {json.dumps({'stream': f'{symbol.lower()}@trade', 'data': data}, separators=(',', ':'))}\n")
            trades[venue, symbol, 900 + i] += 1
        path = folder / name / f"{symbol.lower()}.txt"
        path.parent.mkdir(parents=True)
        path.write_text("".join(lines))
    for source in sorted(RECORDED.glob("*/*.gz")):
        venue = {"spot": "binance-spot", "usdm": "binance-usdm", "cm": "binance-coinm"}[source.parent.name]
        with gzip.open(source, "rt") as lines_of:
            head = list(itertools.islice(lines_of, HEAD))
        for line in head:
            frame = json.loads(line.split(" ", 1)[1])
            if frame.get("stream", "").endswith("@trade"):
                trades[venue, frame["data"]["s"], frame["data"]["t"]] += 1
        target = folder / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(target, "wt") as out:
            out.writelines(head)
    return trades


def test_every_trade_of_a_recording_is_once_on_the_topic_and_in_the_history(home: Path, tmp_path: Path) -> None:
    expected = recording(tmp_path / "recording")
    process = start_demo(
        home, "--source", f"replay:{tmp_path / 'recording'}", "--speed", "max", "--keep-up", "--summary", str(tmp_path / "s.json")
    )
    try:
        finish(process)
    finally:
        process.kill()
    settings = settings_of(home)
    on_topic = Counter(
        (record.venue, record.symbol, record.trade_id) for _, record in read_all(settings, "market.tick") if isinstance(record, MarketTick)
    )
    assert on_topic == expected
    client = open_client(settings.clickhouse)
    stored = client.query("SELECT venue, symbol, trade_id, count() FROM market_tick GROUP BY ALL").result_rows
    client.close()
    assert Counter({(row[0], row[1], row[2]): row[3] for row in stored}) == expected
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["records_per_topic"]["market.tick"] == sum(expected.values()) == summary["rows_per_table"]["market_tick"]
    assert summary["dead_letters"] == {}
