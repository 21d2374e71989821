from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ml.artefacts import ArtefactStore
from ml.training.bars import Bars
from processors.learning.settings import LearningSettings
from processors.learning.trainer import Trainer
from schemas.common import TrainingPhase
from schemas.learning.records import ModelRetrain, ModelTraining
from tests.unit.ml.markets import START, momentum_bars
from tests.unit.ml.trained import artefact

END = START + 10_000 * 1_000_000
REQUEST = ModelRetrain(
    event_id="xgb:1:retrain",
    event_ts=END,
    ingest_ts=END,
    model="xgb",
    why="SCHEDULE",
    detail="50 new samples",
    samples=50,
    window_start_ts=START,
    window_end_ts=END,
)


class Memory:
    """Bars held in memory, given by the window that is asked for."""

    def __init__(self, bars: dict[str, Bars]) -> None:
        self._bars = bars

    def symbols(self, venue: str, interval: str, start: int, end: int) -> list[str]:
        assert (venue, interval) == ("binance-usdm", "1s")
        return [symbol for symbol in self._bars if len(self.bars(venue, symbol, interval, start, end))]

    def bars(self, venue: str, symbol: str, interval: str, start: int, end: int) -> Bars:
        assert (venue, interval) == ("binance-usdm", "1s")
        bars = self._bars[symbol]
        inside = (bars.open_ts >= start) & (bars.close_ts <= end)
        return Bars(*(getattr(bars, name)[inside] for name in Bars.__slots__))


def trainer(folder: Path, bars: dict[str, Bars], max_bars: int = 50_000) -> Trainer:
    return Trainer(Memory(bars), ArtefactStore(folder), LearningSettings(max_bars=max_bars), "binance-usdm", "1s", "abc")


def phases(records: list[ModelTraining]) -> list[TrainingPhase]:
    return [record.phase for record in records]


def test_a_request_ends_in_an_artefact(tmp_path: Path) -> None:
    bars = {"AAAUSDT": momentum_bars(6000, 1), "BBBUSDT": momentum_bars(6000, 2)}
    records = list(trainer(tmp_path, bars).run(REQUEST))
    assert phases(records) == [TrainingPhase.STARTED, TrainingPhase.COMPLETED]
    done = records[1]
    manifest = ArtefactStore(tmp_path).load("xgb", done.version or "", done.sha256).manifest
    assert (done.run_id, done.event_id, done.event_ts) == ("xgb:1:retrain", "xgb:1:retrain:completed", END)
    assert (done.metrics, done.samples, done.horizon_s) == (manifest.metrics, manifest.rows["train"], 30)
    assert (manifest.symbols, manifest.revision) == (["AAAUSDT", "BBBUSDT"], "abc")
    assert list(trainer(tmp_path, bars).run(REQUEST)) == records, "a request that comes twice is answered the same"


def test_a_challenger_predicts_what_its_champion_does_and_both_are_measured(tmp_path: Path) -> None:
    ArtefactStore(tmp_path).save(artefact())
    champion = artefact().manifest
    request = msgspec.structs.replace(REQUEST, champion_version=champion.version, champion_sha256=champion.sha256)
    done = list(trainer(tmp_path, {"AAAUSDT": momentum_bars(6000, 1)}).run(request))[-1]
    assert done.phase is TrainingPhase.COMPLETED
    assert {"log_loss", "champion_log_loss", "base_rate_log_loss"} <= set(done.metrics)
    manifest = ArtefactStore(tmp_path).manifest("xgb", done.version or "")
    assert (manifest.threshold, manifest.horizon_s) == (champion.threshold, champion.horizon_s)


def test_a_champion_that_is_gone_is_said(tmp_path: Path) -> None:
    request = msgspec.structs.replace(REQUEST, champion_version="gone", champion_sha256="0" * 64)
    done = list(trainer(tmp_path, {"AAAUSDT": momentum_bars(6000, 1)}).run(request))[-1]
    assert "the champion cannot be measured" in done.detail
    assert "champion_log_loss" not in done.metrics


@pytest.mark.parametrize("count", [0, 300])
def test_too_little_history_is_a_failed_run_with_its_reason(tmp_path: Path, count: int) -> None:
    bars = {"AAAUSDT": momentum_bars(count, 1)} if count else {}
    records = list(trainer(tmp_path, bars).run(REQUEST))
    assert phases(records) == [TrainingPhase.STARTED, TrainingPhase.FAILED]
    assert records[1].detail
    assert (records[1].version, records[1].metrics) == (None, {})
    assert ArtefactStore(tmp_path).list() == []


def test_a_window_longer_than_can_be_trained_on_loses_its_start(tmp_path: Path) -> None:
    request = msgspec.structs.replace(REQUEST, window_end_ts=START + 6000 * 1_000_000)
    done = list(trainer(tmp_path, {"AAAUSDT": momentum_bars(6000, 1)}, 4000).run(request))[-1]
    manifest = ArtefactStore(tmp_path).manifest("xgb", done.version or "")
    assert (manifest.window_start_ts, manifest.window_end_ts) == (START + 2000 * 1_000_000, request.window_end_ts)
