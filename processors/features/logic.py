"""Feature vectors at the close of every bar of one venue, and the regime at that of its primary bars; pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ml.features.bars import BarFeatures, is_warm
from ml.features.flow import OPEN_INTEREST_BARS, open_interest_change
from ml.features.regime import RegimeState
from processors.features.context import Books, Context, context_features, open_interest
from processors.features.quotes import Flows, Quotes, close_second
from processors.features.rules import Rules
from processors.output import Output
from schemas.features.records import Features, MarketRegime
from schemas.market.records import MarketKline


class BarState(msgspec.Struct):
    """Features of a symbol's bars of one interval, and the open interest at the last 21 closes, null where it is not known."""

    features: BarFeatures = msgspec.field(default_factory=BarFeatures)
    open_interest: list[float | None] = []

    def change(self, value: float | None) -> float | None:
        """Take the open interest at a close; return its change, see `open_interest_change`."""
        if self.features.bars == 1:
            self.open_interest.clear()
        self.open_interest.append(value)
        del self.open_interest[: -1 - OPEN_INTEREST_BARS]
        return open_interest_change(self.open_interest)


class Around(msgspec.Struct):
    """What is known of a symbol beside its bars; not a table's state, but four of them.

    Attributes
    ----------
    quotes : Quotes
        Quotes of seconds that no bar has passed.
    flows : Flows
        Order flow of open bars.
    books : Books
        The book.
    context : Context
        Funding, open interest, other venues.
    """

    quotes: Quotes = msgspec.field(default_factory=Quotes)
    flows: Flows = msgspec.field(default_factory=Flows)
    books: Books = msgspec.field(default_factory=Books)
    context: Context = msgspec.field(default_factory=Context)


def on_kline(rules: Rules, state: BarState, regime: RegimeState, around: Around, bar: MarketKline) -> Iterable[Output]:
    """Return the vector at the close of a bar, of a primary one with the regime.

    Nothing comes of a bar of another venue or interval, nor of one seen before.

    Parameters
    ----------
    rules
        What is computed, and on what.
    state
        The symbol's bars of this interval.
    regime
        The symbol's regime; changed by primary bars alone.
    around
        What is known beside bars; a bar of 1 s closes the second of its quotes.
    bar
        The bar. Of bars that end together the shortest comes first.
    """
    if bar.venue != rules.venue:
        return ()
    if bar.interval == "1s":
        close_second(rules, around.quotes, around.flows, bar)
    if not rules.wants(bar.interval):
        return ()
    values = state.features.update(bar)
    if values is None:
        return ()
    beside = context_features(rules, around.quotes, around.flows, around.books, around.context, bar)
    key = f"{bar.venue}:{bar.symbol}:{bar.interval}:{bar.close_ts}"
    vector = Features(
        event_id=f"{key}:features",
        event_ts=bar.close_ts,
        ingest_ts=bar.ingest_ts,
        venue=bar.venue,
        symbol=bar.symbol,
        interval=bar.interval,
        bar_close_ts=bar.close_ts,
        close=bar.close,
        warm=is_warm(values),
        open_interest_change=state.change(open_interest(rules, around.context, bar)),
        **values,
        **beside,
    )
    if bar.interval != rules.interval:
        return (Output("features", bar.symbol, vector),)
    found = regime.update(rules.regime, bar.close_ts, values["log_return_1"], bar.volume, beside["spread_bps"])
    return (
        Output("features", bar.symbol, vector),
        Output(
            "market.regime",
            bar.symbol,
            MarketRegime(
                event_id=f"{key}:regime",
                event_ts=bar.close_ts,
                ingest_ts=bar.ingest_ts,
                venue=bar.venue,
                symbol=bar.symbol,
                regime=found,
                since_ts=regime.since_ts,
                trend_score=regime.trend_score,
                volatility_ratio=regime.volatility_ratio,
                spread_bps=beside["spread_bps"],
            ),
        ),
    )
