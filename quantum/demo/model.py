"""The demo's first model: trained on the venue's own history, stored, verified, and put into force."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from connectors.exchange.binance.rest import BinanceRest
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.binance.signing import Parameter
from connectors.exchange.venues import USDM
from ml.artefacts import ArtefactStore, Manifest
from ml.training.bars import INTERVALS_US, Bars, bars_from_trades
from ml.training.bootstrap import train_from_bars
from ml.training.train import Plan
from processors.components import publisher
from quantum.demo.workers import FLAT_SHARE, HORIZON_BARS, SYMBOLS, TRAINING_MINUTES
from quantum.errors import DependencyError
from quantum.revision import revision
from quantum.settings import Settings
from schemas.common import ModelRole
from schemas.learning.records import ModelActive

MODEL = "xgb"
PAGE = 1_000
SETTLED_MS = 2_000


class AggregateTrade(msgspec.Struct):
    """One row of ``aggTrades``: trades of one taker order at one price; times in milliseconds."""

    a: int
    p: str
    q: str
    T: int
    m: bool


async def history(rest: BinanceRest, symbol: str, minutes: int) -> list[AggregateTrade]:
    """Return a symbol's aggregate trades of the last minutes, oldest first.

    Parameters
    ----------
    rest
        Client of the venue.
    symbol
        Symbol.
    minutes
        How far back.
    """
    until = (rest.now_us() // 1_000 - SETTLED_MS) // 60_000 * 60_000  # whole minutes, so that no bar is cut
    since = until - minutes * 60_000
    parameters: dict[str, Parameter] = {"symbol": symbol, "startTime": since, "endTime": since + 60_000, "limit": PAGE}
    trades: list[AggregateTrade] = []
    page = await rest.get(rest.path("aggTrades"), list[AggregateTrade], parameters)
    while page and until > page[0].T:
        trades += [trade for trade in page if since <= trade.T < until]
        following: dict[str, Parameter] = {"symbol": symbol, "fromId": page[-1].a + 1, "limit": PAGE}
        page = await rest.get(rest.path("aggTrades"), list[AggregateTrade], following)
    return trades


def to_bars(trades: Sequence[AggregateTrade], interval: str) -> Bars:
    """Return the bars of some trades, oldest first."""
    return bars_from_trades(
        np.array([trade.T for trade in trades], dtype=np.int64) * 1_000,
        np.array([float(trade.p) for trade in trades]),
        np.array([float(trade.q) for trade in trades]),
        np.array([trade.m for trade in trades], dtype=np.bool_),
        INTERVALS_US[interval],
    )


async def _fetch(access: VenueSettings, symbols: Sequence[str], minutes: int, interval: str) -> dict[str, Bars]:
    async with BinanceRest(USDM, access) as rest:
        await rest.read_clock()
        found = {symbol: await history(rest, symbol, minutes) for symbol in symbols}
    missing = [symbol for symbol, trades in found.items() if not trades]
    if missing:
        remedy = "give the simulated venue more --history-minutes"
        raise DependencyError(f"the venue has no trades of {', '.join(missing)} in the last {minutes} minutes", remedy)
    return {symbol: to_bars(trades, interval) for symbol, trades in found.items()}


def train_first_model(settings: Settings, access: VenueSettings, tell: Callable[[str], None]) -> Manifest:
    """Train on the venue's history; put the model into force if it knows more than the base rate. Returns its manifest.

    Raises
    ------
    DependencyError
        The venue has no history.
    """
    interval = settings.feature_interval
    bars = asyncio.run(_fetch(access, SYMBOLS, TRAINING_MINUTES, interval))
    tell(f"training {MODEL} on {sum(len(each) for each in bars.values()):,} {interval} bars of {', '.join(SYMBOLS)}")
    plan = Plan(model=MODEL, interval=interval, horizon_bars=HORIZON_BARS, flat_share=FLAT_SHARE, threads=2, revision=revision())
    manifest = train_from_bars(bars, plan, ArtefactStore(settings.folders.models)).manifest
    metrics = manifest.metrics
    words = f"out-of-sample log loss {metrics['log_loss']:.4f}, base rate {metrics['base_rate_log_loss']:.4f}"
    if metrics["skill"] <= 0:
        tell(f"{MODEL} {manifest.version} knows no more than the base rate ({words}): it does not serve; another --seed may do better")
        return manifest
    now = time.time_ns() // 1_000
    record = ModelActive(
        event_id=f"{MODEL}:{manifest.version}:{now}:active", event_ts=now, ingest_ts=now, model=MODEL, version=manifest.version,
        sha256=manifest.sha256, role=ModelRole.CHAMPION, author="demo", reason=f"first model, trained on the venue's history: {words}",
        horizon_s=manifest.horizon_s,
    )  # fmt: skip
    with publisher(settings, "operator") as out:
        out.send("model.active", MODEL, record)
    tell(f"{MODEL} {manifest.version} serves: {words}")
    return manifest
