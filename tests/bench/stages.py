"""The stages' pure logic: frames, bars and rows in one thread, without Kafka."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import msgspec

from connectors.exchange.venues import DEPTH_CHANNELS, USDM, Channel
from ml.features.regime import RegimeState
from ml.serving.scorer import Scorer
from processors.features import logic as features_logic
from processors.features.rules import Rules as FeatureRules
from processors.market.depth import DepthState, on_depth
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from processors.signals import logic as signals_logic
from processors.signals.state import ActiveModel, ActiveModels, LastRegime, SymbolState
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketKline
from tests.bench.figure import Figure, best_costs, best_rates, skipped
from tests.bench.forest import Forest, grown
from tests.bench.servers import Bench
from tests.bench.ticks import START, ticks
from tests.unit.market.frames import DATA, recorded
from tests.unit.ml.markets import momentum_bars
from tests.unit.signals.vectors import vectors

FRAMES = 20_000
RECORDED = 50_000
TRADED = (Channel.TRADE, Channel.QUOTE)
BARS = 5_000
ROWS = 2_000


def market(_bench: Bench) -> Iterator[Figure]:
    """Measure the market stage: frames of the venue to records."""
    rules = Rules()
    cases = {"generated trades": _trades(FRAMES), "generated quotes": _quotes(FRAMES)}
    for name, frames in cases.items():
        yield _market(f"market: {name}", rules, frames)
    files = sorted(DATA.glob("*/*.gz"))
    if not files:
        yield skipped("market: recorded frames", "frames/s", f"no recording in {DATA.name} of QUANTUM_DATA")
        return
    yield _market("market: recorded frames", rules, _recorded(files, TRADED), f"trades and quotes of {len(files)} files")
    frames = _recorded(files, DEPTH_CHANNELS)
    rates = best_rates(len(frames), {"own": lambda: _books(rules, frames), "json": lambda: [json.loads(frame.payload) for frame in frames]})
    note = f"diffs of {len(files)} files joined to their snapshots"
    yield Figure(
        name="market: recorded books",
        unit="frames/s",
        value=rates["own"],
        peers={"json.loads of the payload alone": rates["json"]},
        note=note,
    )


def _books(rules: Rules, frames: list[ExchangeFrame]) -> None:
    states: dict[tuple[str, str], DepthState] = {}
    for frame in frames:
        for _ in on_depth(rules, states.setdefault((frame.venue, frame.symbol), DepthState()), frame):
            pass


def _market(name: str, rules: Rules, frames: list[ExchangeFrame], note: str = "") -> Figure:
    def stage() -> None:
        states: dict[tuple[str, str], VenueState] = {}
        for frame in frames:
            key = frame.venue, frame.symbol
            state = states.get(key)
            if state is None:
                state = states[key] = VenueState()
            for _ in on_frame(rules, state, frame):
                pass

    rates = best_rates(len(frames), {"own": stage, "json": lambda: [json.loads(frame.payload) for frame in frames]})
    return Figure(name=name, unit="frames/s", value=rates["own"], peers={"json.loads of the payload alone": rates["json"]}, note=note)


def features(_bench: Bench) -> Iterator[Figure]:
    """Measure the features stage: bars to vectors and regimes."""
    rules = FeatureRules(USDM.name, "1s")
    bars = [
        MarketKline(
            event_id=f"{row.open_ts}", event_ts=row.close_ts, ingest_ts=row.close_ts, venue=USDM.name, symbol="BTCUSDT", interval="1s",
            trades=3, **msgspec.structs.asdict(row),
        )
        for row in momentum_bars(BARS, 3)
    ]  # fmt: skip

    def stage() -> None:
        state, regime, around = features_logic.BarState(), RegimeState(), features_logic.Around()
        for bar in bars:
            for _ in features_logic.on_kline(rules, state, regime, around, bar):
                pass

    yield Figure(name="features: on_kline", unit="us/bar", value=best_costs(BARS, {"own": stage})["own"], note="17 bar features, a regime")


def signals(_bench: Bench) -> Iterator[Figure]:
    """Measure scoring: the model alone beside XGBoost's own prediction, and the stage around it."""
    forest = grown()
    rows = [forest.rows[index : index + 1] for index in range(ROWS)]
    scorer = Scorer(forest.artefact)
    records = [record for record in vectors(ROWS, 31) if record.warm]
    values = [{name: getattr(record, name) for name in forest.artefact.manifest.features} for record in records]
    shape = f"{forest.trees} trees of depth {forest.depth}, {len(forest.artefact.manifest.features)} features, one row a call, one thread"

    costs = best_costs(
        ROWS,
        {
            "own": lambda: [scorer.score_rows(row) for row in rows],
            "xgboost": lambda: [forest.booster.inplace_predict(row) for row in rows],
        },
    )
    yield Figure(
        name="signals: model",
        unit="us/row",
        value=costs["own"],
        peers={"xgboost inplace_predict": costs["xgboost"]},
        note=f"ONNX Runtime; {shape}; equal answers to 1e-5",
    )
    mapped = best_costs(len(values), {"own": lambda: [scorer.score(each) for each in values]})["own"]
    yield Figure(
        name="signals: model from a vector", unit="us/row", value=mapped, note="with checks of the inputs and the copy to an array"
    )

    rules, active = _ensemble(forest)

    def stage() -> None:
        state, last = SymbolState(), LastRegime()
        for record in records:
            for _ in signals_logic.on_features(rules, lambda _model, _active: scorer, state, active, last, record):
                pass

    whole = best_costs(len(records), {"own": stage})["own"]
    yield Figure(name="signals: on_features", unit="us/row", value=whole, note="one model: score, drift, ensemble, two records")


def _ensemble(forest: Forest) -> tuple[signals_logic.Rules, ActiveModels]:
    manifest = forest.artefact.manifest
    rules = signals_logic.Rules(USDM.name, manifest.interval, (manifest.model,))
    return rules, ActiveModels({manifest.model: ActiveModel(manifest.version, manifest.sha256, 1)})


def _frame(channel: str, number: int, symbol: str, ts: int, payload: dict[str, object]) -> ExchangeFrame:
    return ExchangeFrame(
        event_id=f"{USDM.name}:{symbol}:bench:{number}", event_ts=ts, ingest_ts=ts, venue=USDM.name, symbol=symbol, channel=channel,
        kind=FrameKind.STREAM, session="bench", sequence=number, payload=json.dumps(payload, separators=(",", ":")),
    )  # fmt: skip


@cache
def _trades(count: int) -> list[ExchangeFrame]:
    return [
        _frame(
            "trade", tick.trade_id, tick.symbol, tick.event_ts,
            {
                "e": "trade", "E": tick.event_ts // 1000, "T": tick.event_ts // 1000, "s": tick.symbol, "t": tick.trade_id // 4,
                "p": f"{tick.price:.2f}", "q": f"{tick.quantity:.3f}", "X": "MARKET", "m": tick.side == "SELL",
            },
        )
        for tick in ticks(count)
    ]  # fmt: skip


@cache
def _quotes(count: int) -> list[ExchangeFrame]:
    return [
        _frame(
            "quote", tick.trade_id, tick.symbol, tick.event_ts,
            {
                "e": "bookTicker", "u": START // 1000 + tick.trade_id, "s": tick.symbol,
                "b": f"{tick.price:.2f}", "B": f"{tick.quantity:.3f}",
                "a": f"{tick.price + 0.1:.2f}", "A": f"{tick.quantity:.3f}", "T": tick.event_ts // 1000, "E": tick.event_ts // 1000,
            },
        )
        for tick in ticks(count)
    ]  # fmt: skip


def _recorded(files: list[Path], channels: Collection[str]) -> list[ExchangeFrame]:
    """Return the frames of some channels from the beginning of every file."""
    return [
        frame for file in files for frame in islice((each for each in recorded(file) if each.channel in channels), RECORDED // len(files))
    ]
