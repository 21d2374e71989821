"""The account at the venue: orders, fills, leverage, balance, user stream, by signed REST."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from connectors.exchange.binance.rest import AnswerT, BinanceRest, Security, decoded
from connectors.exchange.binance.signing import Parameter
from connectors.exchange.orders import dialect
from connectors.exchange.orders.events import BalanceSeen, FillSeen, OpenSeen, OrderSeen, PositionSeen, TransferSeen
from connectors.exchange.venues import COINM
from quantum.errors import ConfigurationError, VenueError
from schemas.execution.records import OrderCommand

MOST_TRADES = 1_000
MOST_INCOME = 1_000
ALGO = "algoOrder"
_GONE = {dialect.CANCEL_REFUSED, dialect.NO_SUCH_ORDER}


class _FuturesBalance(msgspec.Struct, rename="camel"):
    asset: str
    balance: Decimal
    available_balance: Decimal


class _Position(msgspec.Struct, rename="camel"):
    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    liquidation_price: Decimal
    leverage: str
    margin_type: str


class _SpotBalance(msgspec.Struct):
    asset: str
    free: Decimal
    locked: Decimal


class _SpotAccount(msgspec.Struct):
    balances: list[_SpotBalance]


class _OpenOrder(msgspec.Struct, rename="camel"):
    client_order_id: str
    order_id: int
    symbol: str


class _OpenAlgo(msgspec.Struct, rename="camel"):
    client_algo_id: str
    algo_id: int
    symbol: str


class _ListenKey(msgspec.Struct, rename="camel"):
    listen_key: str


class TradingAccount:
    """One account at one venue. Every call raises VenueError or VenueAwayError as `BinanceRest.call` does.

    Parameters
    ----------
    rest
        Client of the venue.
    """

    def __init__(self, rest: BinanceRest) -> None:
        if rest.venue is COINM:
            raise ConfigurationError(
                "orders are in the base asset, binance-coinm trades contracts", "use QUANTUM_ORDERS_VENUE=binance-usdm or binance-spot"
            )
        self.rest = rest
        self._futures = rest.venue.futures

    async def submit(self, command: OrderCommand, not_after: float) -> OrderSeen:
        """Send an order, if it can be signed by a monotonic time; return what the venue made of it."""
        request = dialect.new_order(command, self.rest.venue)
        path = self.rest.path(request.endpoint)
        body = await self.rest.call("POST", path, request.parameters, Security.SIGNED, urgent=True, not_after=not_after)
        if request.endpoint == ALGO:
            return dialect.algo_seen(decoded(body, dialect.AlgoAnswer))
        return dialect.seen(decoded(body, dialect.OrderAnswer))

    async def query(self, symbol: str, client_order_id: str, *, waits: bool | None = None) -> OrderSeen | None:
        """Return an order as the venue has it; None where it has none with this id.

        Parameters
        ----------
        symbol, client_order_id
            Which order.
        waits
            Whether it is one that waits for a price; None where that is not known, then one request more may be needed.
        """
        if not (waits and self._futures):
            found = await self._order(symbol, origClientOrderId=client_order_id)
            if found is not None or waits is False or not self._futures:
                return found
        waiting = await self._waiting(client_order_id)
        if waiting is None:
            return None
        made = await self._order(symbol, orderId=waiting.actual_order_id) if waiting.actual_order_id else None
        return dialect.algo_seen(waiting) if made is None else msgspec.structs.replace(made, client_order_id=client_order_id)

    async def cancel(self, symbol: str, client_order_id: str) -> OrderSeen:
        """Cancel an order; return it as it is afterwards."""
        parameters: dict[str, Parameter] = {"symbol": symbol, "origClientOrderId": client_order_id}
        try:
            return dialect.seen(await self._signed("DELETE", self.rest.path("order"), dialect.OrderAnswer, parameters))
        except VenueError as error:
            waiting = await self._waiting(client_order_id) if self._futures and error.code in _GONE else None
            if waiting is None:
                raise
        if waiting.actual_order_id:
            parameters = {"symbol": symbol, "orderId": waiting.actual_order_id}
            gone = dialect.seen(await self._signed("DELETE", self.rest.path("order"), dialect.OrderAnswer, parameters))
            return msgspec.structs.replace(gone, client_order_id=client_order_id)
        await self.rest.call("DELETE", self.rest.path(ALGO), {"clientAlgoId": client_order_id}, Security.SIGNED, urgent=True)
        after = await self._waiting(client_order_id)
        return dialect.algo_seen(after or waiting)

    async def positions(self) -> list[PositionSeen]:
        """Return the positions that are open; on spot there are none."""
        if not self._futures:
            return []
        rows = await self._signed("GET", "/fapi/v2/positionRisk", list[_Position], {})
        return [
            PositionSeen(
                symbol=row.symbol,
                quantity=row.position_amt,
                entry_price=row.entry_price,
                mark_price=row.mark_price,
                liquidation_price=row.liquidation_price or None,
                leverage=int(row.leverage),
                isolated=row.margin_type == "isolated",
            )
            for row in rows
            if row.position_amt
        ]

    async def set_margin_type(self, symbol: str, *, isolated: bool) -> None:
        """Set what backs a position of a symbol: a margin of its own, or the whole balance."""
        parameters: dict[str, Parameter] = {"symbol": symbol, "marginType": "ISOLATED" if isolated else "CROSSED"}
        try:
            await self.rest.call("POST", self.rest.path("marginType"), parameters, Security.SIGNED, urgent=True)
        except VenueError as error:
            if error.code != dialect.MARGIN_TYPE_IS_SET:
                raise

    async def fills(self, symbol: str, client_order_id: str, venue_order_id: str) -> list[FillSeen]:
        """Return all fills of an order, in the order of their ids."""
        found: dict[int, dialect.TradeAnswer] = {}
        parameters: dict[str, Parameter] = {"symbol": symbol, "orderId": venue_order_id, "limit": MOST_TRADES}
        while True:
            page = await self._signed(
                "GET", self.rest.path("userTrades" if self._futures else "myTrades"), list[dialect.TradeAnswer], parameters
            )
            fresh = {trade.id: trade for trade in page if trade.id not in found}
            found |= fresh
            if len(page) < MOST_TRADES or not fresh:
                return [dialect.fill(found[trade_id], client_order_id) for trade_id in sorted(found)]
            parameters["fromId"] = max(found) + 1

    async def venues_own(self, symbol: str, venue_order_id: str) -> dialect.OrderAnswer | None:
        """Return an order that the venue itself has given; None where somebody else has."""
        parameters: dict[str, Parameter] = {"symbol": symbol, "orderId": venue_order_id}
        answer = await self._signed("GET", self.rest.path("order"), dialect.OrderAnswer, parameters)
        return answer if dialect.made_by_venue(answer.client_order_id) else None

    async def trades(self, symbol: str, since_ts: int) -> list[FillSeen]:
        """Return the account's fills of a symbol from a time on, microseconds, oldest first; at most a thousand."""
        parameters: dict[str, Parameter] = {"symbol": symbol, "startTime": since_ts // dialect.MILLISECOND, "limit": MOST_TRADES}
        path = self.rest.path("userTrades" if self._futures else "myTrades")
        return [dialect.fill(trade, "") for trade in await self._signed("GET", path, list[dialect.TradeAnswer], parameters)]

    async def open_orders(self) -> list[OpenSeen]:
        """Return all open orders, those that wait for a price, too."""
        found = await self._signed("GET", self.rest.path("openOrders"), list[_OpenOrder], {})
        orders = [OpenSeen(order.symbol, order.client_order_id, str(order.order_id)) for order in found]
        if self._futures:
            waiting = await self._signed("GET", self.rest.path("openAlgoOrders"), list[_OpenAlgo], {})
            orders += [OpenSeen(order.symbol, order.client_algo_id, f"{dialect.WAITING}{order.algo_id}") for order in waiting]
        return orders

    async def transfers(self, since_ts: int) -> tuple[list[TransferSeen], int]:
        """Return what moved money other than fills from a time on, oldest first, and the time of the newest row of all.

        Parameters
        ----------
        since_ts
            Microseconds.

        Returns
        -------
        list of TransferSeen, int
            Time in microseconds; 0 where there is no row. On spot nothing moves money but orders and people: nothing is asked.
        """
        seen: list[TransferSeen] = []
        newest, page = 0, 1
        while self._futures:
            parameters: dict[str, Parameter] = {"startTime": since_ts // dialect.MILLISECOND, "page": page, "limit": MOST_INCOME}
            rows = await self._signed("GET", "/fapi/v1/income", list[dialect.IncomeAnswer], parameters)
            seen += [transfer for transfer in map(dialect.transfer, rows) if transfer is not None]
            newest = max([newest, *(row.time * dialect.MILLISECOND for row in rows)])
            if len(rows) < MOST_INCOME:
                break
            page += 1
        return seen, newest

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set the leverage of a symbol."""
        parameters: dict[str, Parameter] = {"symbol": symbol, "leverage": leverage}
        await self.rest.call("POST", self.rest.path("leverage"), parameters, Security.SIGNED, urgent=True)

    async def balance(self, asset: str) -> BalanceSeen:
        """Return the balance of an asset; raises VenueError where the account has none of it."""
        if self._futures:
            for held in await self._signed("GET", "/fapi/v2/balance", list[_FuturesBalance], {}):
                if held.asset == asset:
                    return BalanceSeen(wallet=held.balance, available=held.available_balance)
        else:
            account = await self._signed("GET", self.rest.path("account"), _SpotAccount, {})
            for spot in account.balances:
                if spot.asset == asset:
                    return BalanceSeen(wallet=spot.free + spot.locked, available=spot.free)
        raise VenueError(f"the account at {self.rest.venue.name} holds no {asset}", code=0, status=200, remedy="see QUANTUM_ORDERS_ASSET")

    async def listen_key(self) -> str:
        """Open the user stream; return its key."""
        return decoded(await self.rest.call("POST", self._stream_path, None, Security.KEY, urgent=True), _ListenKey).listen_key

    async def keep_alive(self, listen_key: str) -> None:
        """Renew the key of the user stream."""
        parameters: dict[str, Parameter] = {} if self._futures else {"listenKey": listen_key}
        await self.rest.call("PUT", self._stream_path, parameters, Security.KEY, urgent=True)

    @property
    def _stream_path(self) -> str:
        return self.rest.path("listenKey" if self._futures else "userDataStream")

    async def _order(self, symbol: str, **which: str) -> OrderSeen | None:
        try:
            answer = await self._signed("GET", self.rest.path("order"), dialect.OrderAnswer, {"symbol": symbol, **which})
        except VenueError as error:
            if error.code == dialect.NO_SUCH_ORDER:
                return None
            raise
        return dialect.seen(answer)

    async def _waiting(self, client_order_id: str) -> dialect.AlgoAnswer | None:
        try:
            return await self._signed("GET", self.rest.path(ALGO), dialect.AlgoAnswer, {"clientAlgoId": client_order_id})
        except VenueError as error:
            if error.code == dialect.NO_SUCH_ORDER:
                return None
            raise

    async def _signed(self, method: str, path: str, answer: type[AnswerT], parameters: dict[str, Parameter]) -> AnswerT:
        return decoded(await self.rest.call(method, path, parameters, Security.SIGNED, urgent=True), answer)
