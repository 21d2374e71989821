"""Rewards of closed trades and labelled samples; pure.

The reward of a closed trade is the sum of three parts:

- profit: the net profit in R (after fees, over the initial risk), within -3 and 3;
- drawdown: ``-2 * drawdown`` of the account, so that a loss weighs more when the account is already down;
- holding: ``-0.1`` for every horizon that the trade was held beyond its first, at most 1: what a signal said of the
  next minutes does not carry a position for hours.

A trade without an initial risk has no R and gets no reward. The horizon is the longest one of the models in force;
while none is known nothing is taken off for holding.

Samples are keyed by model, because what counts towards a training is spread over the partitions of all symbols and
accounts: ``learning.sample`` carries it to the one partition that decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from processors.learning.state import Champion, Shared, SymbolState, Waiting
from processors.output import Output
from schemas.common import MemberStatus, ModelRole, SampleKind
from schemas.features.records import Features
from schemas.journal.records import TradeClosed
from schemas.learning.records import ModelActive, ModelSample, RlReward
from schemas.positions.records import PortfolioSnapshot
from schemas.record import Record
from schemas.signals.records import SignalGenerated, SignalScore

MAX_R = 3.0
DRAWDOWN_WEIGHT = 2.0
HOLDING_WEIGHT = 0.1
MAX_HOLDING_PENALTY = 1.0


def on_active(shared: Shared, record: ModelActive) -> Iterable[Output]:
    """Keep the versions in force."""
    if record.role is ModelRole.CHAMPION:
        shared.champions[record.model] = Champion(record.version, record.sha256, record.event_ts, record.horizon_s)
    elif record.role is ModelRole.RETIRED:
        shared.champions.pop(record.model, None)
    return ()


def on_snapshot(shared: Shared, record: PortfolioSnapshot) -> Iterable[Output]:
    """Keep the drawdown of the account."""
    shared.drawdowns[record.account] = record.drawdown
    return ()


def reward_parts(r_multiple: float, drawdown: float, held_s: float, horizon_s: int | None) -> tuple[float, float, float]:
    """Return the profit, drawdown and holding parts of a reward.

    Parameters
    ----------
    r_multiple
        Net profit over the initial risk.
    drawdown
        Distance of the account's equity from its peak, fraction of the peak.
    held_s
        Time held, seconds.
    horizon_s
        Horizon of the models in force, seconds; None where unknown.
    """
    profit = min(max(r_multiple, -MAX_R), MAX_R)
    overtime = max(held_s / horizon_s - 1.0, 0.0) if horizon_s else 0.0
    return profit, -DRAWDOWN_WEIGHT * max(drawdown, 0.0), -min(HOLDING_WEIGHT * overtime, MAX_HOLDING_PENALTY)


def on_trade_closed(shared: Shared, trade: TradeClosed) -> Iterable[Output]:
    """Return the reward of a closed trade."""
    if trade.r_multiple is None:
        return ()
    horizon_s = max((champion.horizon_s for champion in shared.champions.values() if champion.horizon_s), default=None)
    profit, drawdown, holding = reward_parts(trade.r_multiple, shared.drawdowns.get(trade.account, 0.0), trade.held_s, horizon_s)
    reward = RlReward(
        event_id=f"{trade.event_id}:reward",
        event_ts=trade.event_ts,
        ingest_ts=trade.ingest_ts,
        account=trade.account,
        symbol=trade.symbol,
        position_id=trade.position_id,
        signal_id=trade.signal_id,
        strategy=trade.strategy,
        reward=profit + drawdown + holding,
        profit_part=profit,
        drawdown_part=drawdown,
        holding_part=holding,
    )
    return (Output("rl.reward", trade.account, reward),)


def on_reward(shared: Shared, reward: RlReward) -> Iterable[Output]:
    """Count a rewarded trade for every model in force."""
    words = f"trade {reward.position_id} closed with reward {reward.reward:.3f}"
    return [
        _sample(reward, model, champion.version, reward.symbol, SampleKind.TRADE, words, reward=reward.reward)
        for model, champion in shared.champions.items()
    ]


def on_score(state: SymbolState, score: SignalScore) -> Iterable[Output]:
    """Wait for the horizon of a prediction, unless an earlier one of the model still does."""
    if score.model not in state.waiting:
        state.waiting[score.model] = Waiting(score.event_id, score.model_version, score.event_ts + score.horizon_s * 1_000_000)
    return ()


def on_features(state: SymbolState, record: Features) -> Iterable[Output]:
    """Count the predictions whose horizon has passed, because their label is known now."""
    due = [model for model, waiting in state.waiting.items() if waiting.end_ts <= record.bar_close_ts]
    outputs = []
    for model in due:
        waiting = state.waiting.pop(model)
        words = f"the horizon of {waiting.score_id} has passed"
        outputs.append(_sample(record, model, waiting.version, record.symbol, SampleKind.PREDICTION, words, cause_id=waiting.score_id))
    return outputs


def on_signal(state: SymbolState, signal: SignalGenerated) -> Iterable[Output]:
    """Tell once of every version that is left out because it has drifted."""
    outputs = []
    for member in signal.members:
        if member.status is not MemberStatus.DRIFTED:
            state.drifted.pop(member.model, None)
        elif state.drifted.get(member.model) != member.version:
            state.drifted[member.model] = member.version or ""
            words = f"{signal.symbol}: {member.reason}"
            outputs.append(_sample(signal, member.model, member.version or "", signal.symbol, SampleKind.DRIFT, words))
    return outputs


def _sample(
    cause: Record, model: str, version: str, symbol: str, kind: SampleKind, detail: str, *, cause_id: str = "", reward: float | None = None
) -> Output:  # fmt: skip
    cause_id = cause_id or cause.event_id
    record = ModelSample(
        event_id=f"{cause_id}:{model}:sample",
        event_ts=cause.event_ts,
        ingest_ts=cause.ingest_ts,
        model=model,
        version=version,
        symbol=symbol,
        kind=kind,
        cause_id=cause_id,
        reward=reward,
        detail=detail,
    )
    return Output("learning.sample", model, record)
