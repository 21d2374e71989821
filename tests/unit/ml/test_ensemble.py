from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.drift.psi import DriftState, Profile, profile, psi
from ml.serving.ensemble import Answer, EnsembleRules, Probabilities, RecentLoss, combine, directional_bias, weights
from schemas.common import Direction, MemberStatus

LOSSES = st.lists(st.floats(0.0, 5.0), min_size=1, max_size=6)
PROBABILITIES = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)).map(
    lambda raw: Probabilities(*(value / sum(raw) for value in raw))
)


def used(model: str, probabilities: Probabilities, loss: float = 1.0, horizon_s: int = 30) -> Answer:
    return Answer(model, MemberStatus.USED, "v1", None, probabilities, loss, horizon_s)


@given(LOSSES)
def test_weights_add_up_and_never_favour_the_worse(losses: list[float]) -> None:
    shares = weights(losses, 8.0)
    assert sum(shares) == pytest.approx(1.0)
    for (loss, share), (other, other_share) in ((a, b) for a in zip(losses, shares, strict=True) for b in zip(losses, shares, strict=True)):
        assert loss <= other or share <= other_share


@given(st.lists(st.tuples(PROBABILITIES, st.floats(0, 3)), min_size=1, max_size=5))
def test_the_ensemble_lies_between_its_members(members: list[tuple[Probabilities, float]]) -> None:
    verdict = combine([used(f"m{i}", *member) for i, member in enumerate(members)], EnsembleRules())
    assert sum(verdict.probabilities) == pytest.approx(1.0)
    for index, value in enumerate(verdict.probabilities):
        column = [probabilities[index] for probabilities, _ in members]
        assert min(column) - 1e-9 <= value <= max(column) + 1e-9
    assert sum(member.weight for member in verdict.members) == pytest.approx(1.0)
    assert (verdict.reason is None) == (verdict.direction is not Direction.FLAT)
    named = {
        Direction.LONG: verdict.probabilities.up,
        Direction.SHORT: verdict.probabilities.down,
        Direction.FLAT: verdict.probabilities.flat,
    }
    assert verdict.confidence == named[verdict.direction]


@given(PROBABILITIES)
def test_up_and_down_are_treated_alike(probabilities: Probabilities) -> None:
    down, flat, up = probabilities
    opposite = {Direction.LONG: Direction.SHORT, Direction.SHORT: Direction.LONG, Direction.FLAT: Direction.FLAT}
    straight = combine([used("m", probabilities)], EnsembleRules()).direction
    assert combine([used("m", Probabilities(up, flat, down))], EnsembleRules()).direction is opposite[straight]


@pytest.mark.parametrize(
    ("probabilities", "direction", "words"),
    [
        (Probabilities(0.2, 0.3, 0.5), Direction.LONG, None),
        (Probabilities(0.5, 0.3, 0.2), Direction.SHORT, None),
        (Probabilities(0.1, 0.6, 0.3), Direction.FLAT, "flat"),
        (Probabilities(0.38, 0.2, 0.42), Direction.FLAT, "margin"),
    ],
)
def test_a_direction_must_beat_flat_and_its_opposite(probabilities: Probabilities, direction: Direction, words: str | None) -> None:
    verdict = combine([used("m", probabilities)], EnsembleRules())
    assert verdict.direction is direction
    assert (verdict.reason is None) if words is None else words in (verdict.reason or "")


def test_below_the_quorum_there_is_no_direction_and_the_reason_names_who_is_missing() -> None:
    answers = [
        used("xgb", Probabilities(0.0, 0.0, 1.0)),
        Answer("lgbm", MemberStatus.MISSING, reason="no version of it is active"),
        Answer("nhits", MemberStatus.DRIFTED, "v3", "index 0.90", Probabilities(0.0, 0.0, 1.0), 0.1, 30),
    ]
    verdict = combine(answers, EnsembleRules(quorum=2))
    assert (verdict.direction, verdict.confidence, verdict.probabilities) == (Direction.FLAT, 0.0, (0.0, 0.0, 0.0))
    assert verdict.reason == "1 of 3 models answered, 2 are needed (lgbm MISSING: no version of it is active; nhits DRIFTED: index 0.90)"
    assert [(member.model, member.status, member.weight) for member in verdict.members] == [
        ("xgb", MemberStatus.USED, 0.0),
        ("lgbm", MemberStatus.MISSING, 0.0),
        ("nhits", MemberStatus.DRIFTED, 0.0),
    ]


def test_a_member_that_is_left_out_weighs_nothing_although_it_answered() -> None:
    drifted = Answer("b", MemberStatus.DRIFTED, "v", "drift", Probabilities(1.0, 0.0, 0.0), 0.0, 99)
    verdict = combine([used("a", Probabilities(0.1, 0.2, 0.7)), drifted], EnsembleRules())
    assert verdict.probabilities == pytest.approx((0.1, 0.2, 0.7))
    assert verdict.horizon_s == 30


def test_recent_loss_goes_to_what_is_observed() -> None:
    loss = RecentLoss(mean=2.0)
    for _ in range(2000):
        loss.update(0.5, 200)
    assert loss.mean == pytest.approx(math.log(2), abs=1e-4)
    loss.update(0.0, 200)
    assert math.isfinite(loss.mean)


def test_bias_needs_twenty_signals_and_more_than_seven_in_ten() -> None:
    assert directional_bias(["LONG"] * 19) is None
    assert directional_bias(["LONG"] * 14 + ["SHORT"] * 6) is None
    assert directional_bias(["SHORT"] * 15 + ["LONG"] * 5) == pytest.approx(0.75)


@given(st.lists(st.integers(0, 500), min_size=2, max_size=10), st.lists(st.floats(0.01, 1), min_size=2, max_size=10))
def test_psi_is_never_negative(counts: list[int], raw: list[float]) -> None:
    size = min(len(counts), len(raw))
    shares = [value / sum(raw[:size]) for value in raw[:size]]
    assert psi(shares, counts[:size]) >= 0.0


def test_psi_of_a_known_shift() -> None:
    then, now = [0.5, 0.5], [250_000, 750_000]
    assert psi(then, now) == pytest.approx(0.25 * math.log(0.75 / 0.5) - 0.25 * math.log(0.25 / 0.5), rel=1e-4)


def test_drift_is_seen_when_the_values_move_and_not_when_they_do_not() -> None:
    random = np.random.default_rng(1)
    profiles = {"a": profile(random.standard_normal(5000)), "b": profile(random.standard_normal(5000))}
    assert all(len(p.shares) == 10 for p in profiles.values())
    state = DriftState()
    for value in random.standard_normal((500, 2)).tolist():
        state.update(profiles, {"a": value[0], "b": value[1]}, 500)
    assert state.score is not None
    assert state.score < 0.1
    assert (state.rows, state.counts) == (0, {})
    for value in random.standard_normal((500, 2)).tolist():
        state.update(profiles, {"a": value[0], "b": value[1] + 2.0}, 500)
    assert state.score > 0.5
    assert state.worst == "b"


def test_a_profile_of_repeated_values_has_fewer_bins() -> None:
    assert profile(np.zeros(100)) == Profile([0.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="null"):
        DriftState().update({"a": Profile([0.0], [0.0, 1.0])}, {"a": None}, 10)
