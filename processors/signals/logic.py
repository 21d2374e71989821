"""Scores of every model and the ensemble's signal at the close of a bar; pure but for the scorers that it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ml.artefacts import Manifest
from ml.features import BAR_FEATURES, CONTEXT_FEATURES
from ml.serving.ensemble import BIAS_WINDOW, Answer, EnsembleRules, Probabilities, RecentLoss, combine, directional_bias
from ml.serving.scorer import missing_features
from processors.output import Output
from processors.signals.state import ActiveModel, ActiveModels, LastRegime, MemberState, Prediction, SymbolState
from schemas.common import Direction, MemberStatus, ModelRole
from schemas.features.records import Features, MarketRegime
from schemas.learning.records import ModelActive
from schemas.signals.records import SignalGenerated, SignalScore

STRATEGY = "ensemble"
MAX_PENDING = 256
_VECTOR = (*BAR_FEATURES, *CONTEXT_FEATURES)

Values = Mapping[str, float | None]


class ModelScorer(Protocol):
    """A loaded model, as ``ml.serving.scorer.Scorer`` is."""

    @property
    def manifest(self) -> Manifest:
        """What is known of it."""

    def score(self, values: Values) -> Probabilities:
        """Return the probabilities of a warm vector."""


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why an active model cannot answer."""

    reason: str


Scorers = Callable[[str, ActiveModel], ModelScorer | LoadFailure]
"""Gives the scorer of a model's active version, or why there is none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stage decides by.

    Attributes
    ----------
    venue, interval
        Venue whose vectors are scored, and of which bars.
    models
        Models of the ensemble.
    ensemble
        Quorum, margin and weights.
    max_model_age_us
        Age of a model's training window from which it is stale, microseconds.
    """

    venue: str
    interval: str
    models: tuple[str, ...]
    ensemble: EnsembleRules = field(default_factory=EnsembleRules)
    max_model_age_us: int = 720 * 3_600_000_000


def on_active(shared: ActiveModels, record: ModelActive) -> Iterable[Output]:
    """Put a champion into force, or take a retired model out of it; a shadow changes nothing here."""
    if record.role is ModelRole.CHAMPION:
        shared.models[record.model] = ActiveModel(record.version, record.sha256, record.event_ts)
    elif record.role is ModelRole.RETIRED:
        shared.models.pop(record.model, None)
    return ()


def on_regime(rules: Rules, last: LastRegime, record: MarketRegime) -> Iterable[Output]:
    """Keep the regime, to be told with the next signal."""
    if record.venue == rules.venue:
        last.regime = record.regime
    return ()


def on_features(
    rules: Rules, scorers: Scorers, state: SymbolState, shared: ActiveModels, last: LastRegime, record: Features
) -> Iterable[Output]:
    """Return every member's score and the ensemble's signal; nothing until the vector is warm, nor for other bars or one seen before.

    Parameters
    ----------
    rules
        What is decided by.
    scorers
        Gives loaded models.
    state, shared, last
        The symbol's state, the active models, the symbol's regime.
    record
        The vector.
    """
    if record.venue != rules.venue or record.interval != rules.interval or record.bar_close_ts <= state.last_ts:
        return ()
    state.last_ts = record.bar_close_ts
    loaded = {model: _load(scorers, shared, model) for model in rules.models}
    for model, scorer in loaded.items():
        if not isinstance(scorer, Answer):
            _resolve(_member(state, model, scorer.manifest), scorer.manifest, rules.ensemble.memory, record)
    if not record.warm:
        return ()
    values: dict[str, float | None] = {name: getattr(record, name) for name in _VECTOR}
    answers = [_answer(rules, state, model, scorer, values, record) for model, scorer in loaded.items()]
    outputs = []
    for answer in answers:
        scorer = loaded[answer.model]
        if answer.probabilities is not None and not isinstance(scorer, Answer):
            outputs.append(Output("signal.score", record.symbol, _score(answer, answer.probabilities, scorer.manifest, record)))
    outputs.append(Output("ai.signal_generated", record.symbol, _signal(rules, state, answers, last, record)))
    return outputs


def _load(scorers: Scorers, shared: ActiveModels, model: str) -> ModelScorer | Answer:
    active = shared.models.get(model)
    if active is None:
        return Answer(model, MemberStatus.MISSING, reason="no version of it is active")
    scorer = scorers(model, active)
    return Answer(model, MemberStatus.FAILED, active.version, scorer.reason) if isinstance(scorer, LoadFailure) else scorer


def _member(state: SymbolState, model: str, manifest: Manifest) -> MemberState:
    """Return the state of a model's version; a new version starts from the log loss that its training measured."""
    member = state.members.get(model)
    if member is None or member.version != manifest.version:
        member = MemberState(version=manifest.version, loss=RecentLoss(mean=manifest.metrics["log_loss"]))
        state.members[model] = member
    return member


def _resolve(member: MemberState, manifest: Manifest, memory: int, record: Features) -> None:
    """Judge the predictions whose horizon ends with this bar; those whose bar never came are dropped."""
    horizon_us = manifest.horizon_s * 1_000_000
    due = 0
    for prediction in member.pending:
        end = prediction.ts + horizon_us
        if end > record.bar_close_ts:
            break
        due += 1
        if end == record.bar_close_ts:
            moved = math.log(record.close / prediction.close)
            happened = prediction.up if moved > manifest.threshold else prediction.down if moved < -manifest.threshold else prediction.flat
            member.loss.update(happened, memory)
    del member.pending[:due]


def _answer(
    rules: Rules, state: SymbolState, model: str, scorer: ModelScorer | Answer, values: Values, record: Features
) -> Answer:  # fmt: skip
    """Return a model's answer; one that is stale or drifted still scores, so that its drift and log loss stay known."""
    if isinstance(scorer, Answer):
        return scorer
    manifest = scorer.manifest
    member = _member(state, model, manifest)
    if manifest.interval != record.interval:
        other_bars = f"it was trained on bars of {manifest.interval}, the vector is of {record.interval}"
        return Answer(model, MemberStatus.FAILED, manifest.version, other_bars)
    missing = missing_features(manifest.features, values)
    if missing:
        return Answer(model, MemberStatus.UNWARMED, manifest.version, f"no {', '.join(missing)} yet")
    answer = scorer.score(values)
    outputs = dict(zip(("p_down", "p_flat", "p_up"), answer, strict=True))
    member.drift.update(manifest.profiles, {**values, **outputs}, manifest.drift_block)
    _remember(member, manifest, answer, record)
    status, reason = _fitness(rules, member, manifest, record)
    return Answer(model, status, manifest.version, reason, answer, member.loss.mean, manifest.horizon_s)


def _fitness(rules: Rules, member: MemberState, manifest: Manifest, record: Features) -> tuple[MemberStatus, str | None]:
    """Return whether a model that has answered may take part."""
    age = record.bar_close_ts - manifest.window_end_ts
    if age > rules.max_model_age_us:
        return (
            MemberStatus.STALE,
            f"its training data ends {age / 3.6e9:.0f} h before this bar, {rules.max_model_age_us / 3.6e9:.0f} h are allowed",
        )
    drift = member.drift.score
    if drift is not None and drift > manifest.drift_limit:
        return (
            MemberStatus.DRIFTED,
            f"population stability index {drift:.2f} is over {manifest.drift_limit:.2f}, most of it in {member.drift.worst}",
        )
    return MemberStatus.USED, None


def _remember(member: MemberState, manifest: Manifest, answer: Probabilities, record: Features) -> None:
    """Keep a prediction until its horizon has passed; of a long horizon only every n-th, so that no more than 256 wait."""
    stride = -(-manifest.horizon_s * 1_000_000 // (manifest.interval_us * MAX_PENDING))
    if record.bar_close_ts // manifest.interval_us % stride == 0:
        member.pending.append(Prediction(record.bar_close_ts, record.close, *answer))


def _score(answer: Answer, probabilities: Probabilities, manifest: Manifest, record: Features) -> SignalScore:
    return SignalScore(
        event_id=f"{record.event_id}:{answer.model}:score",
        event_ts=record.event_ts,
        ingest_ts=record.ingest_ts,
        symbol=record.symbol,
        model=answer.model,
        model_version=manifest.version,
        model_sha256=manifest.sha256,
        features_id=record.event_id,
        horizon_s=manifest.horizon_s,
        p_down=probabilities.down,
        p_flat=probabilities.flat,
        p_up=probabilities.up,
    )


def _signal(rules: Rules, state: SymbolState, answers: list[Answer], last: LastRegime, record: Features) -> SignalGenerated:
    verdict = combine(answers, rules.ensemble)
    if verdict.direction is not Direction.FLAT:
        state.directions.append(verdict.direction.value)
        del state.directions[:-BIAS_WINDOW]
    return SignalGenerated(
        event_id=f"{record.event_id}:signal",
        event_ts=record.event_ts,
        ingest_ts=record.ingest_ts,
        symbol=record.symbol,
        venue=record.venue,
        strategy=STRATEGY,
        direction=verdict.direction,
        confidence=verdict.confidence,
        p_down=verdict.probabilities.down,
        p_flat=verdict.probabilities.flat,
        p_up=verdict.probabilities.up,
        horizon_s=verdict.horizon_s,
        members=verdict.members,
        quorum=rules.ensemble.quorum,
        reason=verdict.reason,
        features_id=record.event_id,
        regime=last.regime,
        price=record.close,
        atr=record.atr_14,
        directional_bias=directional_bias(state.directions),
    )
