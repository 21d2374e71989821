"""A market and a position for the tests of the exit brain."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from processors.exits import logic
from processors.exits.state import Shared, Symbol
from schemas.clock.records import ClockTick
from schemas.common import ExitRules, InstrumentRules, Mode, PositionSide, Regime, Side, SizingRules, Stance
from schemas.exits.records import ExitDecision
from schemas.features.records import MarketRegime
from schemas.governance.records import Policy
from schemas.market.records import MarketInstrument, MarketTick
from schemas.positions.records import PortfolioPosition
from schemas.risk.records import TradeIntent
from tests.unit.exits.limits import LIMITS

T0 = 1_700_000_000_000_000
D = Decimal
RULES = logic.Rules("binance-usdm", "1m")
EXITS = ExitRules(
    profile="DEFAULT", take_profit_r=[1.0, 2.0], take_profit_share=0.25, breakeven_r=1.0, trail_atr_mult=2.0, trail_after_r=1.5,
    time_stop_s=7200, max_risk_r=1.5,
)  # fmt: skip
INSTRUMENT = InstrumentRules(
    tick_size=D("0.1"), lot_size=D("0.001"), min_quantity=D("0.001"), max_quantity=D(1000), min_notional=D(5), max_leverage=20,
    maintenance_rate=0.01,
)  # fmt: skip


def policy(exits: ExitRules = EXITS, version: int = 3, *, emergency: bool = False) -> Policy:
    return Policy(
        event_id=f"p{version}", event_ts=T0, ingest_ts=T0, account="paper", version=version, author="t", reason="t", mode=Mode.NORMAL,
        stance=Stance.BALANCED, emergency_stop=emergency, universe=["BTCUSDT"], strategies=[], required_components=[], limits=LIMITS,
        sizing=SizingRules(risk_per_trade=0.005, stop_atr_mult=2, min_stop_bps=10, min_confidence=0.5), exits=exits,
    )  # fmt: skip


def position(side: PositionSide = PositionSide.LONG, quantity: str = "1", **changes: Any) -> PortfolioPosition:
    """Return a position entered at 1024 with a stop 16 away."""
    direction = -1 if side is PositionSide.SHORT else 1
    fields: dict[str, Any] = {
        "event_id": "x", "event_ts": T0, "ingest_ts": T0, "account": "paper", "symbol": "BTCUSDT", "venue": "binance-usdm",
        "position_id": "pos", "side": side, "quantity": D(quantity), "entry_price": D(1024), "mark_price": D(1024), "leverage": 2.0,
        "margin": D(512), "unrealised_pnl": D(0), "realised_pnl": D(0), "fees": D(0), "opened_ts": T0, "initial_quantity": D(1),
        "initial_stop": D(1024 - 16 * direction), "risk_amount": D(16), "strategy": "ensemble", "signal_id": "s1",
    }  # fmt: skip
    return PortfolioPosition(**{**fields, **changes})


class World:
    """One symbol's partition of the stage, fed record by record; keeps what it wrote."""

    def __init__(
        self,
        side: PositionSide = PositionSide.LONG,
        rules: Policy | None = None,
        atr: float | None = 8.0,
        instrument: InstrumentRules | None = INSTRUMENT,
        **changes: Any,
    ) -> None:
        self.symbol, self.shared = Symbol(), Shared()
        self.symbol.market.atr = atr
        self.decisions: list[ExitDecision] = []
        self.intents: list[TradeIntent] = []
        if rules is not None:
            self._keep(logic.on_policy(self.shared, rules))
        if instrument is not None:
            listed = MarketInstrument(
                event_id="i", event_ts=T0, ingest_ts=T0, venue="binance-usdm", symbol="BTCUSDT", base_asset="BTC", quote_asset="USDT",
                rules=instrument,
            )  # fmt: skip
            self._keep(logic.on_instrument(RULES, self.symbol, listed))
        self.side = side
        self.becomes(position(side, **changes))

    def _keep(self, outputs: Any) -> None:
        for output in outputs:
            if isinstance(output.record, TradeIntent):
                assert (output.topic, output.key) == ("trade.intent", "paper")
                self.intents.append(output.record)
            else:
                assert (output.topic, output.key) == ("ai.exit.decision", "paper:BTCUSDT")
                self.decisions.append(output.record)

    def becomes(self, record: PortfolioPosition) -> None:
        self._keep(logic.on_position(RULES, self.symbol, self.shared, record))

    def price(self, price: float, second: float = 1, venue: str = "binance-usdm") -> None:
        ts = T0 + int(second * 1e6)
        tick = MarketTick(
            event_id=f"t{second}", event_ts=ts, ingest_ts=ts, venue=venue, symbol="BTCUSDT", trade_id=1, price=price, quantity=1,
            side=Side.BUY,
        )  # fmt: skip
        self._keep(logic.on_tick(RULES, self.symbol, self.shared, tick))

    def clock(self, second: float) -> None:
        ts = T0 + int(second * 1e6)
        self._keep(logic.on_clock(RULES, self.symbol, self.shared, ClockTick(event_id=f"c{ts}", event_ts=ts, ingest_ts=ts)))

    def regime(self, regime: Regime, since: int) -> None:
        record = MarketRegime(
            event_id="r", event_ts=since, ingest_ts=since, venue="binance-usdm", symbol="BTCUSDT", regime=regime, since_ts=since
        )
        self._keep(logic.on_regime(RULES, self.symbol, record))

    @property
    def stop(self) -> float | None:
        return self.symbol.open["paper"].stop

    def legs(self) -> list[tuple[str, str, int]]:
        """Return reason, quantity and leg of every order."""
        return [(intent.reason, str(intent.quantity.normalize()), intent.leg) for intent in self.intents]
