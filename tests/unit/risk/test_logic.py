"""The two steps of risk: size an entry, then check it, with reservations for what is under way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from processors.output import Output
from processors.risk.context import DAY_US
from processors.risk.logic import RESERVATION_US, Risk
from processors.risk.state import AccountState, QuoteState, SharedState, SymbolState
from schemas.common import Action, Cap, DenialCode, ExitReason, Mode, OrderStatus, OrderType, Origin, RiskEventKind, Side
from schemas.execution.records import AccountBalance
from schemas.features.records import Features
from schemas.governance.records import Policy
from schemas.risk.records import RiskEvent, SizingDecided, TradeIntent
from tests.unit.execution.builders import result
from tests.unit.governance.builders import ACCOUNT, NOW, SECOND, VENUE, changed, policy, snapshot, trade
from tests.unit.risk.builders import decision, exposure, funding, instrument, limited, quote, ready, regime, sizing


def sized(made: tuple[Risk, SymbolState, QuoteState, SharedState], **fields: Any) -> Output:
    """Return what comes of a decision."""
    risk, symbol, touch, shared = made
    (output,) = risk.on_decision(symbol, touch, shared, decision(**fields))
    assert output.key == ACCOUNT
    return output


def test_an_entry_is_sized_by_its_risk_and_caps_with_everything_on_the_record() -> None:
    record = sized(ready()).record
    assert isinstance(record, SizingDecided)
    # 6 ATR of 20 against 12 bps of 60,000: the ATR's stop is wider.
    assert (record.side, record.price, record.stop_distance, record.stop_price) == (
        Side.BUY,
        Decimal(60_000),
        Decimal(120),
        Decimal(59_880),
    )
    # 10,000 x 0.5% x 0.6667 over 120 would be 0.277 BTC; the order's limit of 1,500 allows 0.025.
    assert record.confidence_scale == pytest.approx(0.5 + 0.5 * 0.2 / 0.6)
    assert (record.quantity, record.notional, record.rl_scale) == (Decimal("0.025"), Decimal(1500), 1.0)
    assert record.risk_amount == record.quantity * record.stop_distance
    assert (record.leverage, record.binding_cap, record.cap_policy) == (10.0, Cap.POLICY, 10.0)
    assert record.margin == 150
    assert (record.signal_id, record.decision_id, record.features_id, record.event_id) == ("s1", "d1", "f1", "d1:sizing")
    assert (record.event_ts, record.quote_ts, record.rules) == (NOW, NOW - 1000, instrument().rules)


def test_a_short_is_sized_at_the_bid_with_its_stop_above() -> None:
    record = sized(ready(), action=Action.ENTER_SHORT).record
    assert isinstance(record, SizingDecided)
    assert (record.side, record.price, record.stop_price) == (Side.SELL, Decimal("59999.9"), Decimal("60119.9"))


def test_a_smaller_risk_than_the_caps_decides_the_quantity() -> None:
    small = limited(max_order_notional=Decimal(100_000), max_position_notional=Decimal(100_000))
    record = sized(ready(small), strategy_weight=0.5).record
    assert isinstance(record, SizingDecided)
    assert record.quantity == Decimal("0.138")
    assert record.risk_amount <= 10_000 * Decimal("0.005") * Decimal("0.6667") * Decimal("0.5")


def test_the_atr_of_the_features_serves_where_the_decision_has_none() -> None:
    risk, symbol, touch, shared = ready()
    bar = Features(
        event_id="f", event_ts=NOW, ingest_ts=NOW, venue=VENUE, symbol="BTCUSDT", interval="1s", bar_close_ts=NOW, close=60_000.0,
        warm=True, atr_14=40.0,
    )  # fmt: skip
    risk.on_features(symbol, bar)
    risk.on_features(symbol, changed(bar, {"interval": "1m", "atr_14": 500.0}))
    risk.on_features(symbol, changed(bar, {"venue": "other", "atr_14": 500.0}))
    record = sized((risk, symbol, touch, shared), atr=None).record
    assert isinstance(record, SizingDecided)
    assert (record.atr_value, record.stop_distance) == (40.0, Decimal(240))


@pytest.mark.parametrize(
    ("missing", "code", "name"),
    [
        ("quote", DenialCode.STALE_MARKET_DATA, "market.quote"),
        ("funding", DenialCode.STALE_MARKET_DATA, "market.funding"),
        ("regime", DenialCode.STALE_MARKET_DATA, "market.regime"),
        ("divergence_bps", DenialCode.STALE_MARKET_DATA, "exchange.normalized"),
        ("atr", DenialCode.STALE_MARKET_DATA, "ATR"),
        ("instrument", DenialCode.INSTRUMENT_UNKNOWN, "market.instrument"),
        ("snapshot", DenialCode.MARGIN_INSUFFICIENT, "equity"),
        ("policy", DenialCode.MODE_FORBIDS, "policy"),
    ],
)
def test_what_is_missing_denies_and_is_named(missing: str, code: DenialCode, name: str) -> None:
    risk, symbol, touch, shared = ready()
    if missing == "quote":
        touch = QuoteState()
    elif missing in ("snapshot", "policy"):
        setattr(shared, missing, None)
    elif missing != "atr":
        setattr(symbol, missing, None)
    output = sized((risk, symbol, touch, shared), atr=None if missing == "atr" else 20.0)
    assert output.topic == "risk.events"
    assert isinstance(output.record, RiskEvent)
    assert (output.record.kind, output.record.code, output.record.signal_id) == (RiskEventKind.DENIAL, code, "s1")
    assert name in output.record.detail


def test_a_regime_that_is_warming_up_is_missing() -> None:
    risk, symbol, touch, shared = ready()
    risk.on_regime(symbol, regime(volatility_ratio=None))
    assert sized((risk, symbol, touch, shared)).topic == "risk.events"


def test_a_signal_that_the_market_has_left_behind_is_denied() -> None:
    risk, symbol, touch, shared = ready()
    risk.on_quote(touch, quote(event_ts=NOW + 11 * SECOND))
    record = sized((risk, symbol, touch, shared)).record
    assert isinstance(record, RiskEvent)
    assert (record.code, record.value, record.limit) == (DenialCode.STALE_MARKET_DATA, 11_000.0, 10_000.0)


def test_other_venues_and_old_quotes_do_not_count() -> None:
    risk, symbol, touch, _ = ready()
    before = msgspec.structs.asdict(touch), symbol.funding, symbol.instrument, symbol.regime
    risk.on_quote(touch, quote(venue="bybit", ask_price=1.0, event_ts=NOW + 1))
    risk.on_quote(touch, quote(ask_price=1.0, event_ts=NOW - 2000))
    risk.on_funding(symbol, funding(venue="bybit"))
    risk.on_instrument(symbol, instrument(venue="bybit"))
    risk.on_regime(symbol, regime(venue="bybit"))
    assert (msgspec.structs.asdict(touch), symbol.funding, symbol.instrument, symbol.regime) == before


def test_no_entry_is_not_sized() -> None:
    risk, symbol, touch, shared = ready()
    assert list(risk.on_decision(symbol, touch, shared, decision(action=Action.NO_ENTRY))) == []


def checked(account: AccountState, shared: SharedState, record: SizingDecided) -> Output:
    """Return what the checks say of an entry."""
    (output,) = Risk(ACCOUNT, VENUE, "1s").on_sizing(account, shared, record)
    return output


def known(in_force: Policy | None = None) -> SharedState:
    return SharedState(policy=in_force or policy("DEMO"), snapshot=snapshot())


def test_an_allowed_entry_becomes_an_intent_once() -> None:
    account, shared = AccountState(), known()
    output = checked(account, shared, sizing())
    intent = output.record
    assert isinstance(intent, TradeIntent)
    assert (output.topic, output.key, intent.event_id) == ("trade.intent", ACCOUNT, "d1:sizing:intent")
    assert (intent.origin, intent.order_type, intent.reduce_only, intent.leg) == (Origin.ENTRY, OrderType.MARKET, False, 0)
    assert (intent.reference_price, intent.stop_price, intent.risk_amount) == (Decimal(60_000), Decimal(59_880), Decimal("1.2"))
    again = checked(account, shared, sizing()).record
    assert isinstance(again, RiskEvent)
    assert (again.code, again.sizing_id) == (DenialCode.DUPLICATE_ORDER, "d1:sizing")
    assert "POSITION_LIMIT" in again.detail
    assert account.trades_today == 1


def test_margin_under_way_is_counted_until_the_exposure_shows_it() -> None:
    account, shared = AccountState(), known()
    shared.snapshot = snapshot(available=Decimal(200))
    risk = Risk(ACCOUNT, VENUE, "1s")
    assert checked(account, shared, sizing()).topic == "trade.intent"
    other = sizing(symbol="ETHUSDT", signal_id="s2", event_id="d2:sizing", event_ts=NOW + 1, quote_ts=NOW)
    denied = checked(account, shared, other).record
    assert isinstance(denied, RiskEvent)
    assert denied.code is DenialCode.MARGIN_INSUFFICIENT
    risk.on_exposure(account, shared, exposure(("BTCUSDT", 600), event_ts=NOW + 2))
    assert account.reservations == {}
    assert checked(account, shared, other).topic == "trade.intent"


def test_an_entry_that_ends_without_a_fill_or_runs_out_is_forgotten() -> None:
    shared = known()
    risk = Risk(ACCOUNT, VENUE, "1s")
    for status, filled, kept in [
        (OrderStatus.REJECTED, 0, 0),
        (OrderStatus.CANCELLED, 0, 0),
        (OrderStatus.EXPIRED, 0, 0),
        (OrderStatus.CANCELLED, 1, 1),
        (OrderStatus.FILLED, 1, 1),
        (OrderStatus.ACCEPTED, 0, 1),
    ]:
        account = AccountState()
        checked(account, shared, sizing())
        risk.on_result(account, result(status=status, filled_quantity=Decimal(filled), intent_id="d1:sizing:intent"))
        assert len(account.reservations) == kept
    late = sizing(signal_id="s2", event_id="d2:sizing", event_ts=NOW + RESERVATION_US, quote_ts=NOW + RESERVATION_US)
    assert checked(account, shared, late).topic == "trade.intent"
    risk.on_trade_closed(account, shared, trade(signal_id="s2"))
    assert account.reservations == {}


def test_an_exposure_from_before_the_entry_does_not_release_it() -> None:
    account, shared = AccountState(), known()
    checked(account, shared, sizing())
    Risk(ACCOUNT, VENUE, "1s").on_exposure(account, shared, exposure(("BTCUSDT", 600), event_ts=NOW - 1))
    assert len(account.reservations) == 1


def test_the_days_entries_are_counted_anew_each_utc_day() -> None:
    in_force = limited(max_daily_trades=1)
    account, shared = AccountState(), known(in_force)
    assert checked(account, shared, sizing()).topic == "trade.intent"
    tomorrow = (NOW // DAY_US + 1) * DAY_US
    for at, topic in ((tomorrow - 1, "risk.events"), (tomorrow, "trade.intent")):
        assert (
            checked(account, shared, sizing(signal_id=f"s{at}", event_ts=at, quote_ts=at, next_funding_ts=at + 3600 * SECOND)).topic
            == topic
        )


def test_stop_outs_in_a_row_begin_a_pause() -> None:
    in_force = limited(max_consecutive_stops=2, cooldown_s=60)
    account, shared = AccountState(), known(in_force)
    risk = Risk(ACCOUNT, VENUE, "1s")
    loss = {"exit_reason": ExitReason.STOP, "net_pnl": Decimal(-1)}
    risk.on_trade_closed(account, shared, trade(**loss))
    risk.on_trade_closed(account, shared, trade())
    risk.on_trade_closed(account, shared, trade(**loss))
    assert checked(account, shared, sizing()).topic == "trade.intent"
    risk.on_trade_closed(account, shared, trade(**loss))
    denied = checked(account, shared, sizing(signal_id="s2", symbol="ETHUSDT")).record
    assert isinstance(denied, RiskEvent)
    assert denied.code is DenialCode.COOLDOWN
    later = NOW + 60 * SECOND
    assert checked(account, shared, sizing(signal_id="s3", symbol="ETHUSDT", event_ts=later, quote_ts=later)).topic == "trade.intent"


def test_a_breached_limit_is_told_once_until_it_is_over() -> None:
    account, shared = AccountState(), known()
    risk = Risk(ACCOUNT, VENUE, "1s")
    told = [
        [output.record for output in risk.on_exposure(account, shared, exposure(("BTCUSDT", gross), event_ts=NOW + n))]
        for n, gross in enumerate([6500, 6700, 6700, 6000, 6700])
    ]
    assert [len(records) for records in told] == [0, 2, 0, 0, 2]
    assert {record.code for record in told[1] if isinstance(record, RiskEvent)} == {DenialCode.GROSS_EXPOSURE, DenialCode.NET_EXPOSURE}
    shared.snapshot = snapshot(drawdown=0.21, daily_pnl=Decimal(-501))
    again = [output.record for output in risk.on_exposure(account, shared, exposure(event_ts=NOW + 9))]
    assert [(r.kind, r.code) for r in again if isinstance(r, RiskEvent)] == [
        (RiskEventKind.LIMIT_BREACH, DenialCode.DAILY_LOSS),
        (RiskEventKind.LIMIT_BREACH, DenialCode.DRAWDOWN),
    ]


def test_without_a_policy_or_an_account_the_checks_deny() -> None:
    for shared in (SharedState(), SharedState(policy=policy("DEMO")), SharedState(snapshot=snapshot())):
        record = checked(AccountState(), shared, sizing()).record
        assert isinstance(record, RiskEvent)
        assert record.code is DenialCode.MODE_FORBIDS


def test_the_policy_in_force_counts_not_the_one_that_sized() -> None:
    record = checked(AccountState(), known(policy("DEMO", version=2, mode=Mode.HALTED)), sizing()).record
    assert isinstance(record, RiskEvent)
    assert (record.code, record.detail) == (DenialCode.MODE_FORBIDS, "mode is HALTED")


def test_the_venues_word_on_the_free_balance_counts() -> None:
    account, shared = AccountState(), known()
    balance = AccountBalance(
        event_id="b", event_ts=NOW, ingest_ts=NOW, account=ACCOUNT, venue=VENUE, asset="USDT", wallet_balance=Decimal(100),
        available_balance=Decimal(100),
    )  # fmt: skip
    risk = Risk(ACCOUNT, VENUE, "1s")
    risk.on_balance(account, balance)
    risk.on_balance(account, changed(balance, {"asset": "BTC", "available_balance": Decimal(10**6)}))
    risk.on_balance(account, changed(balance, {"venue": "other", "available_balance": Decimal(10**6)}))
    record = checked(account, shared, sizing()).record
    assert isinstance(record, RiskEvent)
    assert record.code is DenialCode.MARGIN_INSUFFICIENT


def test_states_survive_their_changelogs() -> None:
    account, shared = AccountState(), known()
    checked(account, shared, sizing())
    _, symbol, touch, _ = ready()
    for state in (account, shared, symbol, touch):
        assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state
