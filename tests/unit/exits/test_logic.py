from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.exits import logic
from processors.exits.brain import floor_to
from processors.exits.state import Symbol
from schemas.common import ExitAction, InstrumentRules, OrderType, Origin, PositionSide, Regime, Side
from tests.unit.exits.world import EXITS, INSTRUMENT, T0, D, World, policy, position

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
ENTRY = 1024.0


def far(side: PositionSide, distance: float) -> float:
    """Return the price at a distance from the entry, in favour of the side."""
    return ENTRY + distance if side is LONG else ENTRY - distance


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_the_initial_stop_closes_everything_once(side: PositionSide) -> None:
    world = World(side, policy())
    world.price(far(side, -15.9))
    assert not world.intents
    world.price(far(side, -16), 2)
    world.price(far(side, -20), 3)
    [intent] = world.intents
    assert (intent.event_id, intent.origin, intent.reduce_only, intent.order_type) == ("pos:exit:0", Origin.EXIT, True, OrderType.MARKET)
    assert (intent.side, intent.quantity, intent.reason) == (Side.SELL if side is LONG else Side.BUY, D(1), "STOP")
    assert (intent.position_id, intent.signal_id, intent.policy_version, intent.leverage) == ("pos", "s1", 3, 2.0)
    assert intent.reference_price == D(repr(far(side, -16)))
    [decision] = world.decisions
    assert (decision.action, decision.r_multiple, decision.stop_price) == (ExitAction.CLOSE, -1.0, far(side, -16))
    assert (decision.held_s, decision.event_id) == (2.0, "pos:exit:0:decision")


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_a_gap_beyond_the_most_risk_says_so(side: PositionSide) -> None:
    world = World(side, policy())
    world.price(far(side, -24))
    assert world.legs() == [("MAX_RISK", "1", 0)]


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_breakeven_then_trailing(side: PositionSide) -> None:
    world = World(side, policy(msgspec.structs.replace(EXITS, take_profit_r=[])))
    world.price(far(side, 15))
    assert world.stop == far(side, -16)
    world.price(far(side, 16), 2)
    assert world.stop == ENTRY
    world.price(far(side, 32), 3)
    assert world.stop == far(side, 16)
    assert [(each.action, each.reason.value, each.stop_price) for each in world.decisions] == [
        (ExitAction.MOVE_STOP, "BREAKEVEN", ENTRY), (ExitAction.MOVE_STOP, "TRAILING", far(side, 16)),
    ]  # fmt: skip
    assert [each.event_id for each in world.decisions] == ["pos:stop:1", "pos:stop:2"]
    world.price(far(side, 16), 4)
    assert world.legs() == [("TRAILING", "1", 0)]
    back = World(side, policy(msgspec.structs.replace(EXITS, take_profit_r=[])))
    back.price(far(side, 16))
    back.price(ENTRY, 2)
    assert back.legs() == [("BREAKEVEN", "1", 0)]


def test_the_ladder_takes_shares_and_the_rest_trails() -> None:
    world = World(rules=policy())
    world.price(far(LONG, 16))
    world.price(far(LONG, 17), 2)
    assert world.legs() == [("TAKE_PROFIT", "0.25", 0)]
    world.becomes(position(quantity="0.75", event_ts=T0 + 2_500_000))
    world.price(far(LONG, 32), 3)
    assert world.legs()[1:] == [("TAKE_PROFIT", "0.25", 1)]
    world.becomes(position(quantity="0.5", event_ts=T0 + 3_500_000))
    world.price(far(LONG, 100), 4)
    world.price(far(LONG, 84), 5)
    assert world.legs()[2:] == [("TRAILING", "0.5", 2)]
    world.becomes(position(PositionSide.FLAT, "0"))
    assert not world.symbol.open


def test_rungs_passed_at_once_are_one_order_and_the_whole_ladder_is_everything() -> None:
    world = World(rules=policy())
    world.price(far(LONG, 32))
    assert world.legs() == [("TAKE_PROFIT", "0.5", 0)]
    everything = World(rules=policy(msgspec.structs.replace(EXITS, take_profit_share=0.5)))
    everything.price(far(LONG, 32))
    assert everything.legs() == [("TAKE_PROFIT", "1", 0)]


def lots(step: str) -> InstrumentRules:
    return msgspec.structs.replace(INSTRUMENT, lot_size=D(step), min_quantity=D(step))


def test_a_position_of_one_lot_is_not_split_and_dust_is_not_left() -> None:
    one = World(rules=policy(), instrument=lots("1"))
    one.price(far(LONG, 32))
    assert not one.intents
    assert one.symbol.open["paper"].rungs == 2
    coarse = World(rules=policy(), instrument=lots("0.4"), quantity="0.8", initial_quantity=D("0.8"))
    coarse.price(far(LONG, 32))
    assert coarse.legs() == [("TAKE_PROFIT", "0.4", 0)]
    dusty = World(rules=policy(), instrument=msgspec.structs.replace(INSTRUMENT, min_quantity=D("0.3")), quantity="0.5")
    dusty.price(far(LONG, 32))
    assert dusty.legs() == [("TAKE_PROFIT", "0.5", 0)]


def test_without_the_instrument_nothing_is_split_but_stops_hold() -> None:
    world = World(rules=policy(), instrument=None)
    world.price(far(LONG, 16))
    assert not world.intents
    world.price(far(LONG, -1), 2)
    assert world.legs() == [("BREAKEVEN", "1", 0)]


def test_time_stop_by_the_clock() -> None:
    world = World(rules=policy())
    world.clock(7199)
    assert not world.intents
    world.clock(7200)
    assert world.legs() == [("TIME", "1", 0)]


@pytest.mark.parametrize(("side", "against"), [(LONG, Regime.TREND_DOWN), (SHORT, Regime.TREND_UP)])
def test_a_regime_that_turns_against_the_position(side: PositionSide, against: Regime) -> None:
    world = World(side, policy())
    world.regime(against, T0 - 1)
    world.price(ENTRY)
    assert not world.intents
    world.regime(Regime.HIGH_VOLATILITY, T0 + 1)
    world.price(ENTRY)
    assert not world.intents
    world.regime(against, T0 + 2)
    world.price(ENTRY)
    assert world.legs() == [("REGIME_FLIP", "1", 0)]
    assert world.decisions[0].regime is against


def test_emergency_stop_closes_by_the_clock() -> None:
    world = World(rules=policy(emergency=True))
    world.clock(1)
    assert world.legs() == [("EMERGENCY", "1", 0)]


def test_a_lost_exit_is_sent_again_even_where_the_price_came_back() -> None:
    world = World(rules=policy())
    world.price(far(LONG, -16), 1)
    world.clock(10)
    assert len(world.intents) == 1
    world.price(far(LONG, 1), 10.5)
    world.clock(11)
    assert world.legs() == [("STOP", "1", 0), ("STOP", "1", 1)]
    world.becomes(position(quantity="0.4", event_ts=T0 + 12_000_000))
    world.clock(21.5)
    assert len(world.intents) == 2
    world.clock(22)
    assert world.legs()[2:] == [("STOP", "0.4", 2)]
    assert len({intent.event_id for intent in world.intents}) == 3


def test_a_lost_reduction_is_sent_again_with_what_is_missing() -> None:
    world = World(rules=policy())
    world.price(far(LONG, 16), 1)
    world.becomes(position(quantity="0.9", event_ts=T0 + 2_000_000))
    world.clock(12)
    assert world.legs() == [("TAKE_PROFIT", "0.25", 0), ("TAKE_PROFIT", "0.15", 1)]
    world.becomes(position(quantity="0.75", event_ts=T0 + 13_000_000))
    world.clock(40)
    assert len(world.intents) == 2


def test_leaving_goes_before_a_reduction_under_way_but_not_twice_over_its_quantity() -> None:
    world = World(rules=policy())
    world.price(far(LONG, 16), 1)
    world.price(ENTRY, 2)
    assert world.legs() == [("TAKE_PROFIT", "0.25", 0), ("BREAKEVEN", "0.75", 1)]


def test_the_venues_largest_order_splits_an_exit() -> None:
    world = World(rules=policy(), instrument=msgspec.structs.replace(INSTRUMENT, max_quantity=D("0.6")))
    world.price(far(LONG, -16), 1)
    world.price(far(LONG, -17), 2)
    assert world.legs() == [("STOP", "0.6", 0)]
    world.becomes(position(quantity="0.4", event_ts=T0 + 2_000_000))
    world.price(ENTRY, 3)
    assert world.legs()[1:] == [("STOP", "0.4", 1)]


def test_a_position_without_a_stop_gets_one_from_the_atr() -> None:
    world = World(rules=policy(), atr=None, initial_stop=None, risk_amount=None)
    world.price(900)
    assert not world.intents
    assert world.symbol.open["paper"].risk is None
    world.symbol.market.atr = 8.0
    world.price(1020, 2)
    assert world.stop == 1008
    late = World(rules=policy(emergency=True), atr=None, initial_stop=None, risk_amount=None)
    late.clock(1)
    assert (late.decisions[0].stop_price, late.decisions[0].r_multiple) == (None, None)


def test_without_a_policy_the_stop_still_holds() -> None:
    world = World()
    world.price(far(LONG, 100))
    world.clock(100_000)
    assert not world.intents
    world.price(far(LONG, -16), 2)
    assert world.legs() == [("STOP", "1", 0)]
    assert world.intents[0].policy_version == 0


def test_other_venues_and_older_policies_do_not_count() -> None:
    world = World(rules=policy())
    world.price(1, venue="binance-spot")
    assert not world.intents
    logic.on_policy(world.shared, policy(version=2, emergency=True))
    world.clock(1)
    assert not world.intents
    other: Any = position(venue="bybit", position_id="other")
    world.becomes(other)
    assert world.symbol.open["paper"].position.position_id == "pos"


def test_more_entry_fills_move_the_entry_but_not_the_stop_away() -> None:
    world = World(rules=policy(), quantity="0.5")
    world.becomes(position(quantity="1", entry_price=D(1032)))
    assert (world.stop, world.symbol.open["paper"].risk) == (1008, 24)
    manual = World(rules=policy(), initial_stop=None, risk_amount=None)
    manual.becomes(position(entry_price=D(1016), initial_stop=None, risk_amount=None))
    assert manual.stop == 1008


STEPS = st.lists(st.integers(-48, 48), min_size=1, max_size=60)


@given(STEPS, st.booleans())
def test_mirrored_markets_get_mirrored_decisions_and_stops_only_tighten(steps: list[int], fills: bool) -> None:
    """A short in the mirrored market does what the long does; the stop never moves away; no more is ordered than is held."""
    worlds = {side: World(side, policy()) for side in (LONG, SHORT)}
    distance = 0.0
    held = D(1)
    for second, step in enumerate(steps, 1):
        distance += step / 8
        before = {side: world.stop for side, world in worlds.items() if world.symbol.open}
        for side, world in worlds.items():
            world.symbol = msgspec.json.decode(msgspec.json.encode(world.symbol), type=Symbol)
            world.price(far(side, distance), second)
            world.clock(second + 0.5)
        long, short = worlds[LONG], worlds[SHORT]
        assert long.legs() == short.legs()
        assert [(each.action, each.reason, each.r_multiple) for each in long.decisions] == [
            (each.action, each.reason, each.r_multiple) for each in short.decisions
        ]
        for side, world in worlds.items():
            known = before.get(side)
            if known is not None and world.stop is not None:
                assert (world.stop - known) * (1 if side is LONG else -1) >= 0
        assert long.symbol.open["paper"].outstanding <= held
        ordered = sum((intent.quantity for intent in long.intents), D(0))
        if fills and ordered > 1 - held:
            held = 1 - ordered
            assert held >= 0
            for side, world in worlds.items():
                world.becomes(position(side if held else PositionSide.FLAT, str(held), event_ts=T0 + second * 1_000_000))
            if not held:
                assert not long.symbol.open
                return


@given(st.decimals(0, 1000, places=6), st.sampled_from([D("0.001"), D("0.4"), D(1), D("0.25")]))
def test_floor_to(quantity: Decimal, step: Decimal) -> None:
    floored = floor_to(quantity, step)
    assert floored <= quantity < floored + step
    assert floored % step == 0
