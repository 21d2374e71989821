"""How well a symbol can be traded: measured against counts made apart, scored within bounds, once a minute."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.features import context, quality, quotes
from processors.features.rules import Rules
from processors.features.score import Measured, scores
from processors.governance.changes import person_changes
from processors.governance.defaults import UNIVERSE, default_policy, universe_rules
from schemas.common import BookState, UniverseRules
from schemas.governance.records import Policy
from schemas.market.records import MarketDepth, MarketKline, MarketQuote
from schemas.universe.records import SymbolQuality

VENUE, SYMBOL, ACCOUNT = "binance-usdm", "BTCUSDT", "paper"
S = 1_000_000
START = 1_790_000_040 * S
"""Begins a minute."""
MARKET = quality.Market(ACCOUNT, VENUE)
RULES = Rules(VENUE, "1m")
CHOSEN = universe_rules(UNIVERSE, candidates=[SYMBOL], window_minutes=2, min_observed_s=60)


def bar(second: int, **fields: Any) -> MarketKline:
    """Return a second's bar with one trade of 1 at 100, whose id is that of the second."""
    opened = START + second * S
    first = MarketKline(
        event_id=f"k{second}", event_ts=opened + S, ingest_ts=opened + S + 5, venue=VENUE, symbol=SYMBOL, interval="1s", open_ts=opened,
        close_ts=opened + S, open=100.0, high=100.0, low=100.0, close=100.0, volume=1.0, quote_volume=100.0, trades=1, taker_buy_volume=0.0,
        first_trade_id=1000 + second, last_trade_id=1000 + second,
    )  # fmt: skip
    return msgspec.structs.replace(first, **fields)


def quote(ts: int, bid: float = 99.99, ask: float = 100.01, quantity: float = 5.0) -> MarketQuote:
    return MarketQuote(
        event_id=f"q{ts}", event_ts=ts, ingest_ts=ts, venue=VENUE, symbol=SYMBOL, update_id=ts, bid_price=bid, bid_quantity=quantity,
        ask_price=ask, ask_quantity=quantity + 1,
    )  # fmt: skip


def depth(ts: int, quantity: float = 7.0, state: BookState = BookState.LIVE) -> MarketDepth:
    live = state is BookState.LIVE
    return MarketDepth(
        event_id=f"d{ts}", event_ts=ts, ingest_ts=ts, venue=VENUE, symbol=SYMBOL, state=state, resyncs=0,
        bid_prices=[99.9, 99.8] if live else [], bid_quantities=[quantity, quantity] if live else [],
        ask_prices=[100.1] if live else [], ask_quantities=[100.0] if live else [],
    )  # fmt: skip


def policy(rules: UniverseRules | None, version: int = 1, account: str = ACCOUNT) -> Policy:
    first = default_policy(account, now_us=START, author="anna", universe=[SYMBOL], version=version)
    return msgspec.structs.replace(first, universe_rules=rules)


class Stage:
    """The states of one symbol, stored and read before every record, as the tables may do."""

    def __init__(self, rules: UniverseRules | None = CHOSEN) -> None:
        self.minute, self.window, self.known = quality.OpenMinute(), quality.Window(), quality.RulesInForce()
        self.quotes, self.books = quotes.Quotes(), context.Books()
        assert list(quality.on_policy(MARKET, self.known, policy(rules))) == []

    def take(self, record: MarketQuote | MarketDepth | MarketKline) -> SymbolQuality | None:
        """Take a record as the wiring gives it; return the measurement that it makes."""
        if isinstance(record, MarketQuote):
            assert list(quotes.on_quote(RULES, self.quotes, record)) == []
            return None
        if isinstance(record, MarketDepth):
            assert list(context.on_depth(RULES, self.books, record)) == []
            return None
        if not MARKET.counts(record):
            return None
        for name in ("minute", "window", "known"):
            state = getattr(self, name)
            setattr(self, name, msgspec.json.decode(msgspec.json.encode(state), type=type(state)))
        ends = MARKET.ends_minute(record)
        outputs = list(
            quality.on_bar(
                MARKET, self.minute, self.window if ends else None, self.quotes, self.books, self.known if ends else None, record
            )
        )
        assert [(output.topic, output.key) for output in outputs] == [("universe.quality", f"{ACCOUNT}:{SYMBOL}")] * len(outputs)
        made = [output.record for output in outputs]
        assert len(made) <= 1
        found = made[0] if made else None
        assert found is None or isinstance(found, SymbolQuality)
        return found

    def minutes(self, count: int, first: int = 0, **fields: Any) -> list[SymbolQuality]:
        """Let whole minutes pass: a quote and a book in the middle of every second."""
        made = []
        for second in range(first * 60, (first + count) * 60):
            self.take(quote(START + second * S + S // 2))
            self.take(depth(START + second * S + S // 2))
            made.append(self.take(bar(second, **fields)))
        return [each for each in made if each is not None]


def test_a_good_market_is_measured_as_it_is_once_a_minute() -> None:
    first, second, third = Stage().minutes(3)
    assert (first.event_id, first.event_ts) == (f"paper:{VENUE}:{SYMBOL}:quality:{START + 60 * S}", START + 60 * S)
    assert (first.window_s, second.window_s, third.window_s, third.observed_s) == (60, 120, 120, 120)
    assert (third.quote_volume, third.traded_share) == (6000.0, 1.0)
    assert third.spread_bps == pytest.approx(2.0)
    assert third.touch_notional == pytest.approx(99.99 * 5)
    assert third.depth_notional == pytest.approx(7 * 99.9 + 7 * 99.8)
    assert (third.missing_share, third.stale_share, third.book_stale_share, third.lost_share) == (0.0, 0.0, 0.0, 0.0)
    assert third.quote_age_s == 0.5
    assert third.policy_version == 1


def test_a_state_counts_by_how_long_it_lasts_not_by_how_often_it_is_said() -> None:
    stage, made = Stage(), None
    for second in range(60):
        wide = second < 15
        for n in range(1 if wide else 40):
            stage.take(quote(START + second * S + n, 99.9 if wide else 99.99, 100.1 if wide else 100.01))
        made = stage.take(bar(second))
    assert made is not None
    assert made.spread_bps == pytest.approx((15 * 20 + 45 * 2) / 60)


def test_a_quote_after_the_bars_end_is_not_the_bars() -> None:
    stage = Stage()
    stage.take(quote(START + S // 2))
    stage.take(quote(START + S + 1, 90.0, 110.0))
    stage.take(bar(0))
    assert stage.minute.sums.spread_bps == pytest.approx(2.0)


def test_old_quotes_lost_books_and_seconds_without_a_bar_are_bad_data() -> None:
    stage, made = Stage(), None
    for second in range(60):
        if second < 20:
            stage.take(quote(START + second * S))
        if second == 0 or second == 50:
            stage.take(depth(START + second * S))
        if second == 30:
            stage.take(depth(START + second * S, state=BookState.STALE))
        made = stage.take(bar(second)) if second not in (55, 56) else None
    assert made is not None
    assert (made.window_s, made.observed_s) == (60, 58)
    assert made.missing_share == pytest.approx(2 / 60)
    assert made.stale_share == pytest.approx(1 - 24 / 58)  # the quote of second 19 is fresh until the end of second 23
    assert made.book_stale_share == pytest.approx(1 - 10 / 58)  # five seconds after each of two records
    assert made.volatility is None
    assert made.quote_age_s == 41.0


def test_a_symbol_without_a_book_is_scored_by_its_touch_and_one_without_a_quote_not_at_all() -> None:
    stage = Stage()
    silent = [stage.take(bar(second)) for second in range(60)][-1]
    assert silent is not None
    assert (silent.window_s, silent.observed_s, silent.missing_share, silent.score, silent.policy_version) == (0, 0, 1.0, None, 0)
    for second in range(60, 120):
        stage.take(quote(START + second * S, quantity=100.0))
        made = stage.take(bar(second))
    assert made is not None
    assert (made.depth_notional, made.book_stale_share) == (None, None)
    assert made.depth_score == pytest.approx(math.log(9999 / 2000) / math.log(100))
    assert made.data_score == 1.0
    assert (made.score, made.weakest) == (0.0, "volume")


def test_what_was_before_the_first_quote_is_not_held_against_a_symbol() -> None:
    stage = Stage()
    for second in range(90):
        stage.take(bar(second))
    for second in range(90, 120):
        stage.take(quote(START + second * S))
        made = stage.take(bar(second))
    assert made is not None
    assert (made.window_s, made.observed_s, made.missing_share, made.quote_volume) == (30, 30, 0.0, 6000.0)
    for second in range(120, 180):
        made = stage.take(bar(second)) if second != 150 else None
        stage.quotes.seconds.clear()  # a stage that is far behind has forgotten the quotes of then
    assert made is not None
    assert (made.window_s, made.observed_s) == (90, 31)


def test_volatility_is_that_of_one_minute_returns() -> None:
    stage, closes = Stage(universe_rules(CHOSEN, window_minutes=60)), [100.0, 101.0, 100.5, 102.0, 101.0]
    made = [each for n, price in enumerate(closes) for each in stage.minutes(1, n, close=price)]
    returns = [math.log(b / a) for a, b in pairwise(closes)]
    assert made[1].volatility is None
    assert made[-1].volatility == pytest.approx(math.sqrt(statistics.fmean(r * r for r in returns) * 365 * 24 * 60))


@settings(deadline=None)
@given(
    order=st.permutations(range(40)), lost=st.sets(st.integers(0, 39), max_size=10), cuts=st.sets(st.integers(1, 39), max_size=8)
)  # fmt: skip
def test_ids_that_no_bar_has_are_lost_whatever_the_order(order: list[int], lost: set[int], cuts: set[int]) -> None:
    """Trades come disordered by a few places, as within the grace of bars; the first and the last bar frame them."""
    near = sorted(range(40), key=lambda n: n + order[n] % 4)
    ids = [[1], *([1001 + n for n in near[a:b]] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 40], strict=True)), [1041]]
    ids[0] = [1000]
    stage = Stage()
    stage.take(quote(START))
    kept = [[each for each in part if each - 1001 not in lost] for part in ids]
    for second, part in enumerate(kept):
        found = {"first_trade_id": min(part), "last_trade_id": max(part)} if part else {"first_trade_id": None, "last_trade_id": None}
        stage.take(bar(second, trades=len(part), **found))
    sums = stage.minute.sums
    assert sums.ids - sums.trades == len(lost)


def test_a_lost_trade_lowers_the_share_and_a_venue_whose_ids_do_not_count_has_none() -> None:
    stage = Stage()
    stage.take(quote(START))
    found = [stage.take(bar(n, first_trade_id=1000 + n * 2, last_trade_id=1000 + n * 2)) for n in range(60)]
    assert found[-1] is not None
    assert found[-1].lost_share == 0.5
    unknown = Stage().minutes(1, first_trade_id=None, last_trade_id=None)
    assert unknown[0].lost_share == 0.0


def test_the_window_forgets_and_its_size_is_bounded() -> None:
    stage = Stage()
    stage.minutes(2, quote_volume=50_000.0)
    assert stage.minutes(2, 2)[-1].quote_volume == 6000.0
    stage.minutes(70, 4)
    assert len(stage.window.minutes) == 60
    assert len(msgspec.json.encode(stage.window)) < 12_000


def test_a_long_silence_is_an_hour_of_missing_seconds_at_most() -> None:
    stage = Stage(universe_rules(CHOSEN, window_minutes=60))
    stage.minutes(1)
    stage.take(quote(START + 86_400 * S))
    made = stage.take(bar(86_400 + 59))
    assert made is not None
    assert (made.window_s, made.observed_s, made.stale_share) == (3600, 1, 1.0)
    assert made.volatility is None


def test_repeated_bars_and_those_of_others_change_nothing() -> None:
    stage = Stage()
    stage.minutes(1)
    before = msgspec.json.encode((stage.minute, stage.window))
    for other in (bar(59), bar(10), bar(60, venue="bybit-linear"), bar(60, interval="1m")):
        assert stage.take(other) is None
    assert msgspec.json.encode((stage.minute, stage.window)) == before


def test_scores_go_by_the_newest_rules_of_the_account() -> None:
    stage = Stage(None)
    assert [(each.score, each.policy_version) for each in stage.minutes(1)] == [(None, 0)]
    rules = universe_rules(CHOSEN, volume_worst=100, volume_best=6000, spread_best=2, depth_worst=100, depth_best=1000, data_worst=0.5)
    for given_policy in (policy(rules, 3), policy(None, 2), policy(None, 9, "other")):
        list(quality.on_policy(MARKET, stage.known, given_policy))
    *_, made = stage.minutes(3, 1)
    assert (made.policy_version, made.volume_score, made.data_score) == (3, 1.0, 1.0)
    assert made.spread_score == pytest.approx(1.0)
    assert (made.volatility_score, made.score, made.weakest) == (0.0, 0.0, "volatility")
    unusable = person_changes(policy(msgspec.structs.replace(rules, data_worst=1.0), 4), now_us=START, author="anna", reason="typed wrong")
    list(quality.on_policy(MARKET, stage.known, unusable))
    assert stage.minutes(1, 4)[-1].score is None


AMOUNT = st.one_of(st.none(), st.floats(0, 1e9))
SHARE = st.floats(0, 1)
MEASURED = st.builds(
    Measured, window_s=st.just(60), observed_s=st.just(60), quote_volume=st.floats(0, 1e12), traded_share=SHARE, spread_bps=AMOUNT,
    touch_notional=AMOUNT, depth_notional=AMOUNT, volatility=AMOUNT, missing_share=SHARE, stale_share=SHARE,
    book_stale_share=st.one_of(st.none(), SHARE), lost_share=SHARE,
)  # fmt: skip
PARTS = ("volume", "depth", "spread", "volatility", "data")


@settings(deadline=None)
@given(measured=MEASURED, weights=st.lists(st.floats(0, 10), min_size=5, max_size=5).filter(lambda all_: sum(all_) > 0.01))
def test_a_score_is_the_weighted_geometric_mean_of_its_parts(measured: Measured, weights: list[float]) -> None:
    rules = universe_rules(CHOSEN, **{f"{name}_weight": weight for name, weight in zip(PARTS, weights, strict=True)})
    made = scores(rules, measured)
    parts = [getattr(made, f"{name}_score") for name in PARTS]
    assert all(0 <= part <= 1 for part in (*parts, made.score))
    product = math.prod(part**weight for part, weight in zip(parts, weights, strict=True) if weight > 0)
    assert made.score == pytest.approx(product ** (1 / sum(weights)), rel=1e-6, abs=1e-12)
    if made.weakest is None:
        assert made.score == 1.0
    else:
        assert getattr(made, f"{made.weakest}_score") < 1


@settings(deadline=None)
@given(measured=MEASURED, field=st.sampled_from(["quote_volume", "depth_notional", "spread_bps", "missing_share", "lost_share"]), by=SHARE)
def test_a_better_market_never_scores_less(measured: Measured, field: str, by: float) -> None:
    value = getattr(measured, field)
    if value is None:
        return
    better = value * (1 + 9 * by) if field in ("quote_volume", "depth_notional") else value * by
    assert scores(CHOSEN, msgspec.structs.replace(measured, **{field: better})).score >= scores(CHOSEN, measured).score - 1e-12


@pytest.mark.parametrize(("volatility", "score"), [(None, 0.0), (0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (1.5, 1.0), (3.0, 0.5)])
def test_volatility_scores_within_a_band(volatility: float | None, score: float) -> None:
    measured = Measured(60, 60, 1e6, 1.0, 1.0, 1e6, 1e6, volatility, 0.0, 0.0, 0.0, 0.0)
    made = scores(CHOSEN, measured)
    assert made.volatility_score == pytest.approx(score)
    assert made.weakest == (None if score == 1 else "volatility")
