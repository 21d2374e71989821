"""A forest of the size that the platform trains at most, as XGBoost has it and as the platform serves it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.artefacts import Artefact, sha256_of
from ml.features import BAR_FEATURES
from ml.serving.scorer import Scorer
from ml.training.dataset import CLASSES, build, labels
from ml.training.export import to_onnx
from ml.training.train import PARITY, Learner
from tests.unit.ml.markets import momentum_bars
from tests.unit.ml.trained import artefact


@dataclass(frozen=True, slots=True)
class Forest:
    """A forest twice.

    Attributes
    ----------
    booster
        XGBoost's, for one thread.
    artefact
        The same as the platform's artefact.
    rows
        Rows to score, shape (rows, features).
    trees, depth
        Its size.
    """

    booster: xgboost.Booster
    artefact: Artefact
    rows: NDArray[np.float32]
    trees: int
    depth: int


def grown() -> Forest:
    """Return a forest of as many rounds as a training run may take, without stopping early."""
    manifest = artefact().manifest
    learner = Learner()
    data = build({"AAAUSDT": momentum_bars(6000, 11)}, 30, 1_000_000)
    rows = data.features[:, [BAR_FEATURES.index(name) for name in manifest.features]].astype(np.float32)
    parameters = {
        "objective": "multi:softprob", "num_class": len(CLASSES), "tree_method": "hist", "max_depth": learner.max_depth, "eta": learner.eta,
        "seed": 7, "nthread": 1, "verbosity": 0,
    }  # fmt: skip
    learnt = xgboost.DMatrix(rows, labels(data.returns, manifest.threshold), nthread=1)
    booster = xgboost.train(parameters, learnt, learner.rounds)
    model = to_onnx(booster, manifest.features, len(CLASSES), 1.0)
    served = Artefact(msgspec.structs.replace(manifest, sha256=sha256_of(model)), model)
    difference = float(np.abs(Scorer(served).score_rows(rows) - booster.inplace_predict(rows)).max())
    if not difference <= PARITY:
        raise AssertionError(f"the two forests differ by {difference:.2e}")
    return Forest(booster, served, rows, learner.rounds * len(CLASSES), learner.max_depth)
