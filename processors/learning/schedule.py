"""When a model is trained again, and which version is put into force; pure, by model.

A challenger and its champion are measured on the same rows, which neither the challenger nor its calibration has seen:
the trainer does that and says both losses. Without a champion that could be measured, a challenger must know more than
the base rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from processors.learning.state import ModelState, Shared
from processors.output import Output
from schemas.clock.records import ClockTick
from schemas.common import ModelRole, SampleKind, TrainingPhase
from schemas.learning.records import ModelActive, ModelRetrain, ModelSample, ModelTraining

AUTHOR = "learning"
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """When a training is due, as ``LearningSettings`` names it; times in seconds."""

    retrain_samples: int = 50
    retrain_interval_s: int = 168 * 3600
    drift_interval_s: int = 6 * 3600
    retry_s: int = 3600
    window_s: int = 14 * 86_400
    promotion_margin: float = 0.0


def on_sample(state: ModelState, sample: ModelSample) -> Iterable[Output]:
    """Count a labelled sample, or keep a sign of drift."""
    state.model = sample.model
    if sample.kind is SampleKind.DRIFT:
        state.drift_ts = sample.event_ts
        state.drift_detail = sample.detail
        return ()
    state.samples += 1
    if sample.kind is SampleKind.TRADE:
        state.trades += 1
        state.reward += sample.reward or 0.0
    return ()


def due(rules: Rules, state: ModelState, since_ts: int, now: int) -> tuple[str, str] | None:
    """Return why a training is due, as code and words, or None.

    Parameters
    ----------
    rules
        When it is.
    state
        What has been counted.
    since_ts
        When the model was last trained or put into force, microseconds.
    now
        Event time, microseconds.
    """
    passed_s = (now - since_ts) // _SECOND_US
    if state.drift_ts > since_ts and passed_s >= rules.drift_interval_s:
        return "DRIFT", state.drift_detail
    if state.samples >= rules.retrain_samples and passed_s >= rules.retrain_interval_s:
        return "SCHEDULE", f"{state.samples} new samples, {state.trades} of them trades, {passed_s / 3600:.1f} h after the last training"
    return None


def on_clock(rules: Rules, state: ModelState, shared: Shared, tick: ClockTick) -> Iterable[Output]:
    """Request a training when it is due; one request at a time, made again when it failed or nobody answered."""
    patience_us = rules.retry_s * _SECOND_US
    waits = bool(state.request_id) and tick.event_ts - state.request_ts < patience_us
    rests = state.failed_ts > 0 and tick.event_ts - state.failed_ts < patience_us
    if not state.model or waits or rests:
        return ()
    champion = shared.champions.get(state.model)
    why = due(rules, state, max(state.trained_ts, champion.since_ts if champion else 0), tick.event_ts)
    if why is None:
        return ()
    state.request_id = f"{state.model}:{tick.event_ts}:retrain"
    state.request_ts = tick.event_ts
    state.request_champion = champion.version if champion else ""
    request = ModelRetrain(
        event_id=state.request_id,
        event_ts=tick.event_ts,
        ingest_ts=tick.ingest_ts,
        model=state.model,
        why=why[0],
        detail=why[1],
        samples=state.samples,
        window_start_ts=tick.event_ts - rules.window_s * _SECOND_US,
        window_end_ts=tick.event_ts,
        champion_version=champion.version if champion else None,
        champion_sha256=champion.sha256 if champion else None,
    )
    return (Output("model.retrain", state.model, request),)


def on_training(rules: Rules, state: ModelState, shared: Shared, training: ModelTraining) -> Iterable[Output]:
    """Take the end of a training: start counting anew, and put the version into force where it is better."""
    if training.phase is TrainingPhase.FAILED:
        state.failed_ts = training.event_ts
        _answered(state, training)
        return ()
    if training.phase is not TrainingPhase.COMPLETED or training.version is None or training.sha256 is None:
        return ()
    champion = shared.champions.get(training.model)
    version_then = state.request_champion if training.run_id == state.request_id else None
    state.model = training.model
    state.trained_ts = max(state.trained_ts, training.event_ts)
    state.samples = state.trades = state.drift_ts = 0
    state.reward = 0.0
    _answered(state, training)
    if version_then is not None and version_then != (champion.version if champion else ""):
        return ()  # somebody has put another version into force meanwhile, which this one was not measured against
    reason = promotion(rules, training.metrics)
    if reason is None or (champion is not None and champion.version == training.version):
        return ()
    active = ModelActive(
        event_id=f"{training.run_id}:active",
        event_ts=training.event_ts,
        ingest_ts=training.ingest_ts,
        model=training.model,
        version=training.version,
        sha256=training.sha256,
        role=ModelRole.CHAMPION,
        author=AUTHOR,
        reason=reason,
        horizon_s=training.horizon_s,
    )
    return (Output("model.active", training.model, active),)


def promotion(rules: Rules, metrics: dict[str, float]) -> str | None:
    """Return why a challenger is better, in words, or None where it is not."""
    loss, champion, base = metrics["log_loss"], metrics.get("champion_log_loss"), metrics["base_rate_log_loss"]
    if champion is not None:
        return (
            f"log loss {loss:.4f} against the champion's {champion:.4f} on the same rows"
            if loss < champion - rules.promotion_margin
            else None
        )
    return (
        f"log loss {loss:.4f} against the base rate's {base:.4f}, no champion could be measured"
        if loss < base - rules.promotion_margin
        else None
    )


def _answered(state: ModelState, training: ModelTraining) -> None:
    if training.run_id == state.request_id:
        state.request_id = ""
