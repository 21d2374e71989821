-- The trades behind a feature vector, found by the table's order: the vector's symbol and time are known before the trades are read, so
-- that only those of its bar are.

CREATE OR REPLACE VIEW quantum.v_lineage_ticks AS
WITH
    (SELECT any(symbol) FROM quantum.features WHERE event_id = {features_id:String}) AS of_symbol,
    (SELECT any(venue) FROM quantum.features WHERE event_id = {features_id:String}) AS of_venue,
    (SELECT any(bar_close_ts) FROM quantum.features WHERE event_id = {features_id:String}) AS closes,
    (
        SELECT any(transform(interval, ['1s', '1m', '5m', '15m', '1h'], [1, 60, 300, 900, 3600], 0))
        FROM quantum.features
        WHERE event_id = {features_id:String}
    ) AS seconds
SELECT *
FROM quantum.market_tick
WHERE symbol = of_symbol AND venue = of_venue AND event_ts >= closes - toIntervalSecond(seconds) AND event_ts < closes
COMMENT 'Trades of the bar behind a feature vector, from its start to before its end: SELECT * FROM v_lineage_ticks(features_id = ''...''). Columns as in market_tick.';
