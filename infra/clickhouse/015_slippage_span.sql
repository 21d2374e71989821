-- Of the quotes, only those of the symbols and of the time of the fills are joined to them: a month of quotes does not fit in memory.

CREATE OR REPLACE VIEW quantum.v_slippage AS
SELECT
    fills.*,
    quotes.bid_price AS bid_price, quotes.ask_price AS ask_price, quotes.event_ts AS quote_ts,
    (quotes.ask_price - quotes.bid_price) / ((quotes.ask_price + quotes.bid_price) / 2) * 1e4 AS spread_bps,
    if(fills.side = 'BUY', 1, -1) * (toFloat64(fills.price) / ((quotes.ask_price + quotes.bid_price) / 2) - 1) * 1e4 AS slippage_to_mid_bps
FROM quantum.v_fills AS fills
ASOF LEFT JOIN
(
    SELECT symbol, venue, event_ts, bid_price, ask_price
    FROM quantum.market_quote
    WHERE symbol IN (SELECT symbol FROM quantum.v_fills)
        AND event_ts >= (SELECT min(event_ts) FROM quantum.v_fills) - toIntervalDay(1)
        AND event_ts <= (SELECT max(event_ts) FROM quantum.v_fills)
) AS quotes ON quotes.symbol = fills.symbol AND quotes.venue = fills.venue AND quotes.event_ts <= fills.event_ts
COMMENT 'Fills beside the last quote before them, of at most a day before the first fill; spread and slippage in basis points, positive slippage is worse.';

ALTER TABLE quantum.v_slippage
    COMMENT COLUMN event_ts 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    COMMENT COLUMN account 'Account.',
    COMMENT COLUMN venue 'Venue.',
    COMMENT COLUMN symbol 'Symbol.',
    COMMENT COLUMN side 'Side.',
    COMMENT COLUMN origin 'Entry, exit or manual.',
    COMMENT COLUMN reason 'Code of the reason.',
    COMMENT COLUMN strategy 'Name of the strategy.',
    COMMENT COLUMN trade_id 'The venue\'s id of the fill.',
    COMMENT COLUMN client_order_id 'Client order id.',
    COMMENT COLUMN intent_id 'event_id of the intent.',
    COMMENT COLUMN signal_id 'event_id of the signal; null where there is none.',
    COMMENT COLUMN position_id 'Position that an exit belongs to; null for an entry.',
    COMMENT COLUMN quantity 'Quantity of the fill, base asset.',
    COMMENT COLUMN price 'Price of the fill, quote currency.',
    COMMENT COLUMN notional 'Value of the fill, quote currency.',
    COMMENT COLUMN commission 'Commission of the fill, in commission_asset; 0 where the venue named none.',
    COMMENT COLUMN commission_asset 'Asset that the commission is paid in.',
    COMMENT COLUMN liquidity 'Whether this fill made or took liquidity.',
    COMMENT COLUMN reference_price 'Price when it was decided, quote currency.',
    COMMENT COLUMN slippage_bps 'Price of the fill against the price when the order was decided, basis points, positive is worse.',
    COMMENT COLUMN event_id 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    COMMENT COLUMN bid_price 'Best bid of the last quote before the fill, quote currency.',
    COMMENT COLUMN ask_price 'Best ask of that quote, quote currency.',
    COMMENT COLUMN quote_ts 'Time of the quote, UTC.',
    COMMENT COLUMN spread_bps 'Spread over mid of that quote, basis points.',
    COMMENT COLUMN slippage_to_mid_bps 'Price of the fill against the mid of that quote, basis points, positive is worse.';
