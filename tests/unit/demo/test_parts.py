from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from rich.console import Console

from quantum import metrics
from quantum.demo.observer import Seen
from quantum.demo.offsets import Progress
from quantum.demo.scrape import Scrape, quantile, scrape
from quantum.demo.source import parse_source, recording_of
from quantum.demo.view import Frame, StageLine, plain, render
from quantum.errors import ConfigurationError
from schemas.common import Direction, Regime
from schemas.positions.records import PortfolioSnapshot
from schemas.signals.records import SignalGenerated

INFINITE = float("inf")


@given(st.lists(st.floats(0, 99), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    bounds = [1.0, 5.0, 10.0, 50.0, 100.0, INFINITE]
    buckets = {bound: float(sum(value <= bound for value in values)) for bound in bounds}
    found = quantile(buckets, q)
    assert found is not None
    ordered = sorted(values)
    true = ordered[max(0, min(len(ordered) - 1, -int(-q * len(ordered) // 1) - 1))]
    upper = next(bound for bound in bounds if true <= bound)
    lower = max([0.0, *(bound for bound in bounds if bound < upper)])
    assert lower <= found <= upper


def test_no_observation_has_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, INFINITE: 0.0}, 0.5) is None
    assert quantile({1.0: 0.0, INFINITE: 3.0}, 0.99) == 1.0


def test_a_process_that_has_ended_is_left_out_of_the_scrape(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("quantum_stage_latency_seconds", "Latency.", ["stage"], registry=registry, buckets=(0.01, 0.1))
    for value in (0.005, 0.05, 0.05):
        histogram.labels("market").observe(value)
    metrics.serve(registry, tmp_path, "market-0")
    (tmp_path / "gone-0.metrics.json").write_text('{"process": "gone-0", "port": 1}')
    found = scrape(tmp_path)
    assert found.latency == {"market": {0.01: 1.0, 0.1: 3.0, INFINITE: 3.0}}


def test_latency_since_a_moment_and_after_a_restart() -> None:
    before = Scrape({"market": {1.0: 5.0, INFINITE: 6.0}}, {})
    assert Scrape({"market": {1.0: 7.0, INFINITE: 9.0}}, {}).since(before) == {"market": {1.0: 2.0, INFINITE: 3.0}}
    assert Scrape({"market": {1.0: 1.0, INFINITE: 1.0}}, {}).since(before) == {"market": {1.0: 1.0, INFINITE: 1.0}}


def test_lag_takes_one_marker_a_partition() -> None:
    progress = Progress({("a", 0): 11, ("a", 1): 5, ("b", 0): 0}, {"g": {("a", 0): 10}})
    assert progress.behind("g", ("a", 0)) == 1
    assert progress.lag("g", [("a", 0)]) == 0
    assert progress.lag("g", [("a", 0), ("a", 1), ("b", 0)]) == 4
    assert progress.reached("g", {("a", 0): 11, ("b", 0): 0})
    assert not progress.reached("g", {("a", 1): 5})


def test_sources(tmp_path: Path) -> None:
    assert parse_source("sim").folder is None
    assert parse_source(f"replay:{tmp_path}").folder == tmp_path
    recording = recording_of(parse_source(f"replay:{tmp_path}"), "2.5", "90s", "")
    assert recording is not None
    assert (recording.folder, recording.factor, recording.begin) == (tmp_path, 2.5, "90s")
    assert recording_of(parse_source("sim"), "10", "", "") is None
    with pytest.raises(ConfigurationError, match="no past to begin from"):
        recording_of(parse_source("sim"), "10", "", "1m")
    with pytest.raises(ConfigurationError, match="no folder"):
        parse_source(f"replay:{tmp_path / 'none'}")
    with pytest.raises(ConfigurationError, match="use sim or"):
        parse_source("binance")


def test_what_is_shown_names_stages_signals_and_equity() -> None:
    seen = Seen()
    seen.add(
        SignalGenerated(
            event_id="s", event_ts=1_700_000_000_000_000, ingest_ts=0, symbol="BTCUSDT", venue="binance-usdm", strategy="ensemble",
            direction=Direction.LONG, confidence=0.61, p_down=0.1, p_flat=0.29, p_up=0.61, horizon_s=20, members=[], quorum=1,
            features_id="f", regime=Regime.TREND_UP, price=1.0,
        )
    )  # fmt: skip
    for equity in ("10000", "10012.5"):
        seen.add(
            PortfolioSnapshot(
                event_id=equity, event_ts=0, ingest_ts=0, account="paper", equity=Decimal(equity), balance=Decimal(1), available=Decimal(1),
                unrealised_pnl=Decimal(0), realised_pnl=Decimal(0), fees=Decimal("1.25"), daily_pnl=Decimal(0), peak_equity=Decimal(1),
                drawdown=0.01, open_positions=2,
            )
        )  # fmt: skip
    stages = (StageLine("market", 120.0, 7, 3.5, 9.9, 0, True), StageLine("risk", 0.0, None, None, None, 2, False))
    frame = Frame(12.0, 90.0, "sim", stages, 2_500.0)
    out = io.StringIO()
    Console(file=out, width=170).print(render(frame, seen))
    for words in ("market", "BTCUSDT", "LONG", "TREND_UP", "10,012.50", "+12.50", "restarted 2x", "down"):
        assert words in out.getvalue(), words
    assert "equity 10,012.50" in plain(frame, seen)
    assert "most lag market 7" in plain(frame, seen)
