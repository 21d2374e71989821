"""A history of many generated ticks, made by the store itself, with the tables around it filled so that every question finds something.

Twenty symbols at one venue. A few have most of the trades, as on a venue; an order that takes liquidity makes three trades, at one time;
prices walk in whole steps; ids, trace contexts and causes are as long and as random as the platform's. The days end where the story
of the questions begins (``tests.integration.history_story``), whose orders, positions and models are the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from tests.integration.history_rows import store
from tests.integration.history_story import DAY, Story

DAYS = 26
"""Of the thirty that the table keeps; the story is of the last two."""
SYMBOLS = (
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT", "SUIUSDT",
    "LTCUSDT", "DOTUSDT", "TRXUSDT", "NEARUSDT", "UNIUSDT", "APTUSDT", "ARBUSDT", "OPUSDT", "FILUSDT", "ATOMUSDT",
)  # fmt: skip
PARTITIONS = 4
BLOCK = 1_000_000
QUOTES_SHARE = 0.2
"""Quotes for each tick. Recorded markets have 3.7; one question alone is about all quotes."""
_SPAN = 10_000_000_000
"""Offsets of a symbol within its partition, so that every (partition, offset) is one row's."""
_FIRST_OF_STORY = 10**13
"""Behind all generated offsets: trades are in the order of their offsets."""
_PRICE = 6_000_000
"""Of the first symbol, in steps of a hundredth."""
_LAST_BAR_US = 600_000_000
"""Within the last ten minutes the least traded symbol has a trade as well."""
_TICKS_SQL = """
INSERT INTO market_tick
    (event_id, event_ts, ingest_ts, venue, symbol, trade_id, price, quantity, side,
     _partition, _offset, _timestamp, _traceparent, _causation_id)
SELECT
    concat('binance-usdm:', {symbol:String}, ':t:', toString(i)),
    fromUnixTimestamp64Micro(at, 'UTC'), fromUnixTimestamp64Micro(at + 2000 + chance % 4000, 'UTC'),
    'binance-usdm', {symbol:String}, i,
    ({price:Int64} + sum(step) OVER (ORDER BY i)) / 100,
    floor(exp2((chance % 1000) / 100.)) / 1000,
    if(sipHash64(1, taken) % 2 = 1, 'BUY', 'SELL'),
    {partition:UInt32}, {offset:UInt64} + i, fromUnixTimestamp64Milli(intDiv(at, 1000) + 8, 'UTC'),
    concat('00-', lower(hex(sipHash128({symbol:String}, i))), '-', lower(hex(chance)), '-01'),
    concat('binance-usdm:', {symbol:String}, ':1700000000:', toString(taken))
FROM
(
    SELECT
        toInt64(number) AS i, intDiv(i, 3) AS taken, sipHash64({symbol:String}, i) AS chance,
        {start:Int64} + toInt64({length:Int64} * ((taken * 3 + (sipHash64(2, taken) % 3000) / 1000.) / {rows:UInt64})) AS at,
        multiIf(chance % 16 = 0, 1, chance % 16 = 1, -1, 0) AS step
    FROM numbers({first:UInt64}, {count:UInt64})
)
"""
_QUOTES_SQL = """
INSERT INTO market_quote
    (event_id, event_ts, ingest_ts, venue, symbol, update_id, bid_price, bid_quantity, ask_price, ask_quantity,
     _partition, _offset, _timestamp, _traceparent, _causation_id)
SELECT
    concat('binance-usdm:', {symbol:String}, ':q:', toString(i)),
    fromUnixTimestamp64Micro(at, 'UTC'), fromUnixTimestamp64Micro(at + 2000 + chance % 4000, 'UTC'),
    'binance-usdm', {symbol:String}, i,
    bid / 100, floor(exp2((chance % 1200) / 100.)) / 1000, (bid + 1 + (chance % 64 = 0)) / 100, floor(exp2((chance % 1300) / 100.)) / 1000,
    {partition:UInt32}, {offset:UInt64} + i, fromUnixTimestamp64Milli(intDiv(at, 1000) + 8, 'UTC'),
    concat('00-', lower(hex(sipHash128({symbol:String}, i))), '-', lower(hex(chance)), '-01'),
    concat('binance-usdm:', {symbol:String}, ':1700000000:', toString(i))
FROM
(
    SELECT
        toInt64(number) AS i, sipHash64({symbol:String}, i, 'q') AS chance,
        {start:Int64} + toInt64({length:Int64} * ((i + (chance % 1000) / 1000.) / {rows:UInt64})) AS at,
        {price:Int64} + sum(multiIf(chance % 8 = 0, 1, chance % 8 = 1, -1, 0)) OVER (ORDER BY number) AS bid
    FROM numbers({first:UInt64}, {count:UInt64})
)
"""
_BARS_SQL = """
INSERT INTO market_klines
    (event_id, event_ts, ingest_ts, venue, symbol, interval, open_ts, close_ts, open, high, low, close, volume, quote_volume, trades,
     taker_buy_volume, first_trade_id, last_trade_id, _partition, _offset, _timestamp)
SELECT
    event_id, event_ts, event_ts, venue, symbol, interval, open_ts, close_ts, open, high, low, close, volume, quote_volume, trades,
    taker_buy_volume, first_trade_id, last_trade_id, {partition:UInt32}, {offset:UInt64} + row_number() OVER (ORDER BY open_ts), event_ts
FROM v_bars_between(seconds = 60, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')})
WHERE symbol = {symbol:String}
"""
Connect = Callable[[], Client]


@dataclass(frozen=True, slots=True)
class Market:
    """One symbol, its rows spread over the days.

    Attributes
    ----------
    number
        Its rank, from 0; the first has most rows.
    rows
        How many ticks, or quotes.
    start_us, length_us
        First moment and length of the days, microseconds.
    """

    number: int
    rows: int
    start_us: int
    length_us: int

    @property
    def symbol(self) -> str:
        """Its name."""
        return SYMBOLS[self.number]

    @property
    def place(self) -> dict[str, object]:
        """Symbol, partition and first offset; partition 0 is the story's."""
        return {"symbol": self.symbol, "partition": 1 + self.number % PARTITIONS, "offset": self.number // PARTITIONS * _SPAN}

    def fill(self, client: Client, table: str, sql: str, price_column: str) -> None:
        """Store the rows that the table lacks, block by block."""
        (last,) = client.query(
            f"SELECT max(_offset) - {{offset:UInt64}} + 1 FROM {table} WHERE symbol = {{symbol:String}} AND _partition > 0", self.place
        ).first_row or (0,)
        for first in range(int(last) if last > 0 else 0, self.rows, BLOCK):
            newest = client.query(
                f"SELECT toInt64(round({price_column} * 100)) FROM {table} WHERE symbol = {{symbol:String}} AND _partition > 0 "
                "ORDER BY symbol DESC, event_ts DESC, _partition DESC, _offset DESC LIMIT 1",
                self.place,
            ).first_row
            price = newest[0] if newest else _PRICE // (self.number + 1)
            given = {"first": first, "count": min(BLOCK, self.rows - first), "rows": self.rows, "price": price}
            client.command(sql, {**self.place, **given, "start": self.start_us, "length": self.length_us})


def markets(rows: int, start_us: int) -> Iterator[Market]:
    """Yield the symbols; the share of each falls with its rank, and that of the last is a thirtieth of the first's."""
    shares = [1 / (rank + 1) ** 1.15 for rank in range(len(SYMBOLS))]
    for number, share in enumerate(shares):
        yield Market(number, round(rows * share / sum(shares)), start_us, DAYS * DAY)


def fill(connect: Connect, ticks: int) -> None:
    """Fill a store that has the tables; repeated, it goes on where it was.

    Parameters
    ----------
    connect
        Makes a client.
    ticks
        How many.
    """
    story = Story()
    start = story.start - DAYS * DAY
    quotes = list(markets(round(ticks * QUOTES_SHARE), start))
    with ThreadPoolExecutor(2) as workers:
        work = [(each, "market_tick", _TICKS_SQL, "price") for each in markets(ticks, start)]
        work += [(each, "market_quote", _QUOTES_SQL, "bid_price") for each in quotes]
        list(workers.map(lambda each: _with(connect, lambda client: each[0].fill(client, *each[1:])), work))
    _with(connect, lambda client: _rest(client, story, quotes))


def _rest(client: Client, story: Story, every: list[Market]) -> None:
    """Store the generated symbols' bars, and the story."""
    for each in every:
        mine = "market_klines WHERE symbol = {symbol:String} AND _partition > 0"
        last = client.query(f"SELECT toUnixTimestamp64Micro(max(close_ts)) FROM {mine}", each.place).first_row or (0,)
        if last[0] < each.start_us + each.length_us - _LAST_BAR_US:  # none, or not all: an insert of so many rows may be stored in part
            client.command(f"ALTER TABLE {mine.replace(' ', ' DELETE ', 1)} SETTINGS mutations_sync = 2", each.place)
            span = {"since": each.start_us / 1e6, "until": (each.start_us + each.length_us) / 1e6}
            client.command(_BARS_SQL, {**each.place, **span})
    for topic, rows in story.rows.items():
        if client.query(f"SELECT countIf(_partition = 0) FROM {topic.replace('.', '_')}").first_row == (0,):
            store(client, topic, rows, _FIRST_OF_STORY)


def _with(connect: Connect, work: Callable[[Client], None]) -> None:
    client = connect()
    try:
        work(client)
    finally:
        client.close()
