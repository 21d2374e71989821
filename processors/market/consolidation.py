"""One symbol across venues: consolidated mid, divergence, basis, and which venue moves first."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from processors.market.leadlag import LeadState, Moves, fold, lead, note
from processors.market.rules import Rules
from processors.output import Output
from schemas.common import VenueMid
from schemas.market.records import ExchangeNormalized, MarketQuote

BPS = 10_000


class VenueQuote(msgspec.Struct):
    """Last mid price of a venue and its event time."""

    mid: float
    ts: int


class CrossState(msgspec.Struct):
    """Mids of one symbol across venues.

    Attributes
    ----------
    venues : dict of VenueQuote
        By venue.
    now, written_ts : int
        Event times of the newest quote and of the last record, microseconds.
    moves : dict
        Mids of the last moments that `leadlag` has not folded.
    """

    venues: dict[str, VenueQuote] = {}
    now: int = 0
    written_ts: int = 0
    moves: Moves = {}


def on_quote(rules: Rules, state: CrossState, leads: LeadState, quote: MarketQuote) -> Iterable[Output]:
    """Take a venue's quote; write the consolidated price where the last one is old enough."""
    known = state.venues.get(quote.venue)
    if known is not None and quote.event_ts < known.ts:
        return ()
    mid = (quote.bid_price + quote.ask_price) / 2
    state.venues[quote.venue] = VenueQuote(mid, quote.event_ts)
    note(rules, leads, state.moves, quote.venue, quote.event_ts, mid)
    state.now = max(state.now, quote.event_ts)
    if state.written_ts and state.now - state.written_ts < rules.normalized_every_us:
        return ()
    state.written_ts = state.now
    fold(rules, leads, state.moves, state.now)
    return (Output("exchange.normalized", quote.symbol, _normalized(rules, state, leads, quote)),)


def _normalized(rules: Rules, state: CrossState, leads: LeadState, quote: MarketQuote) -> ExchangeNormalized:
    """Return the consolidated price at ``state.now``; at least the venue with the newest quote is fresh."""
    fresh = {name: venue for name, venue in sorted(state.venues.items()) if state.now - venue.ts < rules.stale_us}
    mid = sum(venue.mid for venue in fresh.values()) / len(fresh)
    mids = [
        VenueMid(venue=name, mid=venue.mid, divergence_bps=(venue.mid / mid - 1) * BPS, age_us=state.now - venue.ts)
        for name, venue in fresh.items()
    ]
    found = lead(rules, leads, list(fresh))
    perpetual, spot = fresh.get(rules.perpetual_venue), fresh.get(rules.spot_venue)
    return ExchangeNormalized(
        event_id=f"{quote.event_id}:n",
        event_ts=state.now,
        ingest_ts=quote.ingest_ts,
        symbol=quote.symbol,
        mid=mid,
        divergence_bps=max(abs(each.divergence_bps) for each in mids),
        basis=None if perpetual is None or spot is None else perpetual.mid / spot.mid - 1,
        venues=mids,
        stale_venues=[name for name in sorted(state.venues) if name not in fresh],
        lead_venue=found.lead_venue,
        lag_venue=found.lag_venue,
        lead_ms=found.lead_ms,
        lead_correlation=found.lead_correlation,
    )
