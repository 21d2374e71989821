from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.market.consolidation import CrossState, on_quote
from processors.market.leadlag import LeadState
from processors.market.rules import Rules
from schemas.market.records import ExchangeNormalized, MarketQuote

RULES = Rules()
T0 = 1_700_000_000_000_000


def quote(venue: str, mid: float, ts: int) -> MarketQuote:
    return MarketQuote(
        event_id=f"{venue}:{ts}", event_ts=ts, ingest_ts=ts + 1, venue=venue, symbol="BTCUSDT", update_id=ts,
        bid_price=mid - 0.5, bid_quantity=1, ask_price=mid + 0.5, ask_quantity=1,
    )  # fmt: skip


def run(state: CrossState, quotes: Iterable[MarketQuote], rules: Rules = RULES) -> list[ExchangeNormalized]:
    leads = LeadState()
    records = [output.record for each in quotes for output in on_quote(rules, state, leads, each)]
    return [record for record in records if isinstance(record, ExchangeNormalized)]


def test_mid_divergence_and_basis() -> None:
    first, second = run(CrossState(), [quote("binance-spot", 100, T0), quote("binance-usdm", 102, T0 + 250_000)])
    assert (first.mid, first.divergence_bps, first.basis) == (100, 0, None)
    assert second.mid == 101
    assert second.divergence_bps == pytest.approx(1 / 101 * 10_000)
    assert second.basis == pytest.approx(0.02)
    assert [(each.venue, each.age_us) for each in second.venues] == [("binance-spot", 250_000), ("binance-usdm", 0)]
    assert second.event_id == f"binance-usdm:{T0 + 250_000}:n"


def test_a_stale_venue_is_left_out_and_named() -> None:
    records = run(CrossState(), [quote("binance-spot", 100, T0), quote("binance-usdm", 102, T0 + RULES.stale_us)])
    assert records[-1].stale_venues == ["binance-spot"]
    assert (records[-1].mid, records[-1].basis) == (102, None)


def test_an_older_quote_does_not_replace_a_newer_one() -> None:
    state = CrossState()
    run(state, [quote("binance-spot", 100, T0), quote("binance-spot", 50, T0 - 1)])
    assert state.venues["binance-spot"].mid == 100


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(1, 1e6), st.integers(0, 400_000)), min_size=1, max_size=60))
def test_never_more_often_than_the_throttle_and_mid_within_the_venues(moves: list[tuple[str, float, int]]) -> None:
    now, quotes = T0, []
    for venue, mid, step in moves:
        now += step
        quotes.append(quote(venue, mid, now))
    records = run(CrossState(), quotes)
    times = [record.event_ts for record in records]
    assert all(later - earlier >= RULES.normalized_every_us for earlier, later in pairwise(times))
    for record in records:
        mids = [each.mid for each in record.venues]
        assert min(mids) * (1 - 1e-12) <= record.mid <= max(mids) * (1 + 1e-12)
        assert record.divergence_bps == max(abs(each.divergence_bps) for each in record.venues)
