"""Bars of the history store, as training wants them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ml.training.bars import Bars

_COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
_WHERE = (
    "venue = {venue:String} AND interval = {interval:String} "
    "AND open_ts >= fromUnixTimestamp64Micro({start:Int64}) AND close_ts <= fromUnixTimestamp64Micro({end:Int64})"
)


class BarsProvider(Protocol):
    """Where the trainer gets its history."""

    def symbols(self, venue: str, interval: str, start: int, end: int) -> list[str]:
        """Return the symbols that have bars in a window, microseconds UTC."""

    def bars(self, venue: str, symbol: str, interval: str, start: int, end: int) -> Bars:
        """Return the bars of a symbol that begin at ``start`` or later and end at ``end`` or earlier, oldest first."""


class HistoryBars:
    """Bars from the table ``quantum.market_klines``.

    Parameters
    ----------
    client
        A client of ``clickhouse_connect``; its errors pass through.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def symbols(self, venue: str, interval: str, start: int, end: int) -> list[str]:
        """Return the symbols that have bars in a window, in alphabetical order."""
        sql = f"SELECT DISTINCT symbol FROM quantum.market_klines WHERE {_WHERE} ORDER BY symbol"
        return [str(row[0]) for row in self._client.query(sql, parameters=_parameters(venue, interval, start, end)).result_rows]

    def newest(self, venue: str, interval: str) -> int | None:
        """Return the end of the newest bar, microseconds UTC, or None where there is no bar."""
        sql = (
            "SELECT count(), toUnixTimestamp64Micro(max(close_ts)) FROM quantum.market_klines "
            "WHERE venue = {venue:String} AND interval = {interval:String}"
        )
        count, latest = self._client.query(sql, parameters={"venue": venue, "interval": interval}).result_rows[0]
        return int(latest) if count else None

    def bars(self, venue: str, symbol: str, interval: str, start: int, end: int) -> Bars:
        """Return the bars of a symbol in a window; a bar that two runs of the feed wrote counts once."""
        times = "toUnixTimestamp64Micro(open_ts) AS opened, toUnixTimestamp64Micro(close_ts) AS closed"
        sql = (
            f"SELECT {times}, {', '.join(_COLUMNS)} FROM quantum.market_klines "
            f"WHERE {_WHERE} AND symbol = {{symbol:String}} ORDER BY opened LIMIT 1 BY opened"
        )
        parameters = {**_parameters(venue, interval, start, end), "symbol": symbol}
        columns = self._client.query(sql, parameters=parameters, column_oriented=True).result_columns
        if not columns:
            columns = [[] for _ in range(2 + len(_COLUMNS))]
        opened, closed, *values = columns
        return Bars(
            np.array(opened, dtype=np.int64), np.array(closed, dtype=np.int64), *(np.array(column, dtype=np.float64) for column in values)
        )  # fmt: skip


def _parameters(venue: str, interval: str, start: int, end: int) -> dict[str, object]:
    return {"venue": venue, "interval": interval, "start": start, "end": end}
