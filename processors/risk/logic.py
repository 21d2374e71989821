"""Risk: sizing in the symbol's partition, then the checks in the account's. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from processors.governance.changes import rank
from processors.output import Output
from processors.risk.checks import findings
from processors.risk.context import DAY_US, MINUTE_US, Context, Finding
from processors.risk.entry import market_of, size
from processors.risk.events import breach_event, breaches, denial, intent_of, unsized
from processors.risk.state import AccountState, QuoteState, Reservation, SharedState, SymbolState
from schemas.common import Action, DenialCode, ExitReason, OrderStatus
from schemas.execution.records import AccountBalance, ExecutionResult
from schemas.features.records import Features, MarketRegime
from schemas.governance.records import DecisionMade, Policy
from schemas.journal.records import TradeClosed
from schemas.market.records import ExchangeNormalized, MarketFunding, MarketInstrument, MarketQuote
from schemas.positions.records import PortfolioExposure, PortfolioSnapshot
from schemas.risk.records import SizingDecided

RESERVATION_US = 30_000_000
"""An entry under way that nothing is heard of no longer counts after this time; the order gateway has found out by then."""
SIGNALS_KEPT = 128
_DEAD = frozenset({OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED})
_STOPS = frozenset({ExitReason.STOP, ExitReason.MAX_RISK})


class Risk:
    """Handlers of the risk stage.

    Parameters
    ----------
    account
        Account that is traded.
    venue
        Venue that is traded at; other venues' quotes, funding and instruments are not its market.
    interval
        Bar that the ATR is taken from.
    quote_asset
        Asset that margin is paid in.
    """

    def __init__(self, account: str, venue: str, interval: str, quote_asset: str = "USDT") -> None:
        self.quote_asset = quote_asset
        self.account = account
        self.venue = venue
        self.interval = interval

    # What the symbol's partition knows.

    def on_quote(self, state: QuoteState, quote: MarketQuote) -> Iterable[Output]:
        """Keep the newest quote of the venue."""
        if quote.venue == self.venue and quote.event_ts >= state.ts:
            state.ts = quote.event_ts
            state.bid_price, state.bid_quantity = quote.bid_price, quote.bid_quantity
            state.ask_price, state.ask_quantity = quote.ask_price, quote.ask_quantity
        return ()

    def on_features(self, state: SymbolState, features: Features) -> Iterable[Output]:
        """Keep the newest ATR of the venue's bars."""
        if features.venue == self.venue and features.interval == self.interval and features.atr_14 is not None:
            state.atr = features.atr_14
        return ()

    def on_regime(self, state: SymbolState, regime: MarketRegime) -> Iterable[Output]:
        """Keep the newest regime."""
        if regime.venue == self.venue:
            state.regime = regime
        return ()

    def on_normalized(self, state: SymbolState, normalized: ExchangeNormalized) -> Iterable[Output]:
        """Keep the newest divergence between venues."""
        state.divergence_bps = normalized.divergence_bps
        return ()

    def on_funding(self, state: SymbolState, funding: MarketFunding) -> Iterable[Output]:
        """Keep the newest funding and mark price of the venue."""
        if funding.venue == self.venue:
            state.funding = funding
        return ()

    def on_instrument(self, state: SymbolState, instrument: MarketInstrument) -> Iterable[Output]:
        """Keep what the venue accepts."""
        if instrument.venue == self.venue:
            state.instrument = instrument
        return ()

    # What every partition knows.

    def on_policy(self, shared: SharedState, policy: Policy) -> Iterable[Output]:
        """Keep the newest policy of the account."""
        if policy.account == self.account and (shared.policy is None or rank(policy) > rank(shared.policy)):
            shared.policy = policy
        return ()

    def on_snapshot(self, shared: SharedState, snapshot: PortfolioSnapshot) -> Iterable[Output]:
        """Keep the newest state of the account."""
        if snapshot.account == self.account and (shared.snapshot is None or snapshot.event_ts >= shared.snapshot.event_ts):
            shared.snapshot = snapshot
        return ()

    # Step A: the size.

    def on_decision(self, symbol: SymbolState, quote: QuoteState, shared: SharedState, decision: DecisionMade) -> Iterable[Output]:
        """Size an entry, or deny it where something that the size needs is missing or too old."""
        if decision.action is Action.NO_ENTRY:
            return ()
        policy, snapshot = shared.policy, shared.snapshot
        if policy is None:
            return self._unsized(decision, Finding(DenialCode.MODE_FORBIDS, None, None, f"no policy of account {self.account} is known"))
        if snapshot is None or snapshot.equity <= 0:
            return self._unsized(
                decision, Finding(DenialCode.MARGIN_INSUFFICIENT, None, None, f"no equity of account {self.account} is known")
            )
        late_ms, limit = (quote.ts - decision.event_ts) / 1000, policy.limits.max_data_age_ms
        if late_ms > limit:
            detail = f"the market is {late_ms:.0f} ms past the signal, {limit} allowed"
            return self._unsized(decision, Finding(DenialCode.STALE_MARKET_DATA, late_ms, limit, detail))
        market = market_of(symbol, quote, decision)
        if isinstance(market, Finding):
            return self._unsized(decision, market)
        return (Output("sizing.decided", self.account, size(decision, market, quote, policy, snapshot)),)

    def _unsized(self, decision: DecisionMade, finding: Finding) -> Iterable[Output]:
        return (Output("risk.events", self.account, unsized(decision, finding)),)

    # Step B: the checks.

    def on_sizing(self, account: AccountState, shared: SharedState, sized: SizingDecided) -> Iterable[Output]:
        """Check an entry: an intent where every check passes, else a denial that names each that failed."""
        policy, snapshot = shared.policy, shared.snapshot
        _advance(account, sized.event_ts)
        if policy is None or snapshot is None:
            failed = [Finding(DenialCode.MODE_FORBIDS, None, None, "policy or state of the account is not known in this partition yet")]
        else:
            failed = findings(Context(sized, policy, snapshot, account))
        if failed or policy is None:
            return (Output("risk.events", sized.account, denial(sized, failed)),)
        intent = intent_of(sized, policy.version)
        account.reservations[intent.event_id] = Reservation(
            sized.symbol, sized.side, sized.notional, sized.margin, sized.risk_amount, sized.event_ts, sized.signal_id
        )
        account.trades_today += 1
        account.entry_times.append(sized.event_ts)
        account.signals.append(sized.signal_id)
        del account.signals[:-SIGNALS_KEPT]
        return (Output("trade.intent", sized.account, intent),)

    def on_exposure(self, account: AccountState, shared: SharedState, exposure: PortfolioExposure) -> Iterable[Output]:
        """Keep the exposure; entries that it shows are under way no longer. A limit newly breached is told."""
        if account.exposure is not None and exposure.event_ts < account.exposure.event_ts:
            return ()
        account.exposure = exposure
        shown = {entry.symbol for entry in exposure.symbols}
        account.reservations = {
            key: held for key, held in account.reservations.items() if held.symbol not in shown or exposure.event_ts < held.ts
        }
        beyond = breaches(exposure, shared)
        new = [finding for finding in beyond if finding.code.value not in account.breached]
        account.breached = [finding.code.value for finding in beyond]
        return [Output("risk.events", exposure.account, breach_event(exposure, finding)) for finding in new]

    def on_balance(self, account: AccountState, balance: AccountBalance) -> Iterable[Output]:
        """Keep what the venue says is free."""
        if balance.venue == self.venue and balance.asset == self.quote_asset:
            account.available = balance.available_balance
        return ()

    def on_result(self, account: AccountState, result: ExecutionResult) -> Iterable[Output]:
        """Forget an entry that ended without a fill; a filled one counts until the exposure shows it."""
        if result.status in _DEAD and result.filled_quantity == 0:
            account.reservations.pop(result.intent_id, None)
        return ()

    def on_trade_closed(self, account: AccountState, shared: SharedState, trade: TradeClosed) -> Iterable[Output]:
        """Count losing stop-outs in a row and begin the pause after too many; forget an entry that is over already."""
        account.reservations = {key: held for key, held in account.reservations.items() if held.signal_id != trade.signal_id}
        if trade.exit_reason not in _STOPS or trade.net_pnl >= 0:
            account.stops_in_a_row = 0
            return ()
        account.stops_in_a_row += 1
        if shared.policy is not None and account.stops_in_a_row >= shared.policy.limits.max_consecutive_stops:
            account.stops_in_a_row = 0
            account.cooldown_until = trade.closed_ts + shared.policy.limits.cooldown_s * 1_000_000
        return ()


def _advance(account: AccountState, now: int) -> None:
    """Let time pass: a new day, entries that are older than a minute, reservations that ran out."""
    if now // DAY_US > account.day:
        account.day, account.trades_today = now // DAY_US, 0
    account.entry_times = [ts for ts in account.entry_times if now - ts < MINUTE_US]
    account.reservations = {key: held for key, held in account.reservations.items() if now - held.ts < RESERVATION_US}
