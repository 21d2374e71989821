"""Adaptive leverage: its bounds, its direction in every input, its caps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.risk.leverage import LEAST, MOST, REGIME_STRESS, LeverageInputs, decide, liquidation_cap, raw_leverage
from schemas.common import Cap, Regime

CALM = LeverageInputs(atr_value=0.0, price=100.0, volatility_factor=0.0, exchange_divergence=0.0, funding_rate=0.0, regime=Regime.TREND_UP)
INPUTS = st.builds(
    LeverageInputs,
    atr_value=st.floats(0, 1e4),
    price=st.floats(1e-6, 1e6),
    volatility_factor=st.floats(0, 20),
    exchange_divergence=st.floats(0, 500),
    funding_rate=st.floats(-0.03, 0.03),
    regime=st.sampled_from(Regime),
)


def test_the_range_is_five_to_eighty() -> None:
    assert raw_leverage(CALM) == MOST
    assert raw_leverage(replace(CALM, volatility_factor=1e9)) == pytest.approx(LEAST)


def test_each_input_over_its_scale_takes_the_room_down_by_e() -> None:
    room = 75 / 2.718281828459045
    for inputs in (
        replace(CALM, atr_value=0.5),
        replace(CALM, volatility_factor=2.0),
        replace(CALM, exchange_divergence=20.0),
        replace(CALM, funding_rate=0.001),
        replace(CALM, regime=Regime.HIGH_VOLATILITY),
    ):
        assert raw_leverage(inputs) == pytest.approx(5 + room)


@given(INPUTS)
def test_raw_leverage_lies_in_its_range(inputs: LeverageInputs) -> None:
    assert LEAST <= raw_leverage(inputs) <= MOST


@given(INPUTS, st.sampled_from(["atr_value", "volatility_factor", "exchange_divergence", "funding_rate"]), st.floats(0, 100))
def test_raw_leverage_falls_as_an_input_grows(inputs: LeverageInputs, name: str, more: float) -> None:
    value = abs(getattr(inputs, name))
    larger = value + more
    assert raw_leverage(replace(inputs, **{name: larger})) <= raw_leverage(replace(inputs, **{name: value}))
    if name == "funding_rate":
        assert raw_leverage(replace(inputs, funding_rate=-larger)) == raw_leverage(replace(inputs, funding_rate=larger))


@given(INPUTS, st.sampled_from(Regime), st.sampled_from(Regime))
def test_raw_leverage_falls_with_the_stress_of_the_regime(inputs: LeverageInputs, one: Regime, other: Regime) -> None:
    if REGIME_STRESS[one] <= REGIME_STRESS[other]:
        assert raw_leverage(replace(inputs, regime=one)) >= raw_leverage(replace(inputs, regime=other))


@given(INPUTS, st.floats(1, 100), st.floats(1, 125), st.floats(1e-5, 0.4), st.floats(0, 0.05))
def test_the_final_leverage_is_under_every_cap_and_names_the_binding_one(
    inputs: LeverageInputs, policy_cap: float, venue_cap: float, stop: float, maintenance: float
) -> None:
    chosen = decide(inputs, policy_cap=policy_cap, venue_cap=venue_cap, stop_fraction=stop, maintenance_rate=maintenance)
    bounds = {
        Cap.NONE: chosen.raw, Cap.POLICY: policy_cap, Cap.VENUE_BRACKET: venue_cap,
        Cap.LIQUIDATION_DISTANCE: liquidation_cap(stop, maintenance),
    }  # fmt: skip
    assert chosen.final == int(chosen.final) >= 1
    assert all(chosen.final <= bound for bound in bounds.values())
    assert bounds[chosen.binding] == min(bounds.values())
    # At that leverage the price moves two stops before liquidation.
    assert 1 / chosen.final - maintenance >= 2 * stop - 1e-12
