"""What judges the campaigns: it must see what is wrong."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from processors.runtime.epochs.faults import POINTS
from tests.consistency.broker import Row
from tests.consistency.campaign import KEYS, Verdict, judge
from tests.consistency.chaos import agree
from tests.consistency.chaos.fleet import Tally
from tests.consistency.chaos.result import Result, broken_promises
from tests.consistency.chaos.scenario import SCENARIOS, Scenario, plan

_EACH = 3
GOOD = Result(
    scenario="storm", seed=1, agent="event", workers=2, records=_EACH * KEYS, kills=2, stops=0, added=0, removed=0, restarts=0,
    broker_kills=0, broker_stops=0, lost=0, doubled=0, over_counted=0, out_of_order=0, backwards=0, ended_by_themselves=[], yielded=[],
    points=["begun"], catch_up_s=1.0, back_s=[1.0, 2.0], back_beside_sleepers_s=[], pauses_s={0: 2.0}, leave_s=0.5, hanging=[],
    compared=True, disagreements=[], load=1.0, broken=[],
)  # fmt: skip
SCENARIO = Scenario(kills=2, points=("begun",), restarts=1)


def outputs() -> list[Row]:
    return [Row(0, 0, 0, str(key), b"%d" % count, {}) for count in range(1, _EACH + 1) for key in range(KEYS)]


def test_right_outputs_are_right() -> None:
    assert judge(outputs(), _EACH * KEYS) == Verdict()


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (outputs()[1:], Verdict(lost=1)),
        ([*outputs(), outputs()[-1]], Verdict(doubled=1)),
        ([*outputs(), Row(0, 0, 0, "7", b"%d" % (_EACH + 1), {})], Verdict(over_counted=1)),
        ([outputs()[KEYS], *outputs()[:KEYS], *outputs()[KEYS + 1 :]], Verdict(out_of_order=1)),
    ],
)
def test_each_wrong_is_seen(rows: list[Row], verdict: Verdict) -> None:
    assert judge(rows, _EACH * KEYS) == verdict


def test_a_campaign_without_fault_keeps_its_promises() -> None:
    assert broken_promises(GOOD, SCENARIO, Tally(endings=[(0, 0.5)])) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"doubled": 1}, "outputs are wrong"),
        ({"backwards": 1}, "went back"),
        ({"ended_by_themselves": ["worker 0"]}, "ended by themselves"),
        ({"catch_up_s": 15.5}, "until all is written"),
        ({"hanging": ["out 0"]}, "hang"),
        ({"disagreements": ["the changelog"]}, "disagree"),
        ({"points": []}, "no kill at begun"),
        ({"kills": 1}, "kills instead of"),
        ({"back_s": [1.0, 3.5]}, "killed worker needed"),
        ({"pauses_s": {0: 3.5}}, "a pause"),
        ({"leave_s": 3.5}, "to leave"),
        ({"yielded": []}, "one identity"),
    ],
)
def test_each_broken_promise_is_named(change: dict[str, object], words: str) -> None:
    scenario = replace(SCENARIO, twins=1) if "yielded" in change else SCENARIO
    (broken,) = broken_promises(msgspec.structs.replace(GOOD, **change), scenario, Tally())
    assert words in broken


def test_a_worker_that_ends_badly_is_named() -> None:
    assert "all is well" in broken_promises(GOOD, SCENARIO, Tally(endings=[(1, 0.5)]))[0]
    shared = replace(SCENARIO, twins=1)
    assert "how to mend" in broken_promises(GOOD, shared, Tally(yielded=[("older", 1.0, "no reason")]))[0]
    assert broken_promises(GOOD, shared, Tally(yielded=[("older", 1.0, "name it: worker=...")])) == []


def test_a_control_that_shows_nothing_is_a_failure() -> None:
    control = Scenario(must_fail=True)
    assert broken_promises(GOOD, control, Tally()) != []
    assert broken_promises(msgspec.structs.replace(GOOD, doubled=1), control, Tally()) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_plan_does_what_the_scenario_says(name: str) -> None:
    scenario = SCENARIOS[name]
    steps = plan(scenario, 100.0, random.Random(1))
    kinds = Counter(step.kind for step in steps)
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert all(0.0 < step.at < 100.0 for step in steps)
    armed = [step.fault.partition(":")[0] for step in steps if step.fault]
    assert sorted(armed) == sorted(scenario.points)
    assert kinds["kill"] + len(armed) == scenario.kills
    assert (kinds["stop"], kinds["add"], kinds["remove"]) == (scenario.stops, scenario.changes, scenario.changes)
    assert kinds["broker killed"] == scenario.broker_kills
    assert steps == plan(scenario, 100.0, random.Random(1))


def test_the_storms_strike_at_every_point_of_the_commit() -> None:
    assert [set(SCENARIOS[name].points) for name in SCENARIOS if "workers" in name] == [set(POINTS)] * 4


def test_tables_that_differ_are_named_with_a_key() -> None:
    expected = {0: {"a": 1, "b": 2}, 1: {"c": 3}}
    assert agree.differences(expected, {"same": {0: {"a": 1, "b": 2}, 1: {"c": 3}}}) == []
    assert agree.differences(expected, {"other": {0: {"a": 1, "b": 1}, 1: {"c": 3}}}) == ["other, partition 0: 1 keys, 'b' is 1, not 2"]
    assert agree.differences(expected, {"less": {0: {"a": 1, "b": 2}}}) == ["less, partition 1: 1 keys, 'c' is None, not 3"]
