"""Public market data by REST: instruments, trades, books and open interest."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from connectors.exchange.binance.rest import BinanceRest, Security, decoded
from connectors.exchange.binance.signing import Parameter
from connectors.exchange.link import RestTrade
from quantum.errors import ConfigurationError, VenueError

log = logging.getLogger(__name__)


class _Trade(msgspec.Struct):
    id: int
    time: int


class _Info(msgspec.Struct):
    symbols: list[msgspec.Raw]


class _Brackets(msgspec.Struct):
    symbol: str
    brackets: msgspec.Raw


class _Symbol(msgspec.Struct):
    symbol: str


async def instruments(rest: BinanceRest, symbols: Sequence[str]) -> dict[str, str]:
    """Return each symbol's part of ``exchangeInfo``, as text; of futures with its leverage ``brackets`` added.

    Raises
    ------
    ConfigurationError
        The venue does not list a symbol.
    """
    info = await rest.get(rest.path("exchangeInfo"), _Info)
    listed = {decoded(bytes(raw), _Symbol).symbol: str(memoryview(raw), "utf-8") for raw in info.symbols}
    missing = [symbol for symbol in symbols if symbol not in listed]
    if missing:
        raise ConfigurationError(f"{rest.venue.name} does not list {', '.join(missing)}", "leave them out of QUANTUM_FEED_SYMBOLS")
    brackets = await _brackets(rest) if rest.venue.futures else {}
    return {symbol: _with_brackets(listed[symbol], brackets.get(symbol)) for symbol in symbols}


async def _brackets(rest: BinanceRest) -> dict[str, str]:
    """Return the leverage brackets by symbol, as text; the venue tells them only to who has an account."""
    try:
        answer = await rest.get(rest.path("leverageBracket"), list[_Brackets], {}, Security.SIGNED)
    except VenueError as error:
        log.warning("instruments go without leverage brackets: %s", error)
        return {}
    return {row.symbol: str(memoryview(row.brackets), "utf-8") for row in answer}


def _with_brackets(symbol: str, brackets: str | None) -> str:
    return symbol if brackets is None else f'{symbol.rstrip()[:-1]},"brackets":{brackets}}}'


async def trades_page(rest: BinanceRest, symbol: str, from_id: int | None = None) -> list[RestTrade]:
    """Return one page of trades in the order of their ids: the newest, or those from an id on."""
    parameters: dict[str, Parameter] = {"symbol": symbol, "limit": rest.venue.trades_page}
    if from_id is not None:
        parameters["fromId"] = from_id
    page = []
    for raw in await rest.get(rest.path("historicalTrades"), list[msgspec.Raw], parameters, Security.KEY):
        trade = decoded(bytes(raw), _Trade)
        page.append(RestTrade(trade.id, trade.time, str(memoryview(raw), "utf-8")))
    return sorted(page)


async def trades_since(rest: BinanceRest, symbol: str, after_id: int | None, most: int) -> list[RestTrade]:
    """Return the trades after an id up to now, in order, without a gap; at most the newest ``most``.

    Parameters
    ----------
    rest
        Client of the venue.
    symbol
        Symbol.
    after_id
        Newest id that is known; None asks for the newest ``most``.
    most
        Most trades that are fetched; older ones are left out, and a warning says how many.
    """
    if most == 0:
        return []
    newest = await trades_page(rest, symbol)
    if not newest:
        return []
    last = newest[-1].mark
    wanted = max(0, last - most + 1)
    if after_id is not None and after_id + 1 < wanted:
        log.warning("%s %s: %d trades are missing and will not be filled", rest.venue.name, symbol, wanted - after_id - 1)
    first = wanted if after_id is None else max(wanted, after_id + 1)
    found = {trade.mark: trade for trade in newest if trade.mark >= first}
    position = first
    while position < newest[0].mark:
        page = await trades_page(rest, symbol, position)
        fresh = [trade for trade in page if trade.mark >= position]
        if not fresh:
            break
        found.update((trade.mark, trade) for trade in fresh)
        position = fresh[-1].mark + 1
    return [found[mark] for mark in sorted(found)]


async def depth_snapshot(rest: BinanceRest, symbol: str) -> str:
    """Return the best levels of a book, as many as the venue is asked for, as text."""
    parameters: dict[str, Parameter] = {"symbol": symbol, "limit": rest.venue.snapshot_levels}
    return str(memoryview(await rest.get(rest.path("depth"), msgspec.Raw, parameters)), "utf-8")


async def open_interest(rest: BinanceRest, symbol: str) -> str:
    """Return the open interest of a symbol, as text."""
    return str(memoryview(await rest.get(rest.path("openInterest"), msgspec.Raw, {"symbol": symbol})), "utf-8")
