"""The universe brain: joins and leaves by scores, never flaps, and only narrows what a person named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.governance.changes import base_of, changes, choosing, person_changes, with_symbols
from processors.governance.defaults import UNIVERSE, universe_rules
from processors.governance.logic import Governance
from processors.governance.state import AccountState, SharedState
from processors.governance.universe import AUTHOR, Universe, choose, on_quality
from processors.output import Output
from quantum.errors import ConfigurationError
from schemas.clock.records import ClockTick
from schemas.common import Mode, UniverseRules
from schemas.governance.records import Policy, PolicyAudit
from schemas.universe.records import SymbolQuality
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND, VENUE, policy, ready, snapshot

NAMES = ("AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT")
HOLD_S = 120


def rules(**fields: Any) -> UniverseRules:
    """Return rules of five candidates for two seats."""
    return universe_rules(UNIVERSE, **{"candidates": list(NAMES), "size": 2, "hold_s": HOLD_S, "max_age_s": 90, **fields})


def quality(symbol: str, score: float | None, at: int) -> SymbolQuality:
    """Return a measurement; the brain looks at its score alone."""
    return SymbolQuality(
        event_id=f"{symbol}:{at}", event_ts=at, ingest_ts=at, account=ACCOUNT, venue=VENUE, symbol=symbol, window_s=60, observed_s=60,
        quote_volume=1.0, traded_share=1.0, missing_share=0.0, stale_share=0.0, lost_share=0.0, score=score,
        weakest=None if score is None else "spread", policy_version=1,
    )  # fmt: skip


def say(universe: Universe, scores: Mapping[str, float | None], at: int) -> None:
    for symbol, score in scores.items():
        on_quality(universe, quality(symbol, score, at))


class Brain:
    """The brain with a list in force, a look at a time."""

    def __init__(self, rules: UniverseRules, in_force: Sequence[str] = ()) -> None:
        self.universe, self.rules, self.in_force, self.now = Universe(), rules, list(in_force), NOW

    def look(self, scores: Mapping[str, float | None], after_s: int = 0) -> str:
        """Take scores and look; return why the list changed."""
        self.now += after_s * SECOND
        say(self.universe, scores, self.now)
        self.in_force, why = choose(self.universe, self.rules, self.in_force, self.now)
        return why

    def repeat(self, scores: Mapping[str, float | None], seconds: int, step_s: int = 10) -> list[str]:
        """Look again and again; return what changed."""
        return [why for _ in range(0, seconds, step_s) if (why := self.look(scores, step_s))]


def test_a_candidate_joins_after_the_hold_and_leaves_after_it_with_the_score_in_the_reason() -> None:
    brain = Brain(rules(), ["AUSDT"])
    good = {"AUSDT": 0.9, "BUSDT": 0.7}
    assert brain.look(good) == ""
    assert brain.repeat(good, HOLD_S - 10) == []
    assert brain.look(good, 10) == f"BUSDT joined: score 0.70, least for its spread, at least 0.6 for {HOLD_S} s"
    assert brain.in_force == ["AUSDT", "BUSDT"]
    dry: Mapping[str, float | None] = {"AUSDT": 0.1, "BUSDT": 0.5}
    assert brain.repeat(dry, HOLD_S) == []
    assert brain.look(dry, 10) == f"AUSDT left: score 0.10, least for its spread, below 0.45 for {HOLD_S} s"
    assert brain.in_force == ["BUSDT"]


@pytest.mark.parametrize("silence", ["never measured", "not scored", "too old"])
def test_what_is_not_measured_leaves_and_cannot_join(silence: str) -> None:
    brain = Brain(rules(), ["AUSDT"])
    if silence == "too old":
        brain.look({"AUSDT": 0.9, "BUSDT": 0.9})
        brain.now += 91 * SECOND
    scores: dict[str, float | None] = {"AUSDT": None, "BUSDT": None} if silence == "not scored" else {}
    assert brain.repeat(scores, HOLD_S) == []
    assert brain.look(scores, 10) == f"AUSDT left: no score, below 0.45 for {HOLD_S} s"
    assert brain.repeat(scores, 2 * HOLD_S) == []
    assert brain.in_force == []


def test_a_break_begins_the_hold_anew() -> None:
    brain = Brain(rules())
    brain.repeat({"AUSDT": 0.9}, HOLD_S)
    brain.look({"AUSDT": 0.59}, 1)
    assert brain.repeat({"AUSDT": 0.9}, HOLD_S) == []
    assert brain.look({"AUSDT": 0.9}, 10) != ""


def test_a_seat_goes_to_a_better_one_only_where_it_is_better_by_the_band() -> None:
    brain = Brain(rules(size=1), ["AUSDT"])
    assert brain.repeat({"AUSDT": 0.65, "BUSDT": 0.75}, 5 * HOLD_S) == []
    scores: dict[str, float | None] = {"AUSDT": 0.65, "BUSDT": 0.85}
    assert brain.repeat(scores, HOLD_S) == []
    why = brain.look(scores, 10)
    assert brain.in_force == ["BUSDT"]
    assert why.split("; ") == [
        f"AUSDT left: score 0.65, least for its spread, BUSDT has outscored it for {HOLD_S} s",
        f"BUSDT joined: score 0.85, least for its spread, at least 0.6 for {HOLD_S} s",
    ]


def test_fewer_seats_and_fewer_candidates_count_at_once() -> None:
    scores: dict[str, float | None] = {"AUSDT": 0.7, "BUSDT": 0.9, "CUSDT": 0.8}
    brain = Brain(rules(size=3), ["AUSDT", "BUSDT", "CUSDT"])
    brain.look(scores)
    brain.rules = rules(size=2)
    assert brain.look(scores, 1) == "AUSDT left: score 0.70, least for its spread, there are 2 seats"
    brain.rules = rules(size=2, candidates=["CUSDT", "AUSDT"])
    assert brain.look(scores, 1) == "BUSDT is no candidate any more"
    assert brain.in_force == ["CUSDT"]


LOOKS = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.dictionaries(
            st.sampled_from(NAMES), st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.1, 0.44, 0.45, 0.5, 0.6, 0.95])), max_size=5
        ),
    ),
    min_size=20,
    max_size=60,
)  # fmt: skip


class Seen:
    """What every look had before it, kept by the test itself."""

    def __init__(self, rules: UniverseRules) -> None:
        self.rules = rules
        self.newest: dict[str, tuple[float | None, int]] = {}
        self.times: list[int] = []
        self.scores: list[dict[str, float]] = []

    def note(self, scores: Mapping[str, float | None], now: int) -> None:
        self.newest |= {symbol: (score, now) for symbol, score in scores.items()}
        self.times.append(now)
        oldest = now - self.rules.max_age_s * SECOND
        self.scores.append({s: score for s, (score, at) in self.newest.items() if score is not None and at >= oldest})

    def whole_hold(self) -> Iterable[dict[str, float]]:
        """Yield the scores of every look of the last hold, which must have been looked at from its beginning."""
        since = self.times[-1] - self.rules.hold_s * SECOND
        first = max(n for n, at in enumerate(self.times) if at <= since)
        return self.scores[first:]

    def within(self, scores: dict[str, float], symbol: str) -> bool:
        """Return whether fewer than ``size`` candidates are better, or as good and named before."""
        place = NAMES.index(symbol)
        mine = scores[symbol]
        before = [s for s, score in scores.items() if score > mine or (score == mine and NAMES.index(s) < place)]
        return len(before) < self.rules.size


@settings(max_examples=60, deadline=None)
@given(looks=LOOKS, size=st.integers(1, 4), hold_s=st.sampled_from([30, 120, 300]), first=st.sets(st.sampled_from(NAMES)))
def test_whatever_the_scores_nothing_flaps_and_every_move_is_justified(
    looks: list[tuple[int, dict[str, float | None]]], size: int, hold_s: int, first: set[str]
) -> None:
    brain = Brain(rules(size=size, hold_s=hold_s), [symbol for symbol in NAMES if symbol in first][:size])
    seen, moved = Seen(brain.rules), dict[str, int]()
    for after_s, scores in looks:
        before = set(brain.in_force)
        why = brain.look(scores, after_s)
        seen.note(scores, brain.now)
        after = set(brain.in_force)
        assert len(after) == len(brain.in_force) <= size
        assert brain.in_force == [symbol for symbol in NAMES if symbol in after]
        assert bool(why) == (before != after)
        joined, left = after - before, before - after
        for symbol in joined | left:
            assert brain.now - moved.get(symbol, NOW) >= hold_s * SECOND, "it flaps"
            assert f"{symbol} {'joined' if symbol in joined else 'left'}: " in why
            moved[symbol] = brain.now
        for symbol in joined:
            assert all(s.get(symbol, -1) >= 0.6 and seen.within(s, symbol) for s in seen.whole_hold())
        for symbol in left:
            if not all(s.get(symbol, -1) < 0.45 for s in seen.whole_hold()):
                band = brain.rules.entry_score - brain.rules.exit_score
                for s in seen.whole_hold():
                    assert symbol not in s or not seen.within(s, symbol)
                    assert max(s.values()) >= s.get(symbol, -1) + band
                assert any(seen.scores[-1][other] >= seen.scores[-1].get(symbol, -1) + band for other in joined)
        assert msgspec.json.decode(msgspec.json.encode(brain.universe), type=Universe) == brain.universe


@settings(deadline=None)
@given(
    scores=st.lists(st.dictionaries(st.sampled_from(NAMES), st.floats(0.45, 0.6, exclude_max=True), min_size=5), min_size=1, max_size=30),
    first=st.sets(st.sampled_from(NAMES), max_size=2),
)
def test_between_the_thresholds_nothing_moves(scores: list[dict[str, float | None]], first: set[str]) -> None:
    brain = Brain(rules(), sorted(first))
    assert [why for look in scores if (why := brain.look(look, 60))] == []


@settings(deadline=None)
@given(swings=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(1, HOLD_S - 1)), min_size=1, max_size=60))
def test_a_score_that_never_stays_for_the_hold_moves_nothing(swings: list[tuple[float, float, int]]) -> None:
    brain = Brain(rules(), ["AUSDT"])
    for number, (one, other, seconds) in enumerate(swings):
        inside = {"AUSDT": 0.5, "BUSDT": 0.5}
        brain.look({"AUSDT": one, "BUSDT": other} if number % 2 else inside, seconds if number % 2 else 1)
        brain.look(inside, 1)
    assert brain.in_force == ["AUSDT"]


def governed(**fields: Any) -> tuple[Governance, AccountState, SharedState]:
    """Return a stage whose person lets the brain choose among five, of which two are in force."""
    governance, shared = ready()
    first = policy(universe=["AUSDT", "BUSDT"])
    shared.policy = person_changes(first, now_us=NOW, author="anna", reason="choose", **choosing(first, rules(**fields)))
    return governance, AccountState(), shared


def seconds(
    governance: Governance, account: AccountState, shared: SharedState, scores: Mapping[str, float | None], since_s: int, until_s: int
) -> list[Output]:
    """Let seconds pass while the symbols have scores, which are said every minute."""
    outputs: list[Output] = []
    for second in range(since_s, until_s):
        at = NOW + second * SECOND
        if second % 60 == 0:
            for symbol, score in scores.items():
                governance.on_quality(account, quality(symbol, score, at))
        outputs += governance.on_clock(account, shared, ClockTick(event_id=f"c{at}", event_ts=at, ingest_ts=at))
    return outputs


def in_force(shared: SharedState) -> Policy:
    assert shared.policy is not None
    return shared.policy


def test_the_choice_is_a_policy_of_the_universe_brain_with_reason_and_audit() -> None:
    governance, account, shared = governed()
    scores: dict[str, float | None] = {"AUSDT": 0.9, "BUSDT": 0.2, "CUSDT": 0.8}
    written, audited = seconds(governance, account, shared, scores, 0, 300)
    new, record = written.record, audited.record
    assert isinstance(new, Policy)
    assert isinstance(record, PolicyAudit)
    assert (new.version, new.author, new.universe) == (3, AUTHOR, ["AUSDT", "CUSDT"])
    assert new.reason.split("; ") == [
        f"BUSDT left: score 0.20, least for its spread, below 0.45 for {HOLD_S} s",
        f"CUSDT joined: score 0.80, least for its spread, at least 0.6 for {HOLD_S} s",
    ]
    assert record.changes == {"universe": "AUSDT, BUSDT -> AUSDT, CUSDT"}
    assert base_of(new).author == "anna"
    assert new.universe_rules == rules()


def test_without_rules_the_list_is_the_persons_whatever_the_scores() -> None:
    governance, shared = ready()
    assert seconds(governance, AccountState(), shared, {"BTCUSDT": 0.0, "CUSDT": 1.0}, 0, 600) == []


def test_a_person_is_not_fought() -> None:
    governance, account, shared = governed()
    scores: dict[str, float | None] = {"AUSDT": 0.9, "BUSDT": 0.2, "CUSDT": 0.8}
    seconds(governance, account, shared, scores, 0, 300)
    shared.policy = person_changes(in_force(shared), now_us=NOW, author="anna", reason="pause", mode=Mode.REDUCE_ONLY)
    assert seconds(governance, account, shared, scores, 300, 600) == []
    assert in_force(shared).universe == ["AUSDT", "CUSDT"]
    stale = person_changes(policy(version=4, universe=["BUSDT"], universe_rules=rules()), now_us=NOW, author="ben", reason="old look")
    shared.policy = stale  # written on top of a list that the brain has changed meanwhile
    seconds(governance, account, shared, scores, 600, 601)
    assert (in_force(shared).universe, in_force(shared).author) == (["AUSDT", "CUSDT"], AUTHOR)
    fixed = {"universe": ["EUSDT"], "universe_rules": None}
    shared.policy = person_changes(in_force(shared), now_us=NOW, author="anna", reason="only this", **fixed)
    assert seconds(governance, account, shared, scores, 601, 1200) == []
    assert in_force(shared).universe == ["EUSDT"]
    assert not any(standing.member for standing in account.universe.standings.values())


def test_a_change_of_limits_and_of_the_universe_at_once_has_both_authors_and_reasons() -> None:
    governance, account, shared = governed(hold_s=1)
    governance.on_snapshot(shared, snapshot(drawdown=0.06))
    account.universe.standings.clear()
    first, *_ = seconds(governance, account, shared, {"AUSDT": 0.9, "BUSDT": 0.9}, 0, 1)
    assert isinstance(first.record, Policy)
    assert AUTHOR not in first.record.author
    governance.on_snapshot(shared, snapshot(drawdown=0.09, event_ts=NOW + 1))
    say(account.universe, {"BUSDT": 0.1}, NOW + SECOND)
    account.universe.standings["BUSDT"].due_since = NOW
    both, *_ = seconds(governance, account, shared, {}, 1, 2)
    assert isinstance(both.record, Policy)
    assert both.record.author == f"risk-brain+{AUTHOR}"
    assert "drawdown uses 90%" in both.record.reason
    assert "BUSDT left: score 0.10" in both.record.reason


def test_symbols_that_a_person_names_are_candidates_where_the_brain_chooses() -> None:
    chosen = policy(universe=["BUSDT"], universe_rules=rules())
    named = with_symbols(chosen, ["CUSDT", "BUSDT", "CUSDT"])
    assert named == {"universe": ["BUSDT"], "universe_rules": rules(candidates=["CUSDT", "BUSDT"])}
    assert with_symbols(policy(), ["CUSDT"]) == {"universe": ["CUSDT"]}
    assert with_symbols(chosen, []) == {}


def test_rules_that_go_are_in_the_audit() -> None:
    chosen = policy(universe_rules=rules())
    assert changes(policy(), chosen)["universe_rules.size"] == "none -> 2"
    assert changes(chosen, policy())["universe_rules.size"] == "2 -> none"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size": 0}, "size must be"),
        ({"exit_score": "0.6"}, "exit_score must be"),
        ({"entry_score": "nan"}, "exit_score must be"),
        ({"hold_s": 0}, "hold_s"),
        ({"window_minutes": 61}, "window_minutes must be"),
        ({"min_observed_s": 3600}, "within the window"),
        ({"spread_best": 20}, "spread_best must be"),
        ({"volume_worst": 0}, "volume_worst must be"),
        ({"data_worst": 1}, "data_worst must be"),
        ({"depth_weight": -1}, "weights must be"),
        ({"volume_weight": 0, "depth_weight": 0, "spread_weight": 0, "volatility_weight": 0, "data_weight": 0}, "weights must be"),
        ({"candidates": []}, "candidates must be"),
        ({"candidates": ["AUSDT", "AUSDT"]}, "candidates must be"),
        ({"sice": 3}, "there is no sice"),
        ({"size": "three"}, "size"),
    ],
)
def test_rules_that_cannot_be_gone_by_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        universe_rules(rules(), **fields)
