"""Feature records of generated bars, as the stage before makes them."""

from __future__ import annotations

import msgspec

from ml.features.regime import RegimeState
from processors.features import logic
from processors.features.rules import Rules
from schemas.features.records import Features
from schemas.market.records import MarketKline
from tests.unit.ml.markets import momentum_bars

VENUE = "binance-usdm"


def vectors(count: int, seed: int, *, symbol: str = "AAAUSDT", drift: float = 0.6) -> list[Features]:
    """Return the vectors at the close of every bar of 1 s."""
    rules = Rules(VENUE, "1s")
    state, regime, around = logic.BarState(), RegimeState(), logic.Around()
    records = []
    for row in momentum_bars(count, seed, drift=drift):
        bar = MarketKline(
            event_id=f"{symbol}:{row.open_ts}",
            event_ts=row.close_ts,
            ingest_ts=row.close_ts,
            venue=VENUE,
            symbol=symbol,
            interval="1s",
            trades=1,
            **msgspec.structs.asdict(row),
        )
        vector = next(iter(logic.on_kline(rules, state, regime, around, bar))).record
        assert isinstance(vector, Features)
        records.append(vector)
    return records
