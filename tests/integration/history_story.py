"""Two days of an account, small enough to be counted by hand: the rows that the questions of ``docs/sql.md`` are asked of."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import count

import msgspec

from processors.governance.changes import base_of
from processors.governance.defaults import default_policy
from processors.market.consolidation import BPS
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from schemas.common import (
    Action,
    DenialCode,
    Direction,
    ExitReason,
    Liquidity,
    Mode,
    OrderAction,
    OrderStatus,
    OrderType,
    Origin,
    PositionSide,
    Regime,
    RiskEventKind,
    Side,
)  # fmt: skip
from schemas.exchange.records import ExchangeFrame
from schemas.execution.records import ExecutionResult, OrderCommand
from schemas.features.records import Features
from schemas.governance.records import DecisionMade
from schemas.journal.records import TradeClosed
from schemas.market.records import MarketFunding, MarketKline, MarketQuote, MarketTick
from schemas.positions.records import PortfolioExposure, PortfolioPosition, PortfolioSnapshot
from schemas.record import Record
from schemas.risk.records import RiskEvent, SizingDecided, TradeIntent
from schemas.signals.records import SignalGenerated, SignalScore
from schemas.universe.records import SymbolQuality
from tests.integration.history_rows import Row, blank
from tests.unit.market.frames import T0, frame, trade

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
ACCOUNT = "paper"
VENUE = "binance-usdm"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
MODELS = (("xgb", "v1"), ("mlp", "v2"))
HORIZON_S = 60
MINUTES = 16
DENIED_EVERY = 4
QUOTE_US = 2 * SECOND


class Story:
    """The rows of every topic that the questions need.

    Attributes
    ----------
    start
        Midnight, UTC, two days ago, microseconds: the tables keep a month, so the story moves with the calendar.
    rows
        Rows by topic.
    """

    def __init__(self) -> None:
        self.start = int(time.time()) * SECOND // DAY * DAY - 2 * DAY
        self.rows: defaultdict[str, list[Row]] = defaultdict(list)
        self._ids = count(7001)
        for symbol in SYMBOLS:
            self._market(symbol)
        for number in range(MINUTES - 4):
            self._entry(number)
        self._account()

    def records(self, topic: str) -> list[Record]:
        """Return the records of a topic."""
        return [row.record for row in self.rows[topic]]

    def _add(self, topic: str, record: Record, cause: str = "", *, delay_ms: int = 0) -> str:
        """Add a record, which Kafka has some milliseconds after the frame that started its chain, and return its id."""
        self.rows[topic].append(Row(record, record.ingest_ts + delay_ms * 1000, cause))
        return record.event_id

    def _market(self, symbol: str) -> None:
        """Run trades, quotes and mark prices through the market stage."""
        state, rules = VenueState(), Rules()
        for raw in self._frames(symbol):
            # Frames are made for another day and symbol; whatever their event time, they are received 3 ms after it.
            moved = msgspec.structs.replace(raw, symbol=symbol, ingest_ts=raw.event_ts + 3_000)
            for number, output in enumerate(on_frame(rules, state, moved)):
                self._add(output.topic, output.record, moved.event_id, delay_ms=4 + number)

    def _frames(self, symbol: str) -> Iterator[ExchangeFrame]:
        price = 60_000.0 if symbol == "BTCUSDT" else 3_000.0
        shift_ms = (self.start + DAY - T0) // 1000  # the market opens at midnight of the second day
        for number in range(MINUTES * 30):
            at_ms = shift_ms + number * 2_000
            price *= 1 + ((number * 7919) % 13 - 6) / 20_000
            bid, ask = price * 0.9999, price * (1.0001 + number % 5 / 50_000)
            at = T0 // 1000 + at_ms
            quote = {"u": number + 1, "b": f"{bid:.2f}", "B": "3", "a": f"{ask:.2f}", "A": "2", "T": at, "E": at}
            yield frame("quote", quote, at * 1000)
            yield trade(number + 1, at_ms, round(price, 2), 0.5 + number % 4, sell=number % 3 == 0)
            if number % 30 == 0:
                funding_ms = (self.start + DAY) // 1000 + 720_000
                coming_ms = funding_ms if at < funding_ms else funding_ms + 8 * 3_600_000
                mark = {"p": f"{price:.2f}", "i": f"{price:.2f}", "r": f"{number / 1e6:.6f}", "T": coming_ms, "E": at}
                yield frame("mark", mark, at * 1000)

    def _entry(self, number: int) -> None:
        """Add what becomes of the feature vector of one minute: scores, signal, decision, sizing, and mostly a round trip."""
        symbol = SYMBOLS[number % 2]
        bar = next(
            each for each in self.records("market.klines")
            if isinstance(each, MarketKline) and (each.symbol, each.interval) == (symbol, "1m") and each.open_ts == self._minute(number)
        )  # fmt: skip
        at, regime = bar.close_ts, (Regime.TREND_UP, Regime.RANGE)[number // 2 % 2]
        common = {"event_ts": at, "ingest_ts": at + 3_000, "symbol": symbol}
        features = f"{symbol}:1m:{number}"
        vector = blank(Features, **common, event_id=features, venue=VENUE, interval="1m", bar_close_ts=at, close=bar.close, warm=True)
        self._add("features", vector, bar.event_id, delay_ms=8)
        up = 0.2 + 0.05 * number
        for model, version in MODELS:
            score = blank(
                SignalScore, **common, event_id=f"{features}:{model}", model=model, model_version=version, model_sha256=f"{model}-hash",
                features_id=features, horizon_s=HORIZON_S, p_up=up, p_flat=0.1, p_down=0.9 - up,
            )  # fmt: skip
            self._add("signal.score", score, features, delay_ms=10)
        signal = blank(
            SignalGenerated, **common, event_id=f"{features}:s", venue=VENUE, strategy=("trend", "revert")[number % 3 == 0],
            direction=Direction.LONG, confidence=up, p_up=up, horizon_s=HORIZON_S, features_id=features, regime=regime, price=bar.close,
        )  # fmt: skip
        self._add("ai.signal_generated", signal, features, delay_ms=12)
        chain = {**common, "account": ACCOUNT, "venue": VENUE, "strategy": signal.strategy}
        decision = blank(
            DecisionMade, **chain, event_id=f"{features}:d", action=Action.ENTER_LONG, signal_id=signal.event_id, features_id=features,
            mode=Mode.NORMAL, regime=regime, policy_version=1,
        )  # fmt: skip
        self._add("ai.decision.made", decision, signal.event_id, delay_ms=15)
        price = Decimal(f"{bar.close:.2f}")
        sizing = blank(
            SizingDecided, **chain, event_id=f"{features}:z", decision_id=decision.event_id, signal_id=signal.event_id,
            features_id=features, side=Side.BUY, leverage=5.0, quantity=Decimal(1), price=price, notional=price, regime=regime,
            risk_amount=Decimal(100),
        )  # fmt: skip
        self._add("sizing.decided", sizing, decision.event_id, delay_ms=18)
        if number % DENIED_EVERY == 3:
            denial = blank(
                RiskEvent, **{name: common[name] for name in ("event_ts", "ingest_ts")}, event_id=f"{features}:r", account=ACCOUNT,
                symbol=symbol, kind=RiskEventKind.DENIAL, code=DenialCode.POSITION_LIMIT, sizing_id=sizing.event_id, detail="too much",
            )  # fmt: skip
            self._add("risk.events", denial, sizing.event_id, delay_ms=20)
            return
        self._trade(number, sizing)

    def _minute(self, number: int) -> int:
        return self.start + DAY + (number + 1) * 60 * SECOND

    def _trade(self, number: int, sizing: SizingDecided) -> None:
        """Add the entry's intent, command and results; where it was filled, its position and the closed trade."""
        common = {name: getattr(sizing, name) for name in ("event_ts", "ingest_ts", "account", "symbol", "venue", "strategy", "signal_id")}
        intent = blank(
            TradeIntent, **common, event_id=f"{sizing.features_id}:i", origin=Origin.ENTRY, side=Side.BUY, order_type=OrderType.MARKET,
            quantity=sizing.quantity, sizing_id=sizing.event_id, reference_price=sizing.price, reason="ENTRY",
        )  # fmt: skip
        self._add("trade.intent", intent, sizing.event_id, delay_ms=20)
        order = f"order-{number}"
        command = blank(
            OrderCommand, **common, event_id=f"{order}:c", client_order_id=order, action=OrderAction.SUBMIT, side=Side.BUY,
            order_type=OrderType.MARKET, quantity=sizing.quantity, intent_id=intent.event_id, origin=Origin.ENTRY, reason="ENTRY",
            reference_price=sizing.price,
        )  # fmt: skip
        self._add("order.command", command, intent.event_id, delay_ms=24)
        if number == 10:
            return  # nobody answers
        result = blank(
            ExecutionResult, **common, event_id=f"{order}:a", client_order_id=order, status=OrderStatus.ACCEPTED, side=Side.BUY,
            quantity=sizing.quantity, intent_id=intent.event_id, origin=Origin.ENTRY, reason="ENTRY", reference_price=sizing.price,
        )  # fmt: skip
        if number == 2:
            refused = msgspec.structs.replace(
                result, status=OrderStatus.REJECTED, error_code="-2019", error_message="Margin is insufficient."
            )
            self._add("execution.result", refused, command.event_id, delay_ms=30)
            return
        self._add("execution.result", result, command.event_id, delay_ms=30 + number)
        self._fill(number, result)

    def _fill(self, number: int, accepted: ExecutionResult) -> None:
        whole = number != 6
        quantity = accepted.quantity if whole else accepted.quantity / 4
        price = (accepted.reference_price * (1 + Decimal(number % 3) / 10_000)).quantize(Decimal("0.01"))
        filled = msgspec.structs.replace(
            accepted, event_id=f"{accepted.client_order_id}:f", event_ts=accepted.event_ts + SECOND, filled_quantity=quantity,
            status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED, average_price=price, trade_id=str(next(self._ids)),
            fill_quantity=quantity, fill_price=price, commission=quantity * price / 2_000, commission_asset="USDT",
            liquidity=(Liquidity.TAKER, Liquidity.MAKER)[number % 2],
        )  # fmt: skip
        self._add("execution.result", filled, accepted.event_id, delay_ms=60)
        if not whole:
            ended = msgspec.structs.replace(
                accepted, event_id=f"{accepted.client_order_id}:x", event_ts=accepted.event_ts + 2 * SECOND, filled_quantity=quantity,
                average_price=price, status=OrderStatus.CANCELLED,
            )  # fmt: skip
            self._add("execution.result", ended, accepted.event_id, delay_ms=90)
        self._position(number, filled)

    def _position(self, number: int, fill: ExecutionResult) -> None:
        """Add the position, held until the end where it is one of the last, and the closed trade of the others."""
        assert fill.fill_price is not None
        assert fill.fill_quantity is not None
        common = {name: getattr(fill, name) for name in ("account", "symbol", "venue", "strategy", "signal_id")}
        held = blank(
            PortfolioPosition, **common, event_id=f"{fill.event_id}:p", event_ts=fill.event_ts, ingest_ts=fill.ingest_ts,
            position_id=fill.client_order_id, side=PositionSide.LONG, quantity=fill.fill_quantity, entry_price=fill.fill_price,
            mark_price=fill.fill_price, opened_ts=fill.event_ts, leverage=5.0,
        )  # fmt: skip
        self._add("portfolio.position", held, fill.event_id, delay_ms=65)
        if number >= 8:
            return
        gross = fill.fill_quantity * fill.fill_price * (Decimal(number % 5) - 2) / 1_000
        fees = fill.fill_quantity * fill.fill_price / 1_000
        closed_ts = fill.event_ts + 30 * SECOND + (number // 4 - 1) * DAY  # half of them on the first day
        flat = msgspec.structs.replace(
            held, event_id=f"{held.event_id}:flat", event_ts=fill.event_ts + 30 * SECOND, ingest_ts=fill.ingest_ts + 30 * SECOND,
            side=PositionSide.FLAT, quantity=Decimal(0), realised_pnl=gross, fees=fees,
        )  # fmt: skip
        self._add("portfolio.position", flat, held.event_id, delay_ms=40)
        net = gross - fees
        closed = blank(
            TradeClosed, **common, event_id=f"{held.event_id}:t", event_ts=closed_ts, ingest_ts=closed_ts, position_id=held.position_id,
            side=PositionSide.LONG, quantity=fill.fill_quantity, entry_price=fill.fill_price, exit_price=fill.fill_price,
            opened_ts=closed_ts - 30 * SECOND, closed_ts=closed_ts, held_s=30.0, gross_pnl=gross, fees=fees, net_pnl=net,
            risk_amount=Decimal(100), r_multiple=float(net) / 100, decided_r=float(gross) / 100,
            exit_reason=(ExitReason.TAKE_PROFIT if gross > 0 else ExitReason.STOP), entry_orders=[fill.client_order_id],
        )  # fmt: skip
        self._add("trade.closed", closed, flat.event_id, delay_ms=50)

    def _account(self) -> None:
        """Add equity and exposure every ten seconds: a rise, a fall and a part of the way back."""
        for step in range(60):
            at = self.start + DAY + step * 10 * SECOND
            equity = Decimal(10_000) + (step * 20 if step < 30 else 1_180 - step * 20 if step < 50 else step * 10 - 320)
            common = {"event_ts": at, "ingest_ts": at, "account": ACCOUNT}
            snapshot = blank(
                PortfolioSnapshot, **common, event_id=f"snap-{step}", equity=equity, balance=Decimal(10_000), open_positions=step % 3
            )
            self._add("portfolio.snapshot", snapshot, delay_ms=5)
            gross = Decimal(step % 7 * 1_500)
            exposure = blank(PortfolioExposure, **common, event_id=f"exp-{step}", gross=gross, net=-gross / 2, margin=gross / 5)
            self._add("portfolio.exposure", exposure, delay_ms=6)

    def universe(self) -> dict[str, list[Row]]:
        """Return measurements, and policies whose universe follows them; at one time a person and a brain write the same version.

        They are not among ``rows``: where the story is a platform's, its policies are a person's there.
        """
        start, rows = self.start + DAY, defaultdict[str, list[Row]](list)
        scores = ((60, "ETHUSDT", 0.9), (240, "ETHUSDT", 0.25), (540, "ETHUSDT", 0.75), (540, "BTCUSDT", None), (720, "ETHUSDT", 0.5))
        for second, symbol, score in scores:
            at = start + second * SECOND
            quality = blank(
                SymbolQuality, event_ts=at, ingest_ts=at, account=ACCOUNT, symbol=symbol, venue=VENUE, event_id=f"{symbol}:{second}",
                score=score, spread_score=score, weakest=None if score is None else "spread",
            )  # fmt: skip
            rows["universe.quality"].append(Row(quality, at))
        first = default_policy(ACCOUNT, now_us=start, author="anna", universe=SYMBOLS)
        left = "drawdown uses 60%; ETHUSDT left: score 0.25, least for its spread"
        moved = "drawdown uses 0%; BTCUSDT left: no score; ETHUSDT joined: score 0.75, least for its spread"
        changes = (
            (0, 1, "anna", "first policy", ["BTCUSDT", "ETHUSDT"]),
            (300, 2, "universe-brain", left, ["BTCUSDT"]),
            (400, 3, "universe-brain", "lost against a person's", ["ETHUSDT"]),
            (399, 3, "anna", "a look", ["BTCUSDT"]),
            (600, 4, "ceo-brain+universe-brain", moved, ["ETHUSDT"]),
        )
        for second, version, author, reason, universe in changes:
            at = start + second * SECOND
            policy = msgspec.structs.replace(
                first, event_id=f"policy:{version}:{author}", event_ts=at, ingest_ts=at, version=version, author=author, reason=reason,
                universe=universe, base=None if author == "anna" else base_of(first),
            )  # fmt: skip
            rows["policy"].append(Row(policy, at))
        return rows

    def ticks(self) -> list[MarketTick]:
        """Return the trades of the market."""
        return [each for each in self.records("market.tick") if isinstance(each, MarketTick)]

    def quotes(self) -> list[MarketQuote]:
        """Return the quotes."""
        return [each for each in self.records("market.quote") if isinstance(each, MarketQuote)]

    def fundings(self) -> list[MarketFunding]:
        """Return the mark prices with their funding rates."""
        return [each for each in self.records("market.funding") if isinstance(each, MarketFunding)]


def spread_bps(quote: MarketQuote) -> float:
    """Return the spread over mid, basis points."""
    return (quote.ask_price - quote.bid_price) / ((quote.ask_price + quote.bid_price) / 2) * BPS
