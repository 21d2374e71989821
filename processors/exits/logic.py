"""Positions under the exit brain: prices and time in, reduce-only orders and decisions out; pure.

An order is sent once: what it has not yet taken from the position is outstanding, and while it is, only leaving the whole
position goes before it, and only for the rest. Where the position does not change for ``Rules.resend_us`` after an order, the
order is taken for lost and sent again as another leg; reduce-only keeps it from doing harm where it was not. The decision to
leave a position stands until it is flat.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from processors.exits.brain import move_stop, reason_to_leave, scale_out, set_first_stop, stop_is_hit
from processors.exits.state import Managed, Market, Shared, Symbol
from processors.governance.changes import rank
from processors.output import Output
from schemas.clock.records import ClockTick
from schemas.common import ExitAction, ExitReason, OrderType, Origin, PositionSide, Side
from schemas.exits.records import ExitDecision
from schemas.features.records import Features, MarketRegime
from schemas.governance.records import Policy
from schemas.market.records import MarketInstrument, MarketTick
from schemas.positions.records import PortfolioPosition
from schemas.risk.records import TradeIntent

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the stage goes by.

    Attributes
    ----------
    venue
        Venue whose trades are watched.
    interval
        Bar that the ATR is taken from.
    resend_us
        After this time without a change of the position, an order is sent again, microseconds.
    stop_step_r
        Least move of the stop that is written as a decision, in R; the stop itself moves at every price.
    """

    venue: str
    interval: str
    resend_us: int = 10_000_000
    stop_step_r: float = 0.1


def on_position(rules: Rules, symbol: Symbol, shared: Shared, record: PortfolioPosition) -> Iterable[Output]:
    """Take the newest state of a position: begin to manage it, see what an order has taken from it, or let it go."""
    if record.venue != rules.venue:
        return ()
    managed = symbol.open.get(record.account)
    same = managed is not None and managed.position.position_id == record.position_id
    if record.side is PositionSide.FLAT:
        if same:
            del symbol.open[record.account]
        return ()
    policy = shared.policies.get(record.account)
    if managed is None or not same:
        entry = float(record.entry_price)
        managed = symbol.open[record.account] = Managed(position=record, price=float(record.mark_price), best=entry)
        set_first_stop(managed, symbol.market, None if policy is None else policy.exits)
        return ()
    before, managed.position = managed.position, record
    if record.quantity < before.quantity:
        managed.outstanding = max(ZERO, managed.outstanding - (before.quantity - record.quantity))
        managed.sent_ts = max(managed.sent_ts, record.event_ts)
    elif record.entry_price != before.entry_price and managed.stop_kind is ExitReason.STOP:
        set_first_stop(managed, symbol.market, None if policy is None else policy.exits)
    return ()


def on_tick(rules: Rules, symbol: Symbol, shared: Shared, tick: MarketTick) -> Iterable[Output]:
    """Look at the open positions at the price of a trade; costs nothing where there is none."""
    if not symbol.open or tick.venue != rules.venue or tick.price <= 0:
        return ()
    outputs: list[Output] = []
    for managed in symbol.open.values():
        managed.price = tick.price
        outputs.extend(_look(rules, managed, symbol.market, shared, tick))
    return outputs


def on_clock(rules: Rules, symbol: Symbol, shared: Shared, tick: ClockTick) -> Iterable[Output]:
    """Look at the open positions as time passes: time stop, emergency, orders that were lost."""
    outputs: list[Output] = []
    for managed in symbol.open.values():
        if managed.outstanding and tick.event_ts - managed.sent_ts >= rules.resend_us:
            quantity, managed.outstanding = min(managed.outstanding, managed.position.quantity), ZERO
            if managed.leaving is ExitReason.NONE:
                outputs.extend(_order(managed, ExitAction.REDUCE, managed.sent_reason, quantity, symbol.market, shared, tick))
        outputs.extend(_look(rules, managed, symbol.market, shared, tick))
    return outputs


def on_regime(rules: Rules, symbol: Symbol, record: MarketRegime) -> Iterable[Output]:
    """Keep the regime of the symbol."""
    if record.venue == rules.venue:
        symbol.market.regime, symbol.market.regime_since = record.regime, record.since_ts
    return ()


def on_features(rules: Rules, symbol: Symbol, record: Features) -> Iterable[Output]:
    """Keep the ATR of the symbol."""
    if record.venue == rules.venue and record.interval == rules.interval and record.atr_14 is not None:
        symbol.market.atr = record.atr_14
    return ()


def on_instrument(rules: Rules, symbol: Symbol, record: MarketInstrument) -> Iterable[Output]:
    """Keep what the venue accepts."""
    if record.venue == rules.venue:
        symbol.market.rules = record.rules
    return ()


def on_policy(shared: Shared, policy: Policy) -> Iterable[Output]:
    """Keep the newest policy of each account."""
    known = shared.policies.get(policy.account)
    if known is None or rank(policy) > rank(known):
        shared.policies[policy.account] = policy
    return ()


def _look(rules: Rules, managed: Managed, market: Market, shared: Shared, now: MarketTick | ClockTick) -> list[Output]:
    """Look at one position at its last price. Without a policy nothing but its stop is watched."""
    policy = shared.policies.get(managed.position.account)
    if managed.stop is None:
        set_first_stop(managed, market, None if policy is None else policy.exits)
    outputs: list[Output] = []
    if managed.leaving is ExitReason.NONE:
        if policy is None:
            managed.leaving = managed.stop_kind if stop_is_hit(managed, managed.price) else ExitReason.NONE
        else:
            move_stop(managed, managed.price, market, policy.exits)
            managed.leaving = reason_to_leave(managed, managed.price, now.event_ts, market, policy)
    if managed.leaving is not ExitReason.NONE:
        return _leave(managed, market, shared, now)
    if policy is None:
        return outputs
    outputs.extend(_tell_stop(rules, managed, market, now))
    if market.rules is not None and not managed.outstanding:
        scale = scale_out(managed, managed.price, policy.exits, market.rules)
        managed.rungs = scale.rungs
        if scale.quantity:
            managed.laddered += scale.quantity
            outputs.extend(_order(managed, ExitAction.REDUCE, ExitReason.TAKE_PROFIT, scale.quantity, market, shared, now))
    return outputs


def _leave(managed: Managed, market: Market, shared: Shared, now: MarketTick | ClockTick) -> list[Output]:
    """Order what is held and not ordered yet; in as many orders as the venue's largest market order wants."""
    quantity = managed.position.quantity - managed.outstanding
    if market.rules is not None:
        quantity = min(quantity, market.rules.max_quantity)
        if managed.outstanding >= market.rules.max_quantity:
            return []
    if quantity <= 0:
        return []
    return _order(managed, ExitAction.CLOSE, managed.leaving, quantity, market, shared, now)


def _tell_stop(rules: Rules, managed: Managed, market: Market, now: MarketTick | ClockTick) -> list[Output]:
    if managed.stop is None or managed.risk is None or managed.told_stop is None:
        return []
    if abs(managed.stop - managed.told_stop) < rules.stop_step_r * managed.risk:
        return []
    managed.told_stop = managed.stop
    managed.moves += 1
    event_id = f"{managed.position.position_id}:stop:{managed.moves}"
    return [_decision(managed, event_id, ExitAction.MOVE_STOP, managed.stop_kind, ZERO, market, now)]


def _order(
    managed: Managed, action: ExitAction, reason: ExitReason, quantity: Decimal, market: Market, shared: Shared, now: MarketTick | ClockTick
) -> list[Output]:
    """Send a reduce-only market order and say why."""
    position, policy = managed.position, shared.policies.get(managed.position.account)
    event_id = f"{position.position_id}:exit:{managed.leg}"
    intent = TradeIntent(
        event_id=event_id, event_ts=now.event_ts, ingest_ts=now.ingest_ts, account=position.account, symbol=position.symbol,
        venue=position.venue, origin=Origin.EXIT, strategy=position.strategy,
        side=Side.SELL if position.side is PositionSide.LONG else Side.BUY, order_type=OrderType.MARKET, quantity=quantity,
        reduce_only=True, leverage=position.leverage, reference_price=Decimal(repr(managed.price)), leg=managed.leg,
        signal_id=position.signal_id, position_id=position.position_id, reason=reason.value,
        policy_version=0 if policy is None else policy.version,
    )  # fmt: skip
    managed.leg += 1
    managed.outstanding += quantity
    managed.sent_ts, managed.sent_reason = now.event_ts, reason
    return [
        _decision(managed, f"{event_id}:decision", action, reason, quantity, market, now),
        Output("trade.intent", position.account, intent),
    ]


def _decision(
    managed: Managed, event_id: str, action: ExitAction, reason: ExitReason, quantity: Decimal, market: Market, now: MarketTick | ClockTick
) -> Output:
    position = managed.position
    record = ExitDecision(
        event_id=event_id, event_ts=now.event_ts, ingest_ts=now.ingest_ts, account=position.account, symbol=position.symbol,
        position_id=position.position_id, action=action, reason=reason, price=managed.price,
        stop_price=managed.stop, r_multiple=managed.in_r(managed.price) if managed.risk is not None else None,
        quantity=quantity, held_s=(now.event_ts - position.opened_ts) / 1e6, regime=market.regime,
    )  # fmt: skip
    return Output("ai.exit.decision", f"{position.account}:{position.symbol}", record)
