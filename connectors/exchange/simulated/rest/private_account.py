"""Account REST endpoints of USD-margined perpetuals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from connectors.exchange.simulated.account.ledger import ZERO, MarginType, OpenNotional, Position
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.dialect import account_frames, frames
from connectors.exchange.simulated.dialect.account_frames import ASSET
from connectors.exchange.simulated.rest.endpoint import Endpoint, Params, Security
from connectors.exchange.simulated.rest.forms import listed, within
from connectors.exchange.simulated.venue.futures import FuturesVenue

_MARGIN_TYPES = {"CROSSED": MarginType.CROSS, "ISOLATED": MarginType.ISOLATED}


class AccountApi:
    """Handlers over one account.

    Parameters
    ----------
    venue
        The account.
    clock
        Returns the server's time, microseconds; listen keys expire by it.
    """

    def __init__(self, venue: FuturesVenue, clock: Callable[[], int]) -> None:
        self._venue = venue
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        signed, key = Security.SIGNED, Security.KEY
        rows = [
            Endpoint("GET", "/fapi/v1/income", self.income, 30, signed),
            Endpoint("GET", "/fapi/v1/commissionRate", self.commission_rate, 20, signed),
            Endpoint("GET", "/fapi/v1/leverageBracket", self.leverage_bracket, 1, signed),
            Endpoint("POST", "/fapi/v1/leverage", self.set_leverage, 1, signed),
            Endpoint("POST", "/fapi/v1/marginType", self.set_margin_type, 1, signed),
            Endpoint("GET", "/fapi/v1/positionSide/dual", self.position_mode, 30, signed),
            Endpoint("POST", "/fapi/v1/listenKey", self.open_stream, 1, key),
            Endpoint("PUT", "/fapi/v1/listenKey", self.keep_stream, 1, key),
            Endpoint("DELETE", "/fapi/v1/listenKey", self.close_stream, 1, key),
            Endpoint("GET", "/fapi/v2/positionRisk", self.position_settings, 5, signed),
            Endpoint("GET", "/fapi/v3/positionRisk", self.position_risk, 5, signed),
        ]
        for version in ("v2", "v3"):
            rows.append(Endpoint("GET", f"/fapi/{version}/balance", self.balance, 5, signed))
            rows.append(Endpoint("GET", f"/fapi/{version}/account", self.account, 5, signed))
        return rows

    async def balance(self, _: Params) -> Any:
        """Return the balance of the margin asset."""
        ledger, marks = self._venue.ledger, self._venue.market.mark
        available = frames.eight(self._venue.margin.available())
        return [
            {
                "accountAlias": "paper",
                "asset": ASSET,
                "balance": frames.eight(ledger.wallet),
                "crossWalletBalance": frames.eight(ledger.cross_wallet),
                "crossUnPnl": frames.eight(ledger.unrealised(marks, MarginType.CROSS)),
                "availableBalance": available,
                "maxWithdrawAmount": available,
                "marginAvailable": True,
                "updateTime": self._clock() // 1000,
            }
        ]

    async def account(self, _: Params) -> Any:
        """Return totals, the margin asset and the positions."""
        ledger, margin, marks = self._venue.ledger, self._venue.margin, self._venue.market.mark
        orders = margin.open_notional()
        held = ledger.held()
        positions = sum((ledger.initial_margin(p.symbol, marks(p.symbol), OpenNotional()) for p in held), ZERO)
        symbols = {p.symbol for p in held} | set(orders)
        total = sum((ledger.initial_margin(s, marks(s), orders.get(s, OpenNotional())) for s in symbols), ZERO)
        unrealised = ledger.unrealised(marks)
        sums = {
            "InitialMargin": total,
            "MaintMargin": sum((ledger.maintenance(p, marks(p.symbol)) for p in held), ZERO),
            "WalletBalance": ledger.wallet,
            "UnrealizedProfit": unrealised,
            "MarginBalance": ledger.wallet + unrealised,
            "PositionInitialMargin": positions,
            "OpenOrderInitialMargin": total - positions,
            "CrossWalletBalance": ledger.cross_wallet,
            "CrossUnPnl": ledger.unrealised(marks, MarginType.CROSS),
        }
        available = frames.eight(margin.available())
        asset = {name[0].lower() + name[1:]: frames.eight(value) for name, value in sums.items()}
        return {
            **{f"total{name}": frames.eight(value) for name, value in sums.items()},
            "availableBalance": available,
            "maxWithdrawAmount": available,
            "assets": [{"asset": ASSET, **asset, "availableBalance": available, "updateTime": self._clock() // 1000}],
            "positions": [self._position(p) for p in held],
        }

    async def position_risk(self, params: Params) -> Any:
        """Return the symbols with a position or an open order."""
        wanted = listed(self._venue, params).symbol if params.optional("symbol") else None
        active = {p.symbol for p in self._venue.ledger.held()} | set(self._venue.margin.open_notional())
        return [self._position(self._venue.ledger.position(s)) for s in sorted(active) if wanted in (None, s)]

    async def position_settings(self, params: Params) -> Any:
        """Return every symbol with its leverage and margin type, as version 2 does."""
        symbols = [listed(self._venue, params).symbol] if params.optional("symbol") else list(self._venue.instruments)
        positions = [self._venue.ledger.position(s) for s in symbols]
        return [{**self._position(p), "leverage": str(p.leverage), "marginType": p.margin_type.value} for p in positions]

    async def income(self, params: Params) -> Any:
        """Return the account's history, oldest first, page by page where a time or a page is named, else the newest rows."""
        symbol, kind, limit = params.optional("symbol"), params.optional("incomeType"), params.limit(100, 1000)
        start, end, page = params.integer("startTime"), params.integer("endTime"), params.integer("page", least=1)
        rows = within(self._venue.ledger.history, start, end, lambda i: i.ts_us)
        found = [i for i in rows if symbol in (None, i.symbol) and kind in (None, i.kind)]
        first = ((page or 1) - 1) * limit
        return [account_frames.income_row(i) for i in (found[-limit:] if start is None and page is None else found[first : first + limit])]

    async def commission_rate(self, params: Params) -> Any:
        """Return the fees."""
        rates = self._venue.ledger.rates
        maker, taker = frames.plain(rates.maker), frames.plain(rates.taker)
        return {"symbol": listed(self._venue, params).symbol, "makerCommissionRate": maker, "takerCommissionRate": taker}

    async def leverage_bracket(self, params: Params) -> Any:
        """Return the leverage brackets."""
        wanted = listed(self._venue, params).symbol if params.optional("symbol") else None
        return [
            {
                "symbol": symbol,
                "notionalCoef": 1.0,
                "brackets": [
                    {
                        "bracket": b.number,
                        "initialLeverage": b.max_leverage,
                        "notionalCap": int(b.cap),
                        "notionalFloor": int(b.floor),
                        "maintMarginRatio": float(b.maintenance_rate),
                        "cum": float(b.deduction),
                    }
                    for b in rules.brackets
                ],
            }
            for symbol, rules in self._venue.instruments.items()
            if wanted in (None, symbol)
        ]

    async def set_leverage(self, params: Params) -> Any:
        """Set the leverage of a symbol."""
        rules, leverage = listed(self._venue, params), params.integer("leverage")
        if leverage is None:
            raise refusal(-1102, "leverage")
        if not 1 <= leverage <= rules.brackets[0].max_leverage:
            raise refusal(-4028, leverage)
        position = self._venue.ledger.position(rules.symbol)
        cap = max(b.cap for b in rules.brackets if b.max_leverage >= leverage)
        if abs(position.quantity) * self._venue.market.mark(rules.symbol) >= cap:
            raise refusal(-2027)
        if position.quantity and position.margin_type is MarginType.ISOLATED and leverage < position.leverage:
            raise refusal(-4161, message="Leverage reduction is not supported in Isolated Margin Mode with open positions.")
        position.leverage = leverage
        self._venue.tell_setting(rules.symbol, leverage)
        return {"symbol": rules.symbol, "leverage": leverage, "maxNotionalValue": str(int(cap))}

    async def set_margin_type(self, params: Params) -> Any:
        """Set the margin type of a symbol."""
        symbol, name = listed(self._venue, params).symbol, params.text("marginType")
        if name not in _MARGIN_TYPES:
            raise refusal(-1130, "marginType")
        position = self._venue.ledger.position(symbol)
        if position.margin_type is _MARGIN_TYPES[name]:
            raise refusal(-4046)
        if self._venue.store.open_orders(symbol):
            raise refusal(-4047)
        if position.quantity:
            raise refusal(-4048)
        position.margin_type = _MARGIN_TYPES[name]
        return {"code": 200, "msg": "success"}

    async def position_mode(self, _: Params) -> Any:
        """Return the position mode, which is one-way."""
        return {"dualSidePosition": False}

    # --- user stream -------------------------------------------------------------------------------------------------------------------

    async def open_stream(self, _: Params) -> Any:
        """Open the user stream."""
        return {"listenKey": self._venue.open_stream(self._clock())}

    async def keep_stream(self, _: Params) -> Any:
        """Keep the user stream for another hour."""
        return {"listenKey": self._venue.keep_stream(self._clock())}

    async def close_stream(self, _: Params) -> Any:
        """Close the user stream."""
        self._venue.close_stream()
        return {}

    def _position(self, position: Position) -> frames.Json:
        ledger, margin, marks = self._venue.ledger, self._venue.margin, self._venue.market.mark
        mark = marks(position.symbol)
        orders = margin.open_notional().get(position.symbol, OpenNotional())
        alone = ledger.initial_margin(position.symbol, mark, OpenNotional())
        total = ledger.initial_margin(position.symbol, mark, orders)
        maintenance = ledger.maintenance(position, mark) if position.quantity else Decimal(0)
        return {
            **account_frames.position_row(position, mark, ledger.liquidation_price(position, marks)),
            "initialMargin": frames.eight(total),
            "maintMargin": frames.eight(maintenance),
            "positionInitialMargin": frames.eight(alone),
            "openOrderInitialMargin": frames.eight(total - alone),
            "bidNotional": frames.plain(orders.buys),
            "askNotional": frames.plain(orders.sells),
        }
