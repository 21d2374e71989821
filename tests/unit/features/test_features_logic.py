from __future__ import annotations

import msgspec
import pytest

from ml.features import BAR_FEATURES, context, flow
from ml.features.regime import RegimeState
from ml.training.bars import BarRow
from ml.training.dataset import feature_rows
from processors.features import context as said
from processors.features import logic, quotes
from processors.features.held import KEPT
from processors.features.rules import Rules
from processors.output import Output
from schemas.common import BookState, Regime, VenueMid
from schemas.features.records import Features, MarketRegime
from schemas.market.records import ExchangeNormalized, MarketDepth, MarketFunding, MarketKline, MarketQuote
from tests.unit.changelog import restored, written
from tests.unit.ml.markets import momentum_bars

VENUE = "binance-usdm"
RULES = Rules(VENUE, "1s")
S = 1_000_000
BARS = momentum_bars(120, 21)


def kline(row: BarRow, *, venue: str = VENUE, interval: str = "1s") -> MarketKline:
    return MarketKline(
        event_id=f"{venue}:BTCUSDT:{interval}:{row.open_ts}",
        event_ts=row.close_ts,
        ingest_ts=row.close_ts + 5,
        venue=venue,
        symbol="BTCUSDT",
        interval=interval,
        trades=3,
        **msgspec.structs.asdict(row),
    )


def quote(ts: int, bid: float = 99.99, ask: float = 100.01, *, venue: str = VENUE, bid_quantity: float = 3.0) -> MarketQuote:
    return MarketQuote(
        event_id=f"q{ts}",
        event_ts=ts,
        ingest_ts=ts,
        venue=venue,
        symbol="BTCUSDT",
        update_id=ts,
        bid_price=bid,
        bid_quantity=bid_quantity,
        ask_price=ask,
        ask_quantity=1.0,
    )


def depth(ts: int, *, bid_quantity: float = 3.0, levels: int = 6, venue: str = VENUE, state: BookState = BookState.LIVE) -> MarketDepth:
    steps = [0.1 * level for level in range(levels)]
    return MarketDepth(
        event_id=f"d{ts}",
        event_ts=ts,
        ingest_ts=ts,
        venue=venue,
        symbol="BTCUSDT",
        state=state,
        bid_prices=[100.0 - step for step in steps],
        bid_quantities=[bid_quantity for _ in steps],
        ask_prices=[100.1 + step for step in steps],
        ask_quantities=[1.0 for _ in steps],
        resyncs=0,
    )


def bar(close_ts: int, seconds: int = 1) -> MarketKline:
    interval = {1: "1s", 60: "1m", 300: "5m"}[seconds]
    return kline(BarRow(close_ts - seconds * S, close_ts, 100.0, 100.0, 100.0, 100.0, 1.0, 100.0, 0.5), interval=interval)


def funding(ts: int, *, open_interest: float | None = None, venue: str = VENUE) -> MarketFunding:
    return MarketFunding(
        event_id=f"f{ts}", event_ts=ts, ingest_ts=0, venue=venue, symbol="BTCUSDT", mark_price=1.0, index_price=1.0, funding_rate=1e-4,
        next_funding_ts=160 * S, open_interest=open_interest, open_interest_ts=None if open_interest is None else ts,
    )  # fmt: skip


def run(rows: list[BarRow], rules: Rules = RULES) -> list[list[Output]]:
    state, regime, around = logic.BarState(), RegimeState(), logic.Around()
    return [list(logic.on_kline(rules, state, regime, around, kline(row))) for row in rows]


def beside(around: logic.Around, closed: MarketKline, rules: Rules = RULES) -> dict[str, float | None]:
    return said.context_features(rules, around.quotes, around.flows, around.books, around.context, closed)


def flows(around: logic.Around, *bars: MarketKline, rules: Rules = RULES) -> list[float | None]:
    """Return the order-flow imbalance of bars as they close."""
    states = {each.interval: logic.BarState() for each in bars}
    vectors = [output.record for each in bars for output in logic.on_kline(rules, states[each.interval], RegimeState(), around, each)]
    return [vector.order_flow_imbalance for vector in vectors if isinstance(vector, Features)]


def test_each_bar_gives_a_vector_and_a_regime_with_deterministic_ids() -> None:
    rows = list(BARS)
    first, again = run(rows), run(rows)
    assert first == again
    vector, regime = (output.record for output in first[-1])
    assert isinstance(vector, Features)
    assert isinstance(regime, MarketRegime)
    close_ts = rows[-1].close_ts
    assert (vector.event_id, vector.event_ts, vector.ingest_ts) == (f"{VENUE}:BTCUSDT:1s:{close_ts}:features", close_ts, close_ts + 5)
    assert regime.event_id == f"{VENUE}:BTCUSDT:1s:{close_ts}:regime"
    assert vector.warm
    assert vector.close == rows[-1].close
    assert regime.regime is not Regime.WARMING_UP


def test_the_vectors_are_those_that_training_folds_over_the_same_bars() -> None:
    rows, warm = feature_rows(BARS)
    for index, outputs in enumerate(run(list(BARS))):
        record = outputs[0].record
        assert isinstance(record, Features)
        assert record.warm == warm[index]
        online = [getattr(record, name) for name in BAR_FEATURES]
        assert online == [None if value != value else value for value in rows[index].tolist()]


def test_states_that_were_stored_and_read_go_on_the_same() -> None:
    stored, regime, around = logic.BarState(), RegimeState(), logic.Around()
    kept = logic.BarState(), RegimeState(), logic.Around()
    for number, row in enumerate(BARS):
        stored, around = restored(stored), restored(around)
        for state in (around, kept[2]):
            quotes.on_quote(RULES, state.quotes, quote(row.open_ts + 1, 99.0 + number % 2, bid_quantity=1.0 + number))
            said.on_funding(RULES, state.context, funding(row.open_ts + 2, open_interest=50.0 + number))
        assert list(logic.on_kline(RULES, stored, regime, around, kline(row))) == list(logic.on_kline(RULES, *kept, kline(row)))
    assert len(written(stored)) < 8_000


def test_other_venues_and_intervals_and_repeated_bars_give_nothing() -> None:
    state, regime, around = logic.BarState(), RegimeState(), logic.Around()
    row = next(iter(BARS))
    assert not list(logic.on_kline(RULES, state, regime, around, kline(row, venue="binance-spot")))
    assert not list(logic.on_kline(RULES, state, regime, around, kline(row, interval="1m")))
    assert list(logic.on_kline(RULES, state, regime, around, kline(row)))
    assert not list(logic.on_kline(RULES, state, regime, around, kline(row)))


def test_every_wanted_interval_gives_vectors_and_the_primary_one_alone_regimes() -> None:
    rules = Rules(VENUE, "1m", frozenset({"1s", "5m"}))
    regime, around = RegimeState(), logic.Around()
    topics = {
        interval: [
            output.topic for output in logic.on_kline(rules, logic.BarState(), regime, around, kline(next(iter(BARS)), interval=interval))
        ]
        for interval in ("1s", "1m", "5m", "15m")
    }
    assert topics == {"1s": ["features"], "1m": ["features", "market.regime"], "5m": ["features"], "15m": []}
    assert regime.since_ts == next(iter(BARS)).close_ts


def test_context_features_are_what_was_said_last_before_the_close_and_null_when_too_old() -> None:
    around = logic.Around()
    said.on_depth(RULES, around.books, depth(90 * S))
    said.on_depth(RULES, around.books, depth(80 * S, bid_quantity=9.0))  # late
    said.on_depth(RULES, around.books, depth(95 * S, bid_quantity=9.0, venue="bybit"))
    said.on_depth(RULES, around.books, depth(100 * S, bid_quantity=9.0))  # of the next bar, though it comes before this one's close
    quotes.on_quote(RULES, around.quotes, quote(90 * S))
    quotes.on_quote(RULES, around.quotes, quote(80 * S, 50.0, 51.0))
    quotes.on_quote(RULES, around.quotes, quote(95 * S, 50.0, 51.0, venue="bybit"))
    quotes.on_quote(RULES, around.quotes, quote(100 * S, 50.0, 51.0))
    said.on_funding(RULES, around.context, funding(90 * S))
    mids = [VenueMid(venue=name, mid=100.0, divergence_bps=0.0, age_us=0) for name in (VENUE, "binance-spot")]
    compared = ExchangeNormalized(
        event_id="n", event_ts=90 * S, ingest_ts=0, symbol="BTCUSDT", mid=100.0, divergence_bps=1.5, basis=2e-4, venues=mids,
        stale_venues=[],
    )  # fmt: skip
    said.on_normalized(around.context, compared)
    said.on_normalized(around.context, msgspec.structs.replace(compared, event_ts=100 * S, basis=0.5))
    assert beside(around, bar(100 * S)) == {
        "spread_bps": pytest.approx(2.0),
        "microprice_offset_bps": pytest.approx(0.5),
        "top_imbalance": 0.5,
        "order_flow_imbalance": None,  # no bar of 1 s has closed its seconds
        "funding_rate": 1e-4,
        "time_to_funding_s": 60.0,
        "basis": 2e-4,
        "exchange_divergence_bps": 1.5,
        "depth_imbalance_5": 0.5,
        "depth_imbalance_10": None,
    }
    assert beside(around, bar(101 * S))["basis"] == 0.5
    assert set(beside(around, bar(161 * S)).values()) == {None}
    assert set(beside(logic.Around(), bar(100 * S)).values()) == {None}


def test_a_bar_that_is_too_far_behind_the_other_topics_has_nulls_and_not_the_future() -> None:
    around = logic.Around()
    for second in range(KEPT + 10):
        quotes.on_quote(RULES, around.quotes, quote(second * S + 1))
    assert beside(around, bar(5 * S))["spread_bps"] is None
    assert beside(around, bar(12 * S))["spread_bps"] is not None
    assert len(around.quotes.seconds) <= KEPT


def test_a_book_that_is_lost_says_nothing_until_it_is_known_again() -> None:
    around = logic.Around()

    def imbalances(close_ts: int) -> list[float | None]:
        values = beside(around, bar(close_ts))
        return [values["depth_imbalance_5"], values["depth_imbalance_10"]]

    said.on_depth(RULES, around.books, depth(10 * S, levels=10))
    assert imbalances(11 * S) == [0.5, 0.5]
    said.on_depth(RULES, around.books, depth(12 * S, levels=0, state=BookState.STALE))
    assert imbalances(13 * S) == [None, None]
    said.on_depth(RULES, around.books, depth(11 * S, levels=10))  # late
    assert imbalances(13 * S) == [None, None]
    said.on_depth(RULES, around.books, depth(14 * S, levels=10, bid_quantity=1.0))
    assert imbalances(15 * S) == [0.0, 0.0]


def test_a_crossed_or_empty_quote_is_not_kept() -> None:
    kept = quotes.Quotes()
    quotes.on_quote(RULES, kept, quote(1, 101.0, 100.0))
    quotes.on_quote(RULES, kept, quote(1, 0.0, 100.0))
    assert kept == quotes.Quotes()


def test_order_flow_of_one_change_is_as_the_paper_says() -> None:
    before = quote(1, 100.0, 101.0, bid_quantity=3.0)  # one is asked for at 101
    same = quote(2, 100.0, 101.0, bid_quantity=5.0)
    bid_up, bid_down = quote(2, 100.5, 101.0, bid_quantity=4.0), quote(2, 99.0, 101.0, bid_quantity=7.0)
    ask_up, ask_down = quote(2, 100.0, 102.0), quote(2, 100.0, 100.5)
    changes = [flow.order_flow(before, after) for after in (same, bid_up, bid_down, ask_up, ask_down)]
    assert changes == [5.0 - 3.0, 4.0, -3.0, 1.0, -1.0]


def test_order_flow_adds_up_over_the_bars_that_a_second_is_in_and_late_quotes_count_in_the_next() -> None:
    around = logic.Around()
    rules = Rules(VENUE, "1s", frozenset({"1m"}))
    minute = 60 * S
    for ts, size in ((minute, 1.0), (minute + S // 2, 3.0), (2 * minute - S, 5.0), (2 * minute - 1, 2.0)):
        quotes.on_quote(rules, around.quotes, quote(ts, bid_quantity=size))
    quotes.on_quote(rules, around.quotes, quote(2 * minute, bid_quantity=9.0))  # of the next minute
    seconds = [bar(minute + (number + 1) * S) for number in range(60)]
    found = flows(around, *seconds, bar(2 * minute, 60), rules=rules)
    assert found[0] == pytest.approx((3.0 - 1.0) / ((1.0 + 3.0 + 2 * 1.0) / 4))
    assert found[1:59] == [0.0] * 58
    assert found[59] == pytest.approx(((5.0 - 3.0) + (2.0 - 5.0)) / ((5.0 + 2.0 + 2 * 1.0) / 4))
    assert found[60] == pytest.approx((3.0 - 1.0 + 5.0 - 3.0 + 2.0 - 5.0) / ((1.0 + 3.0 + 5.0 + 2.0 + 4 * 1.0) / 8))
    late = logic.Around()
    assert flows(late, bar(S)) == [None]
    quotes.on_quote(RULES, late.quotes, quote(S - 5, bid_quantity=1.0))
    quotes.on_quote(RULES, late.quotes, quote(S - 4, bid_quantity=2.0))  # both after the bar of their second
    assert flows(late, bar(2 * S), bar(3 * S)) == [pytest.approx(1.0 / ((1.0 + 2.0 + 2 * 1.0) / 4)), 0.0]


def test_open_interest_is_compared_with_that_of_twenty_bars_before() -> None:
    state, regime, around = logic.BarState(), RegimeState(), logic.Around()
    changes = []
    for number, row in enumerate(BARS):
        if number < 60:
            said.on_funding(RULES, around.context, funding(row.close_ts - 1, open_interest=100.0 + number))
        vector = next(iter(logic.on_kline(RULES, state, regime, around, kline(row)))).record
        assert isinstance(vector, Features)
        changes.append(vector.open_interest_change)
    assert changes[:20] == [None] * 20
    assert changes[20:60] == [pytest.approx((100.0 + number) / (80.0 + number) - 1) for number in range(20, 60)]
    assert changes[-1] is None  # it was said more than a minute ago


def test_the_microprice_is_nearer_to_the_thinner_side() -> None:
    bid, ask, bid_quantity, ask_quantity = 99.0, 101.0, 9.0, 1.0
    microprice = (bid * ask_quantity + ask * bid_quantity) / (bid_quantity + ask_quantity)
    assert context.microprice_offset_bps(bid, bid_quantity, ask, ask_quantity) == pytest.approx(1e4 * (microprice / 100.0 - 1.0))
    assert context.microprice_offset_bps(bid, 0.0, ask, 0.0) is None
    assert context.time_to_funding_s(200, 100) is None
