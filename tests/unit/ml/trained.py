"""One artefact that several tests look at, trained once a process."""

from __future__ import annotations

from functools import cache

from ml.artefacts import Artefact
from ml.training.train import Plan, train
from tests.unit.ml.markets import momentum_bars

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
PLAN = Plan("xgb", "1s", 30, revision="abc123")


@cache
def artefact() -> Artefact:
    """Return a model of 3 symbols and 7,200 bars of 1 s each."""
    return train({symbol: momentum_bars(7200, seed) for seed, symbol in enumerate(SYMBOLS)}, PLAN)
