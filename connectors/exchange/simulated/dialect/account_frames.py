"""User-stream events and REST rows of orders and accounts, as the venue writes them."""

from __future__ import annotations

from decimal import Decimal

from connectors.exchange.simulated.account.ledger import Income, MarginType, Marks, Position
from connectors.exchange.simulated.account.orders import (
    AccountUpdate,
    Conditional,
    ConditionalUpdate,
    Event,
    Fill,
    Order,
    OrderType,
    OrderUpdate,
    Side,
)
from connectors.exchange.simulated.dialect.frames import Json, eight, plain

ASSET = "USDT"
_CONSTANT = {"closePosition": False, "positionSide": "BOTH", "stopPrice": "0", "workingType": "CONTRACT_PRICE", "priceProtect": False}
_PREVENTION = "EXPIRE_MAKER"


def user_event(event: Event, event_ms: int, marks: Marks) -> Json:
    """Return the user-stream event of something that happened."""
    match event:
        case OrderUpdate():
            return order_trade_update(event, event_ms)
        case ConditionalUpdate():
            return algo_update(event, event_ms)
        case AccountUpdate():
            return account_update(event, event_ms, marks)
        case _:
            raise TypeError(f"{type(event).__name__} is no event of a futures account")


def order_trade_update(event: OrderUpdate, event_ms: int) -> Json:
    """Return `ORDER_TRADE_UPDATE`."""
    order, fill = event.order, event.fill
    kind = "LIQUIDATION" if order.liquidation else order.type.value
    o: Json = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side.value,
        "o": kind,
        "f": order.time_in_force.value,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": plain(_rounded(order.average_price)),
        "sp": "0",
        "x": event.execution.value,
        "X": order.status.value,
        "i": order.id,
        "l": plain(fill.quantity) if fill else "0",
        "z": plain(order.filled),
        "L": plain(fill.price) if fill else "0",
        "T": event.ts_us // 1000,
        "t": fill.trade_id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order.original.value if order.original else kind,
        "ps": "BOTH",
        "cp": False,
        "rp": plain(fill.realised) if fill else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": _PREVENTION,
        "pm": "NONE",
        "gtd": 0,
    }
    if fill:
        o |= {"N": fill.fee_asset, "n": plain(fill.fee)}
    return {"e": "ORDER_TRADE_UPDATE", "E": event_ms, "T": event.ts_us // 1000, "o": o}


def account_update(event: AccountUpdate, event_ms: int, marks: Marks) -> Json:
    """Return `ACCOUNT_UPDATE`."""
    balance = {"a": ASSET, "wb": eight(event.wallet), "cw": eight(event.cross_wallet), "bc": plain(event.balance_change)}
    positions = [
        {
            "s": p.symbol,
            "pa": plain(p.quantity),
            "ep": plain(_rounded(p.entry_price)),
            "bep": plain(_rounded(p.break_even_price)),
            "cr": plain(p.realised),
            "up": eight(p.unrealised(marks(p.symbol))),
            "mt": p.margin_type.value,
            "iw": eight(p.isolated_wallet),
            "ps": "BOTH",
        }
        for p in event.positions
    ]
    return {"e": "ACCOUNT_UPDATE", "E": event_ms, "T": event.ts_us // 1000, "a": {"m": event.reason, "B": [balance], "P": positions}}


def algo_update(event: ConditionalUpdate, event_ms: int) -> Json:
    """Return `ALGO_UPDATE`."""
    conditional = event.conditional
    request, order = conditional.request, conditional.order
    o: Json = {
        "caid": conditional.client_id,
        "aid": conditional.id,
        "at": "CONDITIONAL",
        "o": request.type.value,
        "s": request.symbol,
        "S": request.side.value,
        "ps": "BOTH",
        "f": request.time_in_force.value,
        "q": plain(request.quantity),
        "X": conditional.status.value,
        "ai": str(order.id) if order else "",
        "ap": plain(_rounded(order.average_price)) if order else "0",
        "aq": plain(order.filled) if order else "0",
        "act": order.type.value if order else "0",
        "tp": plain(request.trigger),
        "p": plain(request.price),
        "V": _PREVENTION,
        "wt": request.working_type.value,
        "pm": "NONE",
        "cp": request.close_position,
        "pP": False,
        "R": request.reduce_only,
        "tt": conditional.triggered_us // 1000,
        "gtd": 0,
        "rm": "",
    }
    if request.callback:
        o["cr"] = plain((request.callback * 100).normalize())
    return {"e": "ALGO_UPDATE", "T": event.ts_us // 1000, "E": event_ms, "o": o}


def algo_row(conditional: Conditional) -> Json:
    """Return a conditional order as REST answers it."""
    request, order = conditional.request, conditional.order
    row: Json = {
        "algoId": conditional.id,
        "clientAlgoId": conditional.client_id,
        "algoType": "CONDITIONAL",
        "orderType": request.type.value,
        "symbol": request.symbol,
        "side": request.side.value,
        "positionSide": "BOTH",
        "timeInForce": request.time_in_force.value,
        "quantity": plain(request.quantity),
        "algoStatus": conditional.status.value,
        "actualOrderId": str(order.id) if order else "",
        "actualPrice": plain(_rounded(order.average_price)) if order else "0",
        "triggerPrice": plain(request.trigger),
        "price": plain(request.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": _PREVENTION,
        "workingType": request.working_type.value,
        "priceMatch": "NONE",
        "closePosition": request.close_position,
        "priceProtect": False,
        "reduceOnly": request.reduce_only,
        "createTime": conditional.created_us // 1000,
        "updateTime": conditional.updated_us // 1000,
        "triggerTime": conditional.triggered_us // 1000,
        "goodTillDate": 0,
    }
    if request.type is OrderType.TRAILING_STOP_MARKET:
        row |= {"triggerPrice": "0", "activatePrice": plain(request.trigger), "callbackRate": plain((request.callback * 100).normalize())}
    return row


def order_row(order: Order, *, queried: bool) -> Json:
    """Return an order as REST answers it; a query also tells when it was made."""
    row: Json = {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": order.status.value,
        "clientOrderId": order.client_order_id,
        "price": plain(order.price),
        "avgPrice": plain(_rounded(order.average_price)),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.filled),
        "cumQuote": plain(order.quote),
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "reduceOnly": order.reduce_only,
        "side": order.side.value,
        **_CONSTANT,
        "origType": (order.original or order.type).value,
        "priceMatch": "NONE",
        "selfTradePreventionMode": _PREVENTION,
        "goodTillDate": 0,
        "updateTime": order.updated_us // 1000,
    }
    return {**row, "time": order.created_us // 1000} if queried else {**row, "cumQty": plain(order.filled)}


def fill_row(fill: Fill) -> Json:
    """Return a row of `userTrades`."""
    return {
        "buyer": fill.side is Side.BUY,
        "commission": plain(fill.fee),
        "commissionAsset": fill.fee_asset,
        "id": fill.trade_id,
        "maker": fill.maker,
        "orderId": fill.order_id,
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "quoteQty": plain(fill.price * fill.quantity),
        "realizedPnl": plain(fill.realised),
        "side": fill.side.value,
        "positionSide": "BOTH",
        "symbol": fill.symbol,
        "marginAsset": ASSET,
        "time": fill.ts_us // 1000,
    }


def income_row(income: Income) -> Json:
    """Return a row of `income`."""
    return {
        "symbol": income.symbol,
        "incomeType": income.kind,
        "income": plain(income.amount),
        "asset": ASSET,
        "info": income.kind,
        "time": income.ts_us // 1000,
        "tranId": income.id,
        "tradeId": "",
    }


def position_row(position: Position, mark: Decimal, liquidation_price: Decimal) -> Json:
    """Return a row of `positionRisk`."""
    isolated = position.margin_type is MarginType.ISOLATED
    unrealised = position.unrealised(mark)
    return {
        "symbol": position.symbol,
        "positionSide": "BOTH",
        "positionAmt": plain(position.quantity),
        "entryPrice": plain(_rounded(position.entry_price)),
        "breakEvenPrice": plain(_rounded(position.break_even_price)),
        "markPrice": eight(mark),
        "unRealizedProfit": eight(unrealised),
        "liquidationPrice": plain(_rounded(liquidation_price)),
        "isolatedMargin": eight(position.isolated_wallet + unrealised if isolated else Decimal(0)),
        "notional": eight(position.quantity * mark),
        "marginAsset": ASSET,
        "isolatedWallet": eight(position.isolated_wallet),
        "adl": 0,
        "updateTime": position.updated_us // 1000,
    }


def _rounded(price: Decimal) -> Decimal:
    """Round a computed price to ten decimals, without trailing zeros."""
    rounded = price.quantize(Decimal("1e-10")).normalize()
    return rounded if rounded else Decimal(0)
