"""Coinbase Exchange as the feed follows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from connectors.exchange.coinbase.frames import CoinbaseReader, microseconds, symbol_of
from connectors.exchange.coinbase.settings import CoinbaseSettings
from connectors.exchange.link import RestTrade
from connectors.exchange.public_link import AnswerT, PublicLink, decoded
from connectors.exchange.venues import Venue
from quantum.errors import ConfigurationError

log = logging.getLogger(__name__)

DEPTH_CHANNEL = "level2_batch"


class _Time(msgspec.Struct):
    epoch: float


class _Product(msgspec.Struct):
    id: str


class _Trade(msgspec.Struct):
    trade_id: int
    time: datetime


class CoinbaseLink(PublicLink):
    """See `Link`.

    Parameters
    ----------
    venue
        Coinbase.
    settings
        Endpoints.
    depth
        Whether order books are followed.
    """

    keep_alive = ""
    keep_alive_s = 3_600.0

    def __init__(self, venue: Venue, settings: CoinbaseSettings, *, depth: bool) -> None:
        super().__init__(venue, settings.rest_url, settings.timeout_s, DEPTH_CHANNEL, depth=depth)
        self._stream_url = settings.stream_url
        self._products: dict[str, str] = {}

    async def _venue_time_us(self) -> int:
        return round((await self._get("/time", {}, _Time)).epoch * 1e6)

    async def instruments(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return each symbol's row of ``products``."""
        listed = {}
        for raw in await self._get("/products", {}, list[msgspec.Raw]):
            product = decoded(bytes(raw), _Product).id
            self._products[symbol_of(product)] = product
            listed[symbol_of(product)] = str(memoryview(raw), "utf-8")
        missing = [symbol for symbol in symbols if symbol not in listed]
        if missing:
            raise ConfigurationError(f"{self.venue.name} does not list {', '.join(missing)}", "leave them out of QUANTUM_FEED_SYMBOLS")
        return {symbol: listed[symbol] for symbol in symbols}

    async def trades_since(self, symbol: str, after: int | None, most: int) -> list[RestTrade]:
        """Return the trades after an id up to now, page by page back from the newest."""
        found: dict[int, RestTrade] = {}
        parameters: dict[str, str | int] = {"limit": min(max(most, 1), self.venue.trades_page)}
        path = f"/products/{self._products[symbol]}/trades"
        oldest: int | None = None
        while len(found) < most and (oldest is None or oldest > (after or 0) + 1):
            page = await self._get(path, parameters, list[msgspec.Raw])
            for raw in page:
                row = decoded(bytes(raw), _Trade)
                oldest = row.trade_id if oldest is None else min(oldest, row.trade_id)
                if after is None or row.trade_id > after:
                    found[row.trade_id] = RestTrade(row.trade_id, microseconds(row.time) // 1_000, str(memoryview(raw), "utf-8"))
            if not page or oldest is None or parameters.get("after") == oldest:
                break
            parameters["after"] = oldest
        newest = [found[trade_id] for trade_id in sorted(found)][-most:] if most else []
        if after is not None and newest and newest[0].mark > after + 1:
            log.warning("%s %s: %d trades are missing and will not be filled", self.venue.name, symbol, newest[0].mark - after - 1)
        return newest

    def url(self, symbols: Sequence[str]) -> str:
        """Return the address of the websocket."""
        return self._stream_url

    def greetings(self, symbols: Sequence[str]) -> list[str]:
        """Return the subscription."""
        return [self._request("subscribe", symbols, self._streams)]

    def again(self, symbol: str) -> list[str]:
        """Return the end of a book's subscription and its new beginning."""
        return [self._request(kind, [symbol], [DEPTH_CHANNEL]) for kind in ("unsubscribe", "subscribe")]

    def reader(self, session: str) -> CoinbaseReader:
        """Return a reader of the websocket."""
        return CoinbaseReader(self.venue, session, self.offset_us)

    def _request(self, kind: str, symbols: Sequence[str], channels: Sequence[str]) -> str:
        products = [self._products[symbol] for symbol in symbols]
        return msgspec.json.encode({"type": kind, "product_ids": products, "channels": channels}).decode()

    async def _get(self, path: str, parameters: Mapping[str, str | int], kind: type[AnswerT]) -> AnswerT:
        return decoded((await self._rest.get(path, parameters)).body, kind)
