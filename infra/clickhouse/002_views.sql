-- Views that answer what a trader asks first. They read the tables as they are: nothing here is counted twice by a replay,
-- because nothing here is stored.

CREATE OR REPLACE VIEW quantum.v_fills AS
SELECT
    event_ts, account, venue, symbol, side, origin, reason, strategy,
    assumeNotNull(trade_id) AS trade_id,
    client_order_id, intent_id, signal_id, position_id,
    assumeNotNull(fill_quantity) AS quantity,
    assumeNotNull(fill_price) AS price,
    toFloat64(assumeNotNull(fill_quantity)) * toFloat64(assumeNotNull(fill_price)) AS notional,
    ifNull(commission, toDecimal128(0, 18)) AS commission,
    commission_asset, liquidity, reference_price,
    if(side = 'BUY', 1, -1) * (toFloat64(assumeNotNull(fill_price)) / toFloat64(reference_price) - 1) * 1e4 AS slippage_bps,
    event_id
FROM quantum.execution_result
WHERE trade_id IS NOT NULL AND fill_quantity IS NOT NULL AND fill_price IS NOT NULL
COMMENT 'Fills; notional in quote currency, slippage_bps against the price when the order was decided, basis points, positive is worse.';

CREATE OR REPLACE VIEW quantum.v_lineage AS
SELECT
    fills.event_ts AS fill_ts,
    fills.account AS account, fills.symbol AS symbol, fills.venue AS venue, fills.side AS side,
    fills.trade_id AS trade_id, fills.price AS fill_price, fills.quantity AS fill_quantity, fills.slippage_bps AS slippage_bps,
    fills.client_order_id AS client_order_id,
    fills.intent_id AS intent_id, intents.event_ts AS intent_ts, intents.origin AS origin, intents.reason AS reason,
    intents.sizing_id AS sizing_id, sizings.leverage AS leverage, sizings.binding_cap AS binding_cap, sizings.risk_amount AS risk_amount,
    sizings.decision_id AS decision_id, decisions.action AS decision, decisions.mode AS mode, decisions.policy_version AS policy_version,
    fills.signal_id AS signal_id, signals.direction AS direction, signals.confidence AS confidence, signals.regime AS regime,
    signals.features_id AS features_id, scores.models AS models, scores.model_sha256 AS model_sha256,
    vectors.interval AS bar_interval, vectors.bar_close_ts AS bar_close_ts, vectors.close AS bar_close
FROM quantum.v_fills AS fills
LEFT ANY JOIN quantum.trade_intent AS intents ON intents.event_id = fills.intent_id
LEFT ANY JOIN quantum.sizing_decided AS sizings ON sizings.event_id = intents.sizing_id
LEFT ANY JOIN quantum.ai_decision_made AS decisions ON decisions.event_id = sizings.decision_id
LEFT ANY JOIN quantum.ai_signal_generated AS signals ON signals.event_id = fills.signal_id
LEFT ANY JOIN quantum.features AS vectors ON vectors.event_id = signals.features_id
LEFT ANY JOIN
(
    SELECT features_id, groupArray(concat(model, ' ', model_version)) AS models, groupArray(model_sha256) AS model_sha256
    FROM quantum.signal_score
    GROUP BY features_id
) AS scores ON scores.features_id = signals.features_id
COMMENT 'From a fill back to intent, sizing, decision, signal, model hashes and feature vector; v_lineage_ticks has the trades behind the vector.';

CREATE OR REPLACE VIEW quantum.v_lineage_ticks AS
SELECT ticks.*
FROM quantum.market_tick AS ticks
INNER JOIN
(
    SELECT venue, symbol, bar_close_ts, multiIf(interval = '1s', 1, interval = '1m', 60, interval = '5m', 300, interval = '15m', 900, 3600) AS seconds
    FROM quantum.features
    WHERE event_id = {features_id:String}
    LIMIT 1
) AS vector ON ticks.symbol = vector.symbol AND ticks.venue = vector.venue
WHERE ticks.event_ts <= vector.bar_close_ts AND ticks.event_ts > vector.bar_close_ts - toIntervalSecond(vector.seconds)
COMMENT 'Trades of the bar behind a feature vector: SELECT * FROM v_lineage_ticks(features_id = ''...'').';

CREATE OR REPLACE VIEW quantum.v_bars AS
SELECT
    venue, symbol,
    fromUnixTimestamp64Micro(intDiv(toUnixTimestamp64Micro(event_ts), toInt64({seconds:UInt32}) * 1000000) * toInt64({seconds:UInt32}) * 1000000, 'UTC') AS open_ts,
    argMin(price, (event_ts, trade_id)) AS open,
    max(price) AS high,
    min(price) AS low,
    argMax(price, (event_ts, trade_id)) AS close,
    sum(quantity) AS volume,
    sum(price * quantity) AS quote_volume,
    count() AS trades,
    sumIf(quantity, side = 'BUY') AS taker_buy_volume
FROM quantum.market_tick
GROUP BY venue, symbol, open_ts
COMMENT 'Bars of any length from trades: SELECT * FROM v_bars(seconds = 60) WHERE symbol = ''BTCUSDT''. Units as in market_klines.';

CREATE OR REPLACE VIEW quantum.v_pnl AS
SELECT
    account, symbol, strategy, exit_reason,
    count() AS trades,
    countIf(net_pnl > 0) AS wins,
    wins / trades AS win_rate,
    sum(gross_pnl) AS gross_pnl_sum,
    sum(fees) AS fees_sum,
    sum(net_pnl) AS net_pnl_sum,
    avg(r_multiple) AS r_multiple_mean,
    avg(held_s) AS held_s_mean
FROM quantum.trade_closed
GROUP BY account, symbol, strategy, exit_reason
COMMENT 'Closed trades by symbol, strategy and exit reason; money in quote currency, win_rate a fraction, held_s_mean in seconds.';

CREATE OR REPLACE VIEW quantum.v_pnl_daily AS
SELECT
    account, toDate(closed_ts, 'UTC') AS day,
    count() AS trades,
    sum(net_pnl) AS net_pnl_sum,
    sum(net_pnl_sum) OVER (PARTITION BY account ORDER BY day) AS net_pnl_cumulative
FROM quantum.trade_closed
GROUP BY account, day
COMMENT 'Profit after fees by UTC day of the close, quote currency.';

CREATE OR REPLACE VIEW quantum.v_denials AS
SELECT account, code, ifNull(symbol, '') AS symbol, count() AS denials, min(event_ts) AS first_ts, max(event_ts) AS last_ts, any(detail) AS example
FROM quantum.risk_events
WHERE kind = 'DENIAL'
GROUP BY account, code, symbol
COMMENT 'Denied entries by code and symbol.';

CREATE OR REPLACE VIEW quantum.v_positions AS
SELECT account, symbol, venue, position_id, side, quantity, entry_price, mark_price, leverage, margin, unrealised_pnl, realised_pnl, fees, opened_ts, event_ts
FROM quantum.portfolio_position
ORDER BY _offset DESC
LIMIT 1 BY account, symbol
COMMENT 'Newest state of every position, flat ones too; units as in portfolio_position.';

CREATE OR REPLACE VIEW quantum.v_slippage AS
SELECT
    fills.*,
    quotes.bid_price AS bid_price, quotes.ask_price AS ask_price, quotes.event_ts AS quote_ts,
    (quotes.ask_price - quotes.bid_price) / ((quotes.ask_price + quotes.bid_price) / 2) * 1e4 AS spread_bps,
    if(fills.side = 'BUY', 1, -1) * (toFloat64(fills.price) / ((quotes.ask_price + quotes.bid_price) / 2) - 1) * 1e4 AS slippage_to_mid_bps
FROM quantum.v_fills AS fills
ASOF LEFT JOIN quantum.market_quote AS quotes ON quotes.symbol = fills.symbol AND quotes.venue = fills.venue AND quotes.event_ts <= fills.event_ts
COMMENT 'Fills beside the last quote before them; spread and slippage in basis points, positive slippage is worse.';
