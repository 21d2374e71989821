"""A venue that says as much as it is told: Binance's USD-margined streams of many symbols, cheap enough to leave the machine to others.

``python -m tests.bench.load_venue PORT SYMBOL...``: trades, best prices and mark prices by websocket, and of REST what a feed asks for.
``PUT /load?ticks=N`` sets the trades a second of all symbols together; each trade comes with a new best price of its symbol.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from random import Random
from typing import Any

from aiohttp import web

PULSE_S = 0.01
MARKS_EVERY_S = 1.0
SEED = 7
US, MS = 1_000_000, 1_000


class Market:
    """Prices of the symbols; what was sent of each.

    Attributes
    ----------
    rate
        Trades a second of all symbols together.
    sent
        Trades that were sent so far.
    """

    def __init__(self, symbols: list[str]) -> None:
        self.symbols = symbols
        self.rate = 0.0
        self.sent = 0
        self._random = Random(SEED)
        self._cents = dict.fromkeys(symbols, 6_180_000)
        self._numbers = dict.fromkeys(symbols, 0)

    def tick(self, symbol: str) -> tuple[str, str]:
        """Return the next trade and best price of a symbol, as the combined stream has them."""
        now = time.time_ns() // US
        number = self._numbers[symbol] = self._numbers[symbol] + 1
        cents = self._cents[symbol] = self._cents[symbol] + self._random.randint(-3, 3)
        price, name, sells = f"{cents / 100:.2f}", symbol.lower(), "true" if self._random.random() < 0.5 else "false"
        self.sent += 1
        return (
            f'{{"stream":"{name}@trade","data":{{"e":"trade","E":{now},"T":{now},"s":"{symbol}","t":{number},"p":"{price}","q":"0.125",'
            f'"X":"MARKET","m":{sells}}}}}',
            f'{{"stream":"{name}@bookTicker","data":{{"e":"bookTicker","u":{number},"s":"{symbol}","b":"{price}","B":"1.250",'
            f'"a":"{(cents + 10) / 100:.2f}","A":"0.750","T":{now},"E":{now}}}}}',
        )

    def mark(self, symbol: str) -> str:
        """Return the mark price of a symbol, as the combined stream has it."""
        now, price = time.time_ns() // US, f"{self._cents[symbol] / 100:.8f}"
        coming = (now // 28_800_000 + 1) * 28_800_000
        return (
            f'{{"stream":"{symbol.lower()}@markPrice@1s","data":{{"e":"markPriceUpdate","E":{now},"s":"{symbol}","p":"{price}","i":"{price}",'
            f'"P":"{price}","r":"0.00010000","T":{coming}}}}}'
        )

    def listing(self, symbol: str) -> dict[str, Any]:
        """Return what ``exchangeInfo`` says of a symbol."""
        return {
            "symbol": symbol, "pair": symbol, "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": symbol.removesuffix("USDT"),
            "quoteAsset": "USDT", "marginAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
                {"filterType": "MIN_NOTIONAL", "notional": "5"},
            ],
        }  # fmt: skip


async def _stream(request: web.Request) -> web.WebSocketResponse:
    """Send what the address names, on schedule; a client that is slow gets it late, and nothing is left out."""
    market: Market = request.app[MARKET]
    symbols = list(dict.fromkeys(name.partition("@")[0].upper() for name in request.query["streams"].split("/")))
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    share = len(symbols) / len(market.symbols)
    sent, owed, marked = 0, 0.0, 0.0
    looked = time.monotonic()
    while not socket.closed:
        now = time.monotonic()
        owed += (now - looked) * market.rate * share
        looked = now
        while owed >= 1:
            owed -= 1
            for text in market.tick(symbols[sent % len(symbols)]):
                await socket.send_str(text)
            sent += 1
        if now - marked >= MARKS_EVERY_S:
            marked = now
            for symbol in symbols:
                await socket.send_str(market.mark(symbol))
        await asyncio.sleep(PULSE_S)
    return socket


async def _load(request: web.Request) -> web.Response:
    market: Market = request.app[MARKET]
    market.rate = float(request.query["ticks"])
    return web.json_response({"sent": market.sent})


async def _time(_request: web.Request) -> web.Response:
    return web.json_response({"serverTime": time.time_ns() // US})


async def _listings(request: web.Request) -> web.Response:
    market: Market = request.app[MARKET]
    return web.json_response({"symbols": [market.listing(symbol) for symbol in market.symbols]})


MARKET = web.AppKey("market", Market)


def main(port: int, symbols: list[str]) -> None:
    """Serve on loopback until the process is ended."""
    app = web.Application()
    app[MARKET] = Market(symbols)
    app.router.add_get("/stream", _stream)
    app.router.add_put("/load", _load)
    app.router.add_get("/fapi/v1/time", _time)
    app.router.add_get("/fapi/v1/exchangeInfo", _listings)
    web.run_app(app, host="127.0.0.1", port=port, print=lambda _text: print(json.dumps({"port": port}), flush=True))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
