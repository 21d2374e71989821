"""The ensemble: members weighed by recent out-of-sample log loss, a quorum, and a direction or the reason for none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from schemas.common import Direction, Member, MemberStatus

BIAS_SHARE = 0.70
BIAS_LEAST = 20
BIAS_WINDOW = 100
_FLOOR = 1e-6


class Probabilities(NamedTuple):
    """Calibrated probabilities of the price at the horizon; they sum to 1."""

    down: float
    flat: float
    up: float


@dataclass(frozen=True, slots=True)
class EnsembleRules:
    """How answers become a signal.

    Attributes
    ----------
    quorum
        Members that must answer.
    margin
        Least difference of p_up and p_down for a direction.
    sharpness
        How fast the weight falls with log loss: a member worse by x nats weighs exp(-sharpness * x) as much.
    memory
        Resolved predictions that the recent log loss remembers.
    """

    quorum: int = 1
    margin: float = 0.05
    sharpness: float = 8.0
    memory: int = 200


class RecentLoss(msgspec.Struct):
    """Log loss of a member's recent predictions, an exponential mean that begins at what its training measured.

    Attributes
    ----------
    resolved : int
        Predictions whose horizon has passed.
    mean : float
        Log loss, nats.
    """

    resolved: int = 0
    mean: float = 0.0

    def update(self, probability: float, memory: int) -> None:
        """Take the probability that the member had given to what happened."""
        self.resolved += 1
        self.mean += (-math.log(max(probability, _FLOOR)) - self.mean) * 2.0 / (memory + 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """One configured model at one bar.

    Attributes
    ----------
    model
        Name.
    status
        USED where it answered and may take part, else why not.
    version
        Version of its artefact; None where none is loaded.
    reason
        Why it is left out; None where it is used.
    probabilities
        Its answer; None where it gave none.
    loss
        Its recent out-of-sample log loss, nats.
    horizon_s
        Its horizon, seconds.
    """

    model: str
    status: MemberStatus
    version: str | None = None
    reason: str | None = None
    probabilities: Probabilities | None = None
    loss: float = 0.0
    horizon_s: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ensemble says.

    Attributes
    ----------
    direction
        Direction; FLAT with a reason where there is none.
    confidence
        Probability of the direction; 0 below quorum.
    probabilities
        Weighted probabilities; all 0 below quorum, because nobody gave any.
    horizon_s
        Horizon of the heaviest member, seconds; 0 where nobody answered.
    members
        Every configured model.
    reason
        Why there is no direction; None where there is one.
    """

    direction: Direction
    confidence: float
    probabilities: Probabilities
    horizon_s: int
    members: list[Member]
    reason: str | None


def weights(losses: Sequence[float], sharpness: float) -> list[float]:
    """Return the weights of members by their log losses: exponential, summing to 1, never higher for a higher loss."""
    best = min(losses)
    raw = [math.exp(-sharpness * (loss - best)) for loss in losses]
    total = sum(raw)
    return [value / total for value in raw]


def combine(answers: Sequence[Answer], rules: EnsembleRules) -> Verdict:
    """Return the ensemble's verdict over every configured model's answer."""
    used = [(answer, answer.probabilities) for answer in answers if answer.status is MemberStatus.USED and answer.probabilities is not None]
    shares = weights([answer.loss for answer, _ in used], rules.sharpness) if used else []
    by_model = {answer.model: share for (answer, _), share in zip(used, shares, strict=True)}
    enough = len(used) >= rules.quorum
    members = [
        Member(
            model=answer.model,
            version=answer.version,
            status=answer.status,
            weight=by_model.get(answer.model, 0.0) if enough else 0.0,
            reason=answer.reason,
        )
        for answer in answers
    ]
    horizon_s = max(used, key=lambda pair: by_model[pair[0].model])[0].horizon_s if used else 0
    if not enough:
        left_out = "; ".join(
            f"{answer.model} {answer.status.value}: {answer.reason}" for answer in answers if answer.status is not MemberStatus.USED
        )
        reason = f"{len(used)} of {len(answers)} models answered, {rules.quorum} are needed ({left_out})"
        return Verdict(Direction.FLAT, 0.0, Probabilities(0.0, 0.0, 0.0), horizon_s, members, reason)
    down, flat, up = (sum(share * probabilities[i] for (_, probabilities), share in zip(used, shares, strict=True)) for i in range(3))
    direction, why_flat = _direct(down, flat, up, rules.margin)
    confidence = {Direction.LONG: up, Direction.SHORT: down, Direction.FLAT: flat}[direction]
    return Verdict(direction, confidence, Probabilities(down, flat, up), horizon_s, members, why_flat)


def _direct(down: float, flat: float, up: float, margin: float) -> tuple[Direction, str | None]:
    """Return the direction: the likelier of up and down, if likelier than neither, and than its opposite by the margin."""
    if max(down, up) <= flat:
        return Direction.FLAT, f"neither rise ({up:.3f}) nor fall ({down:.3f}) is likelier than flat ({flat:.3f})"
    if abs(up - down) < margin:
        return Direction.FLAT, f"rise ({up:.3f}) and fall ({down:.3f}) are within the margin {margin:g} of each other"
    return (Direction.LONG if up > down else Direction.SHORT), None


def directional_bias(directions: Sequence[str]) -> float | None:
    """Return the share of the more frequent direction where it is over 0.70 of at least 20 signals, else None.

    Parameters
    ----------
    directions
        LONG and SHORT of the last signals that had a direction.
    """
    if len(directions) < BIAS_LEAST:
        return None
    share = Counter(directions).most_common(1)[0][1] / len(directions)
    return share if share > BIAS_SHARE else None
