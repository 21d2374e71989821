"""Archives of the documented form, made of trades that are made up."""

from __future__ import annotations

import hashlib
import random
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

DAY_US = 1_735_776_000_000_000
"""2025-01-02: spot's files have microseconds by then."""
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HEADERS = {
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
    "klines": "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore",
}


class Row(NamedTuple):
    """A trade."""

    id: int
    price: Decimal
    quantity: Decimal
    ts: int
    buyer_is_maker: bool


def trades(count: int, seed: int = 1, start_us: int = DAY_US) -> list[Row]:
    """Return trades that walk up and down, some in every second."""
    dice = random.Random(seed)
    times = sorted(number // 2 * SECOND_US + dice.randrange(SECOND_US) for number in range(count))
    price, found = Decimal("100.00"), []
    for number, at in enumerate(times):
        if dice.random() < 0.7:
            price = max(price + Decimal(dice.randrange(-50, 51)) / 100, Decimal("1.00"))
        found.append(Row(1_000 + number, price, Decimal(dice.randrange(1, 5_000)) / 1_000, start_us + at, dice.random() < 0.5))
    return found


def _text(flag: bool, futures: bool) -> str:
    return str(flag).lower() if futures else str(flag)


def _unit(futures: bool) -> int:
    return 1_000 if futures else 1


def trade_lines(rows: Sequence[Row], futures: bool) -> list[str]:
    """Return lines of ``trades``: futures in milliseconds, spot in microseconds and with ``isBestMatch``."""
    return [
        f"{row.id},{row.price},{row.quantity},{row.price * row.quantity},{row.ts // _unit(futures)},{_text(row.buyer_is_maker, futures)}"
        + ("" if futures else ",True")
        for row in rows
    ]


def _taker(row: Row) -> tuple[Decimal, bool, int]:
    return row.price, row.buyer_is_maker, row.ts // SECOND_US


def aggregate_lines(rows: Sequence[Row], futures: bool) -> list[str]:
    """Return lines of ``aggTrades``: trades that follow one another within a second, at a price and a side, are one."""
    found: list[list[Row]] = []
    for row in rows:
        if found and _taker(found[-1][-1]) == _taker(row):
            found[-1].append(row)
        else:
            found.append([row])
    return [
        f"{50 + number},{own[0].price},{sum(row.quantity for row in own)},{own[0].id},{own[-1].id},{own[0].ts // _unit(futures)},"
        f"{_text(own[0].buyer_is_maker, futures)}" + ("" if futures else ",True")
        for number, own in enumerate(found)
    ]


def kline_lines(rows: Sequence[Row], interval_us: int, futures: bool) -> list[str]:
    """Return lines of klines, exact, one for every interval from the first trade's to the last's."""
    unit, lines = _unit(futures), []
    first = rows[0].ts - rows[0].ts % interval_us
    for start in range(first, rows[-1].ts + 1, interval_us):
        end = start + interval_us
        own = [row for row in rows if start <= row.ts < end]
        prices = [row.price for row in own]
        volume, value = sum(row.quantity for row in own), sum(row.quantity * row.price for row in own)
        bought = [row for row in own if not row.buyer_is_maker]
        lines.append(
            f"{start // unit},{prices[0]},{max(prices)},{min(prices)},{prices[-1]},{volume},{end // unit - 1},{value},{len(own)},"
            f"{sum(row.quantity for row in bought)},{sum(row.quantity * row.price for row in bought)},0"
        )
    return lines


def write(path: Path, kind: str, lines: Sequence[str], *, header: bool, checksum: bool = False) -> Path:
    """Write an archive, zipped where it is called so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in ([HEADERS[kind]] if header else []) + list(lines))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"{path.stem}.csv", text)
    else:
        path.write_text(text)
    if checksum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path
