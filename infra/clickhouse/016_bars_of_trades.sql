-- The prices of a bar are those of its trades, as the venues have it; only a bar without any trade is at the last close.

CREATE OR REPLACE VIEW quantum.v_bars_between AS
WITH
    {seconds:UInt32} AS length,
    {since:DateTime64(6, 'UTC')} AS since,
    {until:DateTime64(6, 'UTC')} AS until,
    250000 AS grace_us,
    86400 AS max_gap_s,
    -- The stage closes a second once a trade has come that is the grace past its end: a trade with a greater offset than
    -- that one is too late for the second. Per second: the first trade of all, and the first past the grace.
    seconds_of_trades AS
    (
        SELECT
            venue, symbol, toInt64(intDiv(toUnixTimestamp64Micro(event_ts), 1000000)) AS second,
            toNullable(min(_offset)) AS first_offset,
            minOrNullIf(_offset, toUnixTimestamp64Micro(event_ts) % 1000000 >= grace_us) AS first_past_grace,
            minOrNullIf(_offset, price > 0 AND quantity > 0) AS first_traded,
            maxOrNullIf(_offset, price > 0 AND quantity > 0) AS last_traded
        FROM quantum.market_tick
        WHERE event_ts >= since - toIntervalSecond(max_gap_s + 2) AND event_ts < until + toIntervalDay(1)
        GROUP BY venue, symbol, second
    ),
    limits AS
    (
        SELECT
            venue, symbol, second, first_traded, last_traded,
            least(
                ifNull(min(first_offset) OVER (PARTITION BY venue, symbol ORDER BY second DESC RANGE BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING), 18446744073709551615),
                ifNull(min(first_past_grace) OVER (PARTITION BY venue, symbol ORDER BY second DESC RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING), 18446744073709551615)
            ) AS closed_by,
            ifNull(first_traded < closed_by, false) AS survives
        FROM seconds_of_trades
    ),
    -- Where bars begin (anew after a silence) they begin with the second of the trade that came first: trades of the second
    -- before it that came after it are too late.
    beginnings AS
    (
        SELECT
            venue, symbol, second, last_traded,
            max(if(survives, second, NULL)) OVER (PARTITION BY venue, symbol ORDER BY second ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS second_before,
            min(if(survives, first_traded, NULL)) OVER (PARTITION BY venue, symbol ORDER BY second RANGE BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS traded_after,
            if((second_before IS NULL OR second - second_before - 1 > max_gap_s) AND ifNull(traded_after < first_traded, false), 0, closed_by) AS closed_by_all
        FROM limits
    ),
    late AS
    (
        SELECT venue, symbol, second, toNullable(closed_by_all) AS too_late_from
        FROM beginnings
        WHERE last_traded >= closed_by_all
    ),
    closed AS
    (
        SELECT venue, symbol, intDiv(toUnixTimestamp64Micro(max(event_ts)) - grace_us, 1000000) AS closed_to
        FROM quantum.market_tick
        WHERE event_ts >= since - toIntervalSecond(max_gap_s + 2) AND event_ts < until + toIntervalDay(1)
        GROUP BY venue, symbol
    ),
    traded AS
    (
        SELECT
            venue, symbol, intDiv(second, length) AS number,
            min(second) AS first_second,
            max(second) AS last_second,
            argMin(at, _offset) AS began,
            argMin(price, (second, _offset)) AS open,
            max(price) AS high,
            min(price) AS low,
            argMax(price, (second, _offset)) AS close,
            sum(quantity) AS volume,
            sum(price * quantity) AS quote_volume,
            toInt64(count()) AS trades,
            sumIf(quantity, side = 'BUY') AS taker_buy_volume,
            toNullable(min(trade_id)) AS first_trade_id,
            toNullable(max(trade_id)) AS last_trade_id
        FROM
        (
            SELECT
                venue, symbol, toUnixTimestamp64Micro(event_ts) AS at, toInt64(intDiv(at, 1000000)) AS second,
                trade_id, price, quantity, side, _offset
            FROM quantum.market_tick
            WHERE event_ts >= since - toIntervalSecond(max_gap_s + 2) AND event_ts < until + toIntervalDay(1)
                AND price > 0 AND quantity > 0 AND throwIf(length < 1 OR length > 86400, 'a bar is 1 to 86400 seconds long') = 0
        ) AS ticks
        LEFT ANY JOIN late USING (venue, symbol, second)
        WHERE too_late_from IS NULL OR _offset < too_late_from
        GROUP BY venue, symbol, number
    ),
    -- Each bar with trades beside the ones before and after it. Bars begin anew after a silence that is too long.
    neighbours AS
    (
        SELECT
            *,
            row_number() OVER bars = 1 AS is_first,
            is_first OR first_second - lagInFrame(last_second) OVER bars - 1 > max_gap_s AS begins,
            leadInFrame(toNullable(number)) OVER bars AS number_after,
            ifNull(leadInFrame(toNullable(first_second)) OVER bars - last_second - 1 > max_gap_s, false) AS ends
        FROM traded
        WINDOW bars AS (PARTITION BY venue, symbol ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    ),
    -- What is known of a bar with trades and of the empty ones up to the next: those that are closed, and of the first after a
    -- beginning, whose start was not seen, only one of a second.
    places AS
    (
        SELECT
            *,
            if(ends, last_second + 1, closed_to) AS known_to,
            is_first AND began = number * length * 1000000 AS from_its_start,
            number + if(begins AND length > 1 AND NOT from_its_start, 1, 0) AS first_place,
            if(ends, number + 1, ifNull(number_after, 9223372036854775807)) AS place_after,
            greatest(first_place, intDiv(toUnixTimestamp64Micro(since) + length * 1000000 - 1, length * 1000000)) AS from_place,
            least(place_after, intDiv(known_to, length), intDiv(toUnixTimestamp64Micro(until), length * 1000000)) AS to_place,
            range(from_place, greatest(from_place, to_place)) AS bars
        FROM neighbours
        INNER JOIN closed USING (venue, symbol)
    ),
    filled AS
    (
        SELECT
            *,
            arrayJoin(bars) AS place,
            place > number AS is_empty
        FROM places
    )
SELECT
    concat(venue, ':', symbol, ':', interval, ':', toString(place * length * 1000000)) AS event_id,
    close_ts AS event_ts,
    venue,
    symbol,
    transform(length, [1, 60, 300, 900, 3600], ['1s', '1m', '5m', '15m', '1h'], concat(toString(length), 's')) AS interval,
    fromUnixTimestamp64Micro(place * length * 1000000, 'UTC') AS open_ts,
    fromUnixTimestamp64Micro((place + 1) * length * 1000000, 'UTC') AS close_ts,
    if(is_empty, filled.close, filled.open) AS open,
    if(is_empty, filled.close, filled.high) AS high,
    if(is_empty, filled.close, filled.low) AS low,
    filled.close AS close,
    if(is_empty, 0, filled.volume) AS volume,
    if(is_empty, 0, filled.quote_volume) AS quote_volume,
    if(is_empty, 0, filled.trades) AS trades,
    if(is_empty, 0, filled.taker_buy_volume) AS taker_buy_volume,
    if(is_empty, NULL, filled.first_trade_id) AS first_trade_id,
    if(is_empty, NULL, filled.last_trade_id) AS last_trade_id
FROM filled
COMMENT 'Closed bars of any length from trades, as the stream makes them: SELECT * FROM v_bars_between(seconds = 60, since = ''2026-01-01'', until = ''2026-01-02'') WHERE symbol = ''BTCUSDT''. Bars that lie in the span, UTC; columns and units as in market_klines.';
