from __future__ import annotations

import msgspec
import pytest

from ml.features import BAR_FEATURES, context
from ml.training.bars import BarRow
from ml.training.dataset import feature_rows
from processors.features import logic
from processors.output import Output
from processors.wiring import StateCodec
from schemas.common import BookState, Regime, VenueMid
from schemas.features.records import Features, MarketRegime
from schemas.market.records import ExchangeNormalized, MarketDepth, MarketFunding, MarketKline, MarketQuote
from tests.unit.ml.markets import momentum_bars

VENUE = "binance-usdm"
RULES = logic.Rules(VENUE, "1s")
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


def run(rows: list[BarRow], rules: logic.Rules = RULES) -> list[list[Output]]:
    state, last, around = logic.SymbolState(), logic.Quote(), logic.Context()
    return [list(logic.on_kline(rules, state, last, logic.Depth(), around, kline(row))) for row in rows]


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


def test_a_state_that_was_stored_and_read_goes_on_the_same() -> None:
    codec = StateCodec(logic.SymbolState)
    stored, last, around = logic.SymbolState(), logic.Quote(), logic.Context()
    for row, wanted in zip(BARS, run(list(BARS)), strict=True):
        stored = codec.loads(codec.dumps(stored))
        assert list(logic.on_kline(RULES, stored, last, logic.Depth(), around, kline(row))) == wanted


def test_other_venues_and_intervals_and_repeated_bars_give_nothing() -> None:
    state, last, around = logic.SymbolState(), logic.Quote(), logic.Context()
    row = next(iter(BARS))
    assert not list(logic.on_kline(RULES, state, last, logic.Depth(), around, kline(row, venue="binance-spot")))
    assert not list(logic.on_kline(RULES, state, last, logic.Depth(), around, kline(row, interval="1m")))
    assert list(logic.on_kline(RULES, state, last, logic.Depth(), around, kline(row)))
    assert not list(logic.on_kline(RULES, state, last, logic.Depth(), around, kline(row)))


def test_context_features_are_what_was_said_last_and_null_when_too_old() -> None:
    last, book, around = logic.Quote(), logic.Depth(), logic.Context()
    close_ts = 100_000_000
    logic.on_depth(RULES, book, depth(90_000_000))
    logic.on_depth(RULES, book, depth(80_000_000, bid_quantity=9.0))  # late
    logic.on_depth(RULES, book, depth(95_000_000, bid_quantity=9.0, venue="bybit"))
    logic.on_quote(RULES, last, quote(90_000_000))
    logic.on_quote(RULES, last, quote(80_000_000, 50.0, 51.0))  # late
    logic.on_quote(RULES, last, quote(95_000_000, 50.0, 51.0, venue="bybit"))
    logic.on_funding(
        RULES,
        around,
        MarketFunding(
            event_id="f",
            event_ts=90_000_000,
            ingest_ts=0,
            venue=VENUE,
            symbol="BTCUSDT",
            mark_price=1.0,
            index_price=1.0,
            funding_rate=1e-4,
            next_funding_ts=160_000_000,
        ),
    )
    mids = [VenueMid(venue=name, mid=100.0, divergence_bps=0.0, age_us=0) for name in (VENUE, "binance-spot")]
    logic.on_normalized(
        around,
        ExchangeNormalized(
            event_id="n",
            event_ts=90_000_000,
            ingest_ts=0,
            symbol="BTCUSDT",
            mid=100.0,
            divergence_bps=1.5,
            basis=2e-4,
            venues=mids,
            stale_venues=[],
        ),
    )
    values = logic.context_features(RULES, last, book, around, close_ts)
    assert values == {
        "spread_bps": pytest.approx(2.0),
        "microprice_offset_bps": pytest.approx(0.5),
        "top_imbalance": 0.5,
        "funding_rate": 1e-4,
        "time_to_funding_s": 60.0,
        "basis": 2e-4,
        "exchange_divergence_bps": 1.5,
        "depth_imbalance_5": 0.5,
        "depth_imbalance_10": None,
    }
    assert set(logic.context_features(RULES, last, book, around, close_ts + 60_000_000).values()) == {None}
    assert set(logic.context_features(RULES, logic.Quote(), logic.Depth(), logic.Context(), close_ts).values()) == {None}


def test_a_book_that_is_lost_says_nothing_until_it_is_known_again() -> None:
    book = logic.Depth()

    def said(close_ts: int) -> list[float | None]:
        values = logic.context_features(RULES, logic.Quote(), book, logic.Context(), close_ts)
        return [values["depth_imbalance_5"], values["depth_imbalance_10"]]

    logic.on_depth(RULES, book, depth(10, levels=10))
    assert said(20) == [0.5, 0.5]
    logic.on_depth(RULES, book, depth(30, levels=0, state=BookState.STALE))
    assert said(40) == [None, None]
    logic.on_depth(RULES, book, depth(25, levels=10))  # late
    assert said(40) == [None, None]
    logic.on_depth(RULES, book, depth(50, levels=10, bid_quantity=1.0))
    assert said(60) == [0.0, 0.0]


def test_a_crossed_or_empty_quote_is_not_kept() -> None:
    last = logic.Quote()
    logic.on_quote(RULES, last, quote(1, 101.0, 100.0))
    logic.on_quote(RULES, last, quote(1, 0.0, 100.0))
    assert last == logic.Quote()


def test_the_microprice_is_nearer_to_the_thinner_side() -> None:
    bid, ask, bid_quantity, ask_quantity = 99.0, 101.0, 9.0, 1.0
    microprice = (bid * ask_quantity + ask * bid_quantity) / (bid_quantity + ask_quantity)
    assert context.microprice_offset_bps(bid, bid_quantity, ask, ask_quantity) == pytest.approx(1e4 * (microprice / 100.0 - 1.0))
    assert context.microprice_offset_bps(bid, 0.0, ask, 0.0) is None
    assert context.time_to_funding_s(200, 100) is None
