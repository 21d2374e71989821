"""Bybit as the feed follows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from connectors.exchange.bybit.frames import BybitReader
from connectors.exchange.bybit.settings import BybitSettings
from connectors.exchange.errors import RateLimitedError, VenueAwayError
from connectors.exchange.link import RestTrade
from connectors.exchange.public_link import AnswerT, PublicLink, decoded
from connectors.exchange.venues import Venue
from quantum.errors import ConfigurationError, VenueError

log = logging.getLogger(__name__)

TOPICS_A_REQUEST = 10
DEPTH_TOPIC = "orderbook.200"
BAD_PARAMETER = 10_001
TOO_MANY = 10_006
TROUBLES = {10_000, 10_016}
"""Codes of the server's own troubles: a timeout, an internal error."""
DEFAULT_WAIT_S = 1.0


class _Answer(msgspec.Struct):
    code: int = msgspec.field(name="retCode")
    message: str = msgspec.field(name="retMsg", default="")
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Time(msgspec.Struct):
    nano: int = msgspec.field(name="timeNano")


class _Rows(msgspec.Struct):
    rows: list[msgspec.Raw] = msgspec.field(name="list")


class _Trade(msgspec.Struct):
    time_ms: int = msgspec.field(name="time")


class BybitLink(PublicLink):
    """See `Link`.

    Parameters
    ----------
    venue
        One of Bybit's products.
    settings
        Endpoints.
    depth
        Whether order books are followed.
    """

    keep_alive = '{"op":"ping"}'
    keep_alive_s = 20.0

    def __init__(self, venue: Venue, settings: BybitSettings, *, depth: bool) -> None:
        super().__init__(venue, settings.rest_url, settings.timeout_s, DEPTH_TOPIC, depth=depth)
        self._stream_url = settings.stream_url.rstrip("/")

    async def _venue_time_us(self) -> int:
        return (await self._get("/v5/market/time", {}, _Time)).nano // 1_000

    async def instruments(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return each symbol's row of ``instruments-info``; of perpetuals with their lowest risk limit as ``riskLimit``."""
        found = {}
        for symbol in symbols:
            row = await self._listed(symbol)
            if self.venue.futures:
                limit = await self._only_row("/v5/market/risk-limit", symbol)
                row = row if limit is None else f'{row.rstrip()[:-1]},"riskLimit":{limit}}}'
            found[symbol] = row
        return found

    async def trades_since(self, symbol: str, after: int | None, most: int) -> list[RestTrade]:
        """Return the newest trades from the time of the newest known one on; the venue gives one page and no older one.

        Trades of that very millisecond are among them again: whoever reads them tells them apart by their ids.
        """
        if most == 0:
            return []
        parameters = self._about(symbol) | {"limit": min(most, self.venue.trades_page)}
        page = []
        for raw in reversed((await self._get("/v5/market/recent-trade", parameters, _Rows)).rows):
            at = decoded(bytes(raw), _Trade, strict=False).time_ms
            page.append(RestTrade(at, at, str(memoryview(raw), "utf-8")))
        page.sort(key=lambda trade: trade.time_ms)
        if after is not None and page and page[0].time_ms > after:
            log.warning("%s %s: trades of %.3f s may be missing", self.venue.name, symbol, (page[0].time_ms - after) / 1_000)
        return page if after is None else [trade for trade in page if trade.time_ms >= after]

    def url(self, symbols: Sequence[str]) -> str:
        """Return the address of the product's public stream."""
        return f"{self._stream_url}/v5/public/{self.venue.prefix}"

    def greetings(self, symbols: Sequence[str]) -> list[str]:
        """Return the subscriptions."""
        topics = [f"{topic}.{symbol}" for symbol in symbols for topic in self._streams]
        return [_request("subscribe", topics[start : start + TOPICS_A_REQUEST]) for start in range(0, len(topics), TOPICS_A_REQUEST)]

    def again(self, symbol: str) -> list[str]:
        """Return the end of a book's subscription and its new beginning."""
        topic = [f"{DEPTH_TOPIC}.{symbol}"]
        return [_request("unsubscribe", topic), _request("subscribe", topic)]

    def reader(self, session: str) -> BybitReader:
        """Return a reader of the public stream."""
        return BybitReader(self.venue, session, self.offset_us)

    def _about(self, symbol: str) -> dict[str, str | int]:
        return {"category": self.venue.prefix, "symbol": symbol}

    async def _listed(self, symbol: str) -> str:
        try:
            row = await self._only_row("/v5/market/instruments-info", symbol)
        except VenueError as error:
            if error.code != BAD_PARAMETER:
                raise
            row = None
        if row is None:
            raise ConfigurationError(f"{self.venue.name} does not list {symbol}", "leave it out of QUANTUM_FEED_SYMBOLS")
        return row

    async def _only_row(self, path: str, symbol: str) -> str | None:
        rows = (await self._get(path, self._about(symbol), _Rows)).rows
        return str(memoryview(rows[0]), "utf-8") if rows else None

    async def _get(self, path: str, parameters: Mapping[str, str | int], kind: type[AnswerT]) -> AnswerT:
        got = await self._rest.get(path, parameters)
        answer = decoded(got.body, _Answer, strict=False)
        what = f"GET {path} of {self.venue.name}: {answer.code} {answer.message}"
        if answer.code == TOO_MANY:
            reset = got.headers.get("X-Bapi-Limit-Reset-Timestamp", "")
            wait = max(0.0, int(reset) / 1_000 - self.now_us() / 1e6) if reset.isdigit() else DEFAULT_WAIT_S
            self._rest.block(wait)
            raise RateLimitedError(what, wait)
        if answer.code in TROUBLES:
            raise VenueAwayError(what)
        if answer.code:
            raise VenueError(what, code=answer.code, status=200)
        return decoded(bytes(answer.result), kind, strict=False)


def _request(operation: str, topics: list[str]) -> str:
    return msgspec.json.encode({"op": operation, "args": topics}).decode()
