"""One training run: pure, from bars to an artefact that has been measured and proved equal to what was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.artefacts import Artefact, Calibration, Manifest, sha256_of
from ml.drift.psi import BINS, DriftState, Profile, profile
from ml.features import BAR_FEATURES, DAY_FEATURES, WEEK_FEATURES
from ml.serving.scorer import Scorer
from ml.training.bars import INTERVALS_US, Bars, Floats, Ints
from ml.training.calibration import fit_temperature, softmax
from ml.training.dataset import CLASSES, Dataset, Split, build, labels, model_features, split
from ml.training.export import to_onnx
from ml.training.measure import base_rates, log_loss, measure
from quantum.errors import RetryError, StopError

OUTPUTS = tuple(f"p_{name}" for name in CLASSES)
PARITY = 1e-5
_LEAST_ROWS = 200
_LEAST_DRIFT_LIMIT = 0.25  # the customary mark of a population that has shifted


@dataclass(frozen=True, slots=True)
class Learner:
    """Parameters of the boosted forest."""

    max_depth: int = 4
    eta: float = 0.08
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    min_child_weight: float = 20.0
    reg_lambda: float = 2.0
    rounds: int = 300
    patience: int = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train.

    Attributes
    ----------
    model
        Name of the model.
    interval
        Bar that features are computed on.
    horizon_bars
        Horizon, bars.
    threshold
        Log return beyond which the price fell or rose; None chooses the ``flat_share`` quantile of its size in the training slice.
    flat_share
        Share of the training rows that a chosen threshold makes flat.
    train, calibration
        Shares of the window; the rest tests.
    features
        Inputs; empty chooses those that the window can support.
    drift_block
        Rows that one measurement of drift is taken over.
    learner
        Parameters of the forest.
    seed
        Seed of its sampling.
    threads
        Threads that train; on a busy machine two are many times slower than one, because they wait for each other by spinning.
    revision
        Git revision of this code.
    """

    model: str
    interval: str
    horizon_bars: int
    threshold: float | None = None
    flat_share: float = 0.4
    train: float = 0.6
    calibration: float = 0.2
    features: tuple[str, ...] = ()
    drift_block: int = 500
    learner: Learner = field(default_factory=Learner)
    seed: int = 7
    threads: int = 1
    revision: str = "unknown"

    @property
    def interval_us(self) -> int:
        """Length of a bar, microseconds."""
        return INTERVALS_US[self.interval]

    @property
    def horizon_us(self) -> int:
        """Horizon, microseconds."""
        return self.horizon_bars * self.interval_us


def train(bars_by_symbol: Mapping[str, Bars], plan: Plan, champion: Artefact | None = None) -> Artefact:
    """Return a trained, calibrated and measured model.

    Parameters
    ----------
    bars_by_symbol
        Bars of each symbol.
    plan
        What to train.
    champion
        The model in force; where its horizon and threshold are the new one's, it is measured on the same test slice and
        its loss is among the metrics as ``champion_log_loss``.

    Raises
    ------
    RetryError
        The history is too short; more of it will help.
    StopError
        The exported model does not answer as the trained one does.
    """
    data = _dataset(bars_by_symbol, plan)
    parts = split(data.times, plan.horizon_us, plan.train, plan.calibration)
    rows = {"train": int(parts.train.sum()), "calibration": int(parts.calibration.sum()), "test": int(parts.test.sum())}
    if min(rows.values()) < _LEAST_ROWS:
        raise RetryError(f"{plan.model}: {rows} rows, {_LEAST_ROWS} are needed of each", "train on a longer window")
    start_ts = min(int(bars.open_ts[0]) for bars in bars_by_symbol.values())
    end_ts = max(int(bars.close_ts[-1]) for bars in bars_by_symbol.values())
    features = list(plan.features) or model_features(start_ts, end_ts)
    inputs = data.features[:, [BAR_FEATURES.index(name) for name in features]].astype(np.float32)
    threshold = plan.threshold if plan.threshold is not None else float(np.quantile(np.abs(data.returns[parts.train]), plan.flat_share))
    classes = labels(data.returns, threshold)

    booster = _boost(inputs, classes, parts, plan)
    scores = _scores(booster, inputs, plan)
    held_out = parts.calibration
    temperature = fit_temperature(scores[held_out], classes[held_out])
    probabilities = softmax(scores / temperature)
    calibration = Calibration(
        method="temperature",
        temperature=temperature,
        log_loss_before=log_loss(softmax(scores[held_out]), classes[held_out]),
        log_loss_after=log_loss(probabilities[held_out], classes[held_out]),
    )
    metrics = measure(probabilities[parts.test], classes[parts.test], base_rates(classes[parts.train]))
    profiles = _profiles(inputs, probabilities, features, parts)
    if champion is not None and _comparable(champion, plan, threshold):
        metrics["champion_log_loss"] = _champion_loss(champion, data, classes, parts)
    model = to_onnx(booster, features, len(CLASSES), temperature)
    digest = sha256_of(model)
    manifest = Manifest(
        model=plan.model,
        version=f"{datetime.fromtimestamp(end_ts / 1e6, UTC):%Y%m%dT%H%M%S}-{digest[:8]}",
        sha256=digest,
        revision=plan.revision,
        interval=plan.interval,
        interval_us=plan.interval_us,
        symbols=sorted(bars_by_symbol),
        window_start_ts=start_ts,
        window_end_ts=end_ts,
        features=features,
        classes=list(CLASSES),
        horizon_s=plan.horizon_us // 1_000_000,
        threshold=threshold,
        embargo_s=plan.horizon_us // 1_000_000,
        rows=rows,
        parameters=_parameters(plan.learner, booster.num_boosted_rounds()),
        calibration=calibration,
        metrics=metrics,
        profiles=profiles,
        drift_block=plan.drift_block,
        drift_limit=_drift_limit(profiles, inputs, probabilities, features, data, parts, plan.drift_block),
    )
    artefact = Artefact(manifest, model)
    _prove_equal(artefact, inputs, probabilities)
    return artefact


def _dataset(bars_by_symbol: Mapping[str, Bars], plan: Plan) -> Dataset:
    if not bars_by_symbol or any(len(bars) == 0 for bars in bars_by_symbol.values()):
        raise RetryError(f"{plan.model}: a symbol has no bars to train on", "name symbols that have history, or wait for it")
    data = build(bars_by_symbol, plan.horizon_bars, plan.interval_us)
    if len(data.times) == 0:
        raise RetryError(f"{plan.model}: no bar is warm and has its horizon in the history", "train on a longer window")
    return data


def _boost(inputs: NDArray[np.float32], classes: Ints, parts: Split, plan: Plan) -> xgboost.Booster:
    """Return the forest; it stops growing when the calibration slice no longer gains, and keeps the best part of itself."""
    learner = plan.learner
    parameters = {
        "objective": "multi:softprob",
        "num_class": len(CLASSES),
        "eval_metric": "mlogloss",
        "tree_method": "hist",
        "max_depth": learner.max_depth,
        "eta": learner.eta,
        "subsample": learner.subsample,
        "colsample_bytree": learner.colsample_bytree,
        "lambda": learner.reg_lambda,
        "min_child_weight": learner.min_child_weight,
        "seed": plan.seed,
        "nthread": plan.threads,
        "verbosity": 0,
    }
    learnt = xgboost.DMatrix(inputs[parts.train], classes[parts.train], nthread=plan.threads)
    watched = xgboost.DMatrix(inputs[parts.calibration], classes[parts.calibration], nthread=plan.threads)
    booster = xgboost.train(
        parameters,
        learnt,
        learner.rounds,
        evals=[(watched, "calibration")],
        early_stopping_rounds=learner.patience,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1]


def _scores(booster: xgboost.Booster, inputs: NDArray[np.float32], plan: Plan) -> Floats:
    scores: Floats = np.asarray(booster.predict(xgboost.DMatrix(inputs, nthread=plan.threads), output_margin=True), dtype=np.float64)
    return scores


def _profiles(inputs: NDArray[np.float32], probabilities: Floats, features: list[str], parts: Split) -> dict[str, Profile]:
    """Return the training distribution of the inputs but the clock's, and of the outputs where the model had not learnt from the rows."""
    clocks = {*DAY_FEATURES, *WEEK_FEATURES}
    found = {name: profile(inputs[parts.train, i].astype(np.float64)) for i, name in enumerate(features) if name not in clocks}
    found.update({name: profile(probabilities[parts.calibration, i]) for i, name in enumerate(OUTPUTS)})
    return found


def _drift_limit(
    profiles: dict[str, Profile],
    inputs: NDArray[np.float32],
    probabilities: Floats,
    features: list[str],
    data: Dataset,
    parts: Split,
    block: int,
) -> float:
    """Return the drift that is too much: half more than any block of the rows after the training slice showed.

    Features of overlapping windows are alike from row to row, so a block of them never looks like the whole; how much it
    differs by nature is measured, not taken from a table for independent rows.
    """
    after = parts.calibration | parts.test
    values = np.concatenate([inputs.astype(np.float64), probabilities], axis=1)
    names = [*features, *OUTPUTS]
    worst = 0.0
    for symbol in np.unique(data.symbols):
        state = DriftState()
        for row in values[after & (data.symbols == symbol)].tolist():
            state.update(profiles, dict(zip(names, row, strict=True)), block)
            worst = max(worst, state.score or 0.0)
    return max(_LEAST_DRIFT_LIMIT, 1.5 * worst)


def _comparable(champion: Artefact, plan: Plan, threshold: float) -> bool:
    manifest = champion.manifest
    return manifest.interval == plan.interval and manifest.horizon_s * 1_000_000 == plan.horizon_us and manifest.threshold == threshold


def _champion_loss(champion: Artefact, data: Dataset, classes: Ints, parts: Split) -> float:
    columns = [BAR_FEATURES.index(name) for name in champion.manifest.features]
    answers = Scorer(champion).score_rows(data.features[parts.test][:, columns].astype(np.float32))
    return log_loss(answers.astype(np.float64), classes[parts.test])


def _parameters(learner: Learner, rounds: int) -> dict[str, float]:
    named = {name: float(getattr(learner, name)) for name in Learner.__slots__}
    return {**named, "bins": float(BINS), "trees_rounds": float(rounds)}


def _prove_equal(artefact: Artefact, inputs: NDArray[np.float32], probabilities: Floats) -> None:
    answers = Scorer(artefact).score_rows(inputs)
    difference = float(np.abs(answers - probabilities).max())
    if not difference <= PARITY:
        raise StopError(
            f"{artefact.manifest.model}: the exported model differs by {difference:.2e} from the trained one, {PARITY:g} is allowed",
            "compare the versions of xgboost, onnx and onnxruntime with the constraints file",
        )
