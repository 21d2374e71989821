"""Training from a real history store: bars written to its table come back whole, and a request ends in an artefact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from connectors.clickhouse import migrate
from connectors.clickhouse.client import open_client
from ml.artefacts import ArtefactStore
from ml.training.bars import Bars
from processors.learning.history import HistoryBars
from processors.learning.settings import LearningSettings
from processors.learning.trainer import Trainer
from schemas.common import TrainingPhase
from schemas.learning.records import ModelRetrain
from tests.conftest import RunningStack
from tests.unit.ml.markets import START, momentum_bars

pytestmark = pytest.mark.stack

VENUE = f"venue-{uuid4().hex[:8]}"  # the store is shared with other tests
BARS = {"AAAUSDT": momentum_bars(4000, 1), "BBBUSDT": momentum_bars(4000, 2)}
END = START + 4000 * 1_000_000
COLUMNS = (
    "event_id", "event_ts", "ingest_ts", "venue", "symbol", "interval", "open_ts", "close_ts", "open", "high", "low", "close", "volume",
    "quote_volume", "trades", "taker_buy_volume", "_partition", "_offset", "_timestamp",
)  # fmt: skip

ACTIVE_COLUMNS = (
    "event_id", "event_ts", "ingest_ts", "model", "version", "sha256", "role", "author", "reason", "_partition", "_offset", "_timestamp",
)  # fmt: skip


def when(ts: int) -> datetime:
    return datetime.fromtimestamp(ts / 1e6, UTC)


def rows(symbol: str, bars: Bars, interval: str) -> list[list[Any]]:
    written_at = datetime.now(UTC)  # the table keeps a record for thirty days after it was written
    return [
        [
            f"{symbol}:{interval}:{bar.open_ts}",
            when(bar.close_ts),
            when(bar.close_ts),
            VENUE,
            symbol,
            interval,
            when(bar.open_ts),
            when(bar.close_ts),
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            bar.quote_volume,
            1,
            bar.taker_buy_volume,
            0,
            offset,
            written_at,
        ]
        for offset, bar in enumerate(bars)
    ]


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Iterator[Any]:
    opened = open_client(stack.endpoints.clickhouse, database="default")
    migrate.apply(opened)
    for symbol, bars in BARS.items():
        written = rows(symbol, bars, "1s")
        opened.insert("quantum.market_klines", written, list(COLUMNS))
        opened.insert("quantum.market_klines", written[100:110], list(COLUMNS))  # a second run of the feed wrote these again
    opened.insert("quantum.market_klines", rows("AAAUSDT", momentum_bars(10, 3, interval_us=60_000_000), "1m"), list(COLUMNS))
    yield opened
    opened.close()


def test_bars_come_back_as_they_were_written(client: Any) -> None:
    history = HistoryBars(client)
    assert history.symbols(VENUE, "1s", START, END) == ["AAAUSDT", "BBBUSDT"]
    assert history.newest(VENUE, "1s") == END
    for symbol, bars in BARS.items():
        read = history.bars(VENUE, symbol, "1s", START, END)
        for name in Bars.__slots__:
            np.testing.assert_array_equal(getattr(read, name), getattr(bars, name), err_msg=name)


def test_a_window_holds_whole_bars_only_and_may_be_empty(client: Any) -> None:
    history = HistoryBars(client)
    part = history.bars(VENUE, "AAAUSDT", "1s", START + 500_000, START + 10_500_000)
    assert (int(part.open_ts[0]), int(part.close_ts[-1]), len(part)) == (START + 1_000_000, START + 10_000_000, 9)
    assert len(history.bars(VENUE, "AAAUSDT", "1s", 0, 1_000_000)) == 0
    assert history.symbols("bybit", "1s", START, END) == []
    assert history.newest("bybit", "1s") is None


def test_a_request_is_trained_from_the_store(client: Any, tmp_path: Path) -> None:
    request = ModelRetrain(
        event_id="r",
        event_ts=END,
        ingest_ts=END,
        model="xgb",
        why="MANUAL",
        detail="test",
        samples=0,
        window_start_ts=START,
        window_end_ts=END,
    )
    store = ArtefactStore(tmp_path)
    records = list(Trainer(HistoryBars(client), store, LearningSettings(), VENUE, "1s", "abc").run(request))
    assert [record.phase for record in records] == [TrainingPhase.STARTED, TrainingPhase.COMPLETED]
    manifest = store.manifest("xgb", records[-1].version or "")
    assert manifest.symbols == ["AAAUSDT", "BBBUSDT"]
    assert manifest.metrics["log_loss"] < manifest.metrics["base_rate_log_loss"]


def test_models_are_trained_put_into_force_and_rolled_back_by_command(
    client: Any, stack: RunningStack, tmp_path: Path, unique: str
) -> None:
    def quantum(*arguments: str, succeeds: bool = True) -> str:
        command = [sys.executable, "-c", "from quantum.cli import main; main()", *arguments]
        done = subprocess.run(command, env=environment(stack, tmp_path), capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == succeeds, done.stderr
        return done.stdout if succeeds else done.stderr

    quantum("topics", "apply")
    quantum("schemas", "apply")
    versions: list[str] = []
    for horizon in ("30", "20"):
        said = quantum("models", "train", unique, "--hours", "2", "--horizon-bars", horizon, "--activate")
        versions.append(next(line.split()[1] for line in said.splitlines() if " serves: " in line))
        client.insert("quantum.model_active", [in_force(unique, versions)], list(ACTIVE_COLUMNS))  # as the sink does
    assert serving(quantum("models", "list", unique, "--json")) == {versions[0]: False, versions[1]: True}
    manifest = ArtefactStore(tmp_path / "models").manifest(unique, versions[0])
    assert json.loads(quantum("models", "show", unique, versions[0]))["sha256"] == manifest.sha256
    assert (manifest.horizon_s, manifest.revision) == (30, "abc")

    said = quantum("models", "rollback", unique, "--reason", "worse than before")
    assert said.strip() == f"{unique} {versions[0]} serves: worse than before: back from {versions[1]}"
    assert serving(quantum("models", "list", unique, "--json")) == {versions[0]: True, versions[1]: False}
    assert "there is none to go back to" in quantum("models", "rollback", f"{unique}-none", succeeds=False)
    assert "cannot be read" in quantum("models", "activate", unique, "none", succeeds=False)


def in_force(model: str, versions: list[str]) -> list[Any]:
    count = len(versions)
    return [
        f"{model}:{count}",
        when(END + count),
        when(END + count),
        model,
        versions[-1],
        "",
        "CHAMPION",
        "operator",
        "",
        0,
        count,
        datetime.now(UTC),
    ]


def serving(listed: str) -> dict[str, bool]:
    return {item["version"]: item["serves"] for item in json.loads(listed)}


def environment(stack: RunningStack, folder: Path) -> dict[str, str]:
    """Point a command at the test's servers, with a home of its own."""
    return {
        **os.environ,
        "QUANTUM_HOME": str(folder),
        "QUANTUM_KAFKA": stack.endpoints.kafka,
        "QUANTUM_REGISTRY": stack.endpoints.registry,
        "QUANTUM_CLICKHOUSE": stack.endpoints.clickhouse,
        "QUANTUM_VENUE": VENUE,
        "QUANTUM_FEATURE_INTERVAL": "1s",
        "QUANTUM_REVISION": "abc",
    }
