-- Views of trading, models, risk and latency. They read the tables as they are and store nothing, so that a replay is counted
-- as often as the tables have it: once. A view with a parameter says in its comment how it is asked.

CREATE OR REPLACE VIEW quantum.v_spread AS
SELECT
    venue, symbol,
    toStartOfInterval(event_ts, toIntervalSecond({seconds:UInt32})) AS start_ts,
    count() AS quotes,
    avg((ask_price - bid_price) / ((ask_price + bid_price) / 2)) * 1e4 AS spread_bps_mean,
    quantile(0.5)((ask_price - bid_price) / ((ask_price + bid_price) / 2)) * 1e4 AS spread_bps_p50,
    quantile(0.95)((ask_price - bid_price) / ((ask_price + bid_price) / 2)) * 1e4 AS spread_bps_p95,
    max((ask_price - bid_price) / ((ask_price + bid_price) / 2)) * 1e4 AS spread_bps_max,
    avg(bid_price * bid_quantity) AS bid_value_mean,
    avg(ask_price * ask_quantity) AS ask_value_mean
FROM quantum.market_quote
GROUP BY venue, symbol, start_ts
COMMENT 'Spread by venue, symbol and time: SELECT * FROM v_spread(seconds = 3600). start_ts is the start of the bucket, UTC; quotes a number; spread_bps_* are the spread over mid of all quotes alike, basis points; *_value_mean is what rests at the touch, quote currency.';

CREATE OR REPLACE VIEW quantum.v_pnl_by_day AS
SELECT
    account, toDate(closed_ts, 'UTC') AS day, symbol, strategy, exit_reason,
    count() AS trades,
    countIf(net_pnl > 0) AS wins,
    sum(gross_pnl) AS gross_pnl_sum,
    sum(fees) AS fees_sum,
    sum(net_pnl) AS net_pnl_sum,
    sum(r_multiple) AS r_multiple_sum
FROM quantum.trade_closed
GROUP BY account, day, symbol, strategy, exit_reason
COMMENT 'Closed trades by UTC day of the close, symbol, strategy and exit reason: sum it over what is not asked for.';

CREATE OR REPLACE VIEW quantum.v_orders AS
SELECT
    commands.event_ts AS command_ts,
    commands.account AS account, commands.symbol AS symbol, commands.venue AS venue, commands.strategy AS strategy,
    commands.client_order_id AS client_order_id,
    commands.origin AS origin, commands.reason AS reason, commands.side AS side, commands.order_type AS order_type,
    commands.quantity AS quantity,
    results.filled_quantity AS filled_quantity,
    toFloat64(results.filled_quantity) / toFloat64(commands.quantity) AS filled_share,
    results.average_price AS average_price,
    if(results.status = '', 'UNANSWERED', results.status) AS status,
    results.error_code AS error_code, results.error_message AS error_message,
    results.fills AS fills,
    if(results.status = '', NULL, dateDiff('millisecond', commands._timestamp, results.answered_at)) AS answered_ms
FROM (SELECT * FROM quantum.order_command WHERE action = 'SUBMIT' ORDER BY _offset LIMIT 1 BY client_order_id) AS commands
LEFT JOIN
(
    SELECT
        client_order_id,
        argMax(status, _offset) AS status,
        max(filled_quantity) AS filled_quantity,
        argMax(average_price, _offset) AS average_price,
        argMax(error_code, _offset) AS error_code,
        argMax(error_message, _offset) AS error_message,
        uniqExact(trade_id) AS fills,
        min(_timestamp) AS answered_at
    FROM quantum.execution_result
    GROUP BY client_order_id
) AS results ON results.client_order_id = commands.client_order_id
COMMENT 'Every order that was to be sent, and what became of it.';

CREATE OR REPLACE VIEW quantum.v_order_outcomes AS
SELECT
    account, symbol, origin, toDate(command_ts, 'UTC') AS day,
    count() AS orders,
    countIf(status = 'FILLED') AS filled,
    countIf(status != 'FILLED' AND filled_quantity > 0) AS filled_in_part,
    countIf(status = 'REJECTED') AS rejected,
    countIf(status IN ('CANCELLED', 'EXPIRED')) AS cancelled,
    countIf(status = 'UNANSWERED') AS unanswered,
    filled / orders AS fill_rate,
    rejected / orders AS rejection_rate,
    quantile(0.5)(answered_ms) AS answered_ms_p50
FROM quantum.v_orders
GROUP BY account, symbol, origin, day
COMMENT 'Outcomes of orders by account, symbol, origin and UTC day of the command.';

CREATE OR REPLACE VIEW quantum.v_verdicts AS
SELECT
    sizings.event_ts AS sizing_ts,
    sizings.account AS account, sizings.symbol AS symbol, sizings.strategy AS strategy, sizings.side AS side,
    sizings.event_id AS sizing_id, sizings.notional AS notional, sizings.leverage AS leverage,
    multiIf(intents.intents > 0, 'ALLOWED', notEmpty(denials.codes), 'DENIED', 'NONE') AS verdict,
    denials.codes AS codes,
    denials.detail AS detail
FROM quantum.sizing_decided AS sizings
LEFT JOIN
(
    SELECT assumeNotNull(sizing_id) AS sizing_id, count() AS intents
    FROM quantum.trade_intent
    WHERE sizing_id IS NOT NULL
    GROUP BY sizing_id
) AS intents ON intents.sizing_id = sizings.event_id
LEFT JOIN
(
    SELECT assumeNotNull(sizing_id) AS sizing_id, arraySort(groupUniqArray(code)) AS codes, argMin(detail, _offset) AS detail
    FROM quantum.risk_events
    WHERE kind = 'DENIAL' AND sizing_id IS NOT NULL
    GROUP BY sizing_id
) AS denials ON denials.sizing_id = sizings.event_id
COMMENT 'The verdict of the risk checks on every sized entry.';

CREATE OR REPLACE VIEW quantum.v_lineage_bar AS
SELECT lineage.*, verdict, open, high, low, volume, trades, first_trade_id, last_trade_id
FROM quantum.v_lineage AS lineage
LEFT ANY JOIN (SELECT sizing_id AS judged_id, verdict FROM quantum.v_verdicts) AS verdicts ON verdicts.judged_id = lineage.sizing_id
LEFT ANY JOIN
(
    SELECT vectors.event_id AS vector_id, bars.open AS open, bars.high AS high, bars.low AS low, bars.volume AS volume, bars.trades AS trades,
        bars.first_trade_id AS first_trade_id, bars.last_trade_id AS last_trade_id
    FROM quantum.features AS vectors
    INNER JOIN quantum.market_klines AS bars
        ON bars.symbol = vectors.symbol AND bars.venue = vectors.venue AND bars.interval = vectors.interval AND bars.close_ts = vectors.bar_close_ts
) AS behind ON behind.vector_id = lineage.features_id
COMMENT 'v_lineage, with the verdict and the bar behind the feature vector: its trades are those from first_trade_id to last_trade_id.';

CREATE OR REPLACE VIEW quantum.v_lineage_ticks AS
SELECT ticks.*
FROM quantum.market_tick AS ticks
INNER JOIN
(
    SELECT venue, symbol, bar_close_ts, transform(interval, ['1s', '1m', '5m', '15m', '1h'], [1, 60, 300, 900, 3600], 0) AS seconds
    FROM quantum.features
    WHERE event_id = {features_id:String}
    LIMIT 1
) AS vector ON ticks.symbol = vector.symbol AND ticks.venue = vector.venue
WHERE ticks.event_ts >= vector.bar_close_ts - toIntervalSecond(vector.seconds) AND ticks.event_ts < vector.bar_close_ts
COMMENT 'Trades of the bar behind a feature vector, from its start to before its end: SELECT * FROM v_lineage_ticks(features_id = ''...''). Columns as in market_tick.';

CREATE OR REPLACE VIEW quantum.v_predictions AS
SELECT
    scores.event_ts AS event_ts, scores.model AS model, scores.model_version AS model_version,
    scores.symbol AS symbol, scores.horizon_s AS horizon_s, scores.event_id AS score_id,
    scores.p_down AS p_down, scores.p_flat AS p_flat, scores.p_up AS p_up,
    log(after.close / vectors.close) AS log_return,
    multiIf(log_return > {threshold:Float64}, 'UP', log_return < -{threshold:Float64}, 'DOWN', 'FLAT') AS outcome,
    multiIf(outcome = 'UP', p_up, outcome = 'DOWN', p_down, p_flat) AS p_outcome
FROM quantum.signal_score AS scores
INNER JOIN quantum.features AS vectors ON vectors.event_id = scores.features_id
INNER JOIN quantum.market_klines AS after
    ON after.symbol = vectors.symbol AND after.venue = vectors.venue AND after.interval = vectors.interval
    AND after.close_ts = vectors.bar_close_ts + toIntervalSecond(scores.horizon_s)
COMMENT 'Every prediction whose horizon has passed, beside what happened: SELECT * FROM v_predictions(threshold = 0.0005). threshold is the one in the model''s manifest, log return; log_return is that of the horizon; p_* are probabilities, p_outcome that of what happened; horizon_s in seconds.';

CREATE OR REPLACE VIEW quantum.v_calibration AS
SELECT
    model, model_version, class,
    least(toUInt8(floor(p * 10)), 9) / 10 AS bin,
    count() AS predictions,
    avg(p) AS predicted,
    avg(outcome = class) AS observed
FROM quantum.v_predictions(threshold = {threshold:Float64})
ARRAY JOIN ['DOWN', 'FLAT', 'UP'] AS class, [p_down, p_flat, p_up] AS p
GROUP BY model, model_version, class, bin
COMMENT 'Predicted probability against how often it came true: SELECT * FROM v_calibration(threshold = 0.0005). bin is the lower edge of a tenth of probability, predicted the mean probability in it, observed the share that came true, predictions their number; a calibrated model has predicted = observed.';

CREATE OR REPLACE VIEW quantum.v_model_quality AS
SELECT
    model, model_version, toDate(event_ts, 'UTC') AS day,
    count() AS predictions,
    avg(-log(greatest(p_outcome, 1e-15))) AS log_loss,
    avg(outcome = multiIf(p_up > p_down AND p_up > p_flat, 'UP', p_down > p_flat, 'DOWN', 'FLAT')) AS accuracy,
    avg(pow(p_up - (outcome = 'UP'), 2) + pow(p_down - (outcome = 'DOWN'), 2) + pow(p_flat - (outcome = 'FLAT'), 2)) AS brier
FROM quantum.v_predictions(threshold = {threshold:Float64})
GROUP BY model, model_version, day
COMMENT 'Quality of predictions by model, version and UTC day: SELECT * FROM v_model_quality(threshold = 0.0005). log_loss in nats (less is better; ln 3 = 1.0986 says nothing), accuracy the share whose likeliest class came true, brier the sum of squared distances over the three classes, 0 to 2.';

CREATE OR REPLACE VIEW quantum.v_equity AS
SELECT
    account, start_ts, equity, balance, equity_min, open_positions,
    max(equity_max) OVER (PARTITION BY account ORDER BY start_ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS peak,
    1 - toFloat64(equity) / toFloat64(peak) AS drawdown
FROM
(
    SELECT
        account,
        toStartOfInterval(event_ts, toIntervalSecond({seconds:UInt32})) AS start_ts,
        argMax(snapshots.equity, (event_ts, _offset)) AS equity,
        argMax(snapshots.balance, (event_ts, _offset)) AS balance,
        min(snapshots.equity) AS equity_min,
        max(snapshots.equity) AS equity_max,
        argMax(snapshots.open_positions, (event_ts, _offset)) AS open_positions
    FROM quantum.portfolio_snapshot AS snapshots
    GROUP BY account, start_ts
)
COMMENT 'Equity curve: SELECT * FROM v_equity(seconds = 60). start_ts is the start of the bucket, UTC; equity and balance at its end, equity_min within it and peak up to it, quote currency; drawdown a fraction of the peak; open_positions a number.';

CREATE OR REPLACE VIEW quantum.v_exposure AS
SELECT
    exposures.account AS account, exposures.start_ts AS start_ts,
    exposures.gross AS gross, exposures.net AS net, exposures.margin AS margin, exposures.gross_max AS gross_max,
    snapshots.equity AS equity,
    if(snapshots.equity > 0, toFloat64(exposures.gross) / toFloat64(snapshots.equity), NULL) AS gross_leverage
FROM
(
    SELECT
        account,
        toStartOfInterval(each.event_ts, toIntervalSecond({seconds:UInt32})) AS start_ts,
        max(each.event_ts) AS at,
        argMax(each.gross, (each.event_ts, each._offset)) AS gross,
        argMax(each.net, (each.event_ts, each._offset)) AS net,
        argMax(each.margin, (each.event_ts, each._offset)) AS margin,
        max(each.gross) AS gross_max
    FROM quantum.portfolio_exposure AS each
    GROUP BY account, start_ts
) AS exposures
ASOF LEFT JOIN quantum.portfolio_snapshot AS snapshots ON snapshots.account = exposures.account AND snapshots.event_ts <= exposures.at
COMMENT 'Exposure over time: SELECT * FROM v_exposure(seconds = 60). start_ts is the start of the bucket, UTC; gross, net, margin and equity at its end and gross_max within it, quote currency; gross_leverage is gross over equity.';

CREATE OR REPLACE VIEW quantum.v_funding AS
SELECT
    venue, symbol, next_funding_ts AS funding_ts,
    argMax(funding_rate, (event_ts, _offset)) AS rate,
    argMax(mark_price, (event_ts, _offset)) AS last_mark_price,
    max(event_ts) AS seen_ts
FROM quantum.market_funding
WHERE event_ts <= next_funding_ts
GROUP BY venue, symbol, funding_ts
COMMENT 'The last rate that was seen before each funding, also before the coming one.';

CREATE OR REPLACE VIEW quantum.v_funding_cost AS
SELECT
    fundings.account AS account, fundings.venue AS venue, fundings.symbol AS symbol, fundings.funding_ts AS funding_ts,
    positions.position_id AS position_id, positions.side AS side, positions.quantity AS quantity, fundings.rate AS rate,
    if(positions.side = 'LONG', 1, -1) * toFloat64(positions.quantity) * fundings.last_mark_price * fundings.rate AS cost
FROM
(
    SELECT account, venue, symbol, funding_ts, rate, last_mark_price
    FROM quantum.v_funding AS each
    CROSS JOIN (SELECT DISTINCT account FROM quantum.portfolio_position) AS accounts
    WHERE funding_ts <= (SELECT max(event_ts) FROM quantum.market_funding)
) AS fundings
ASOF INNER JOIN quantum.portfolio_position AS positions
    ON positions.account = fundings.account AND positions.symbol = fundings.symbol AND positions.venue = fundings.venue
    AND positions.event_ts <= fundings.funding_ts
WHERE positions.side != 'FLAT'
COMMENT 'What funding cost the positions that were held at its time, at the last rate and mark price before it; trade_closed does not hold it.';

CREATE OR REPLACE VIEW quantum.v_latency AS
SELECT
    stage, topic, toStartOfHour(_timestamp) AS hour,
    count() AS records,
    quantile(0.5)(elapsed) AS p50_ms, quantile(0.95)(elapsed) AS p95_ms, quantile(0.99)(elapsed) AS p99_ms, max(elapsed) AS max_ms
FROM
(
    SELECT stage, topic, _timestamp, (toUnixTimestamp64Milli(_timestamp) * 1000 - toUnixTimestamp64Micro(ingest_ts)) / 1000 AS elapsed
    FROM
    (
        SELECT 'market' AS stage, 'market.tick' AS topic, _timestamp, ingest_ts FROM quantum.market_tick
        UNION ALL SELECT 'market', 'market.quote', _timestamp, ingest_ts FROM quantum.market_quote
        UNION ALL SELECT 'market', 'market.klines', _timestamp, ingest_ts FROM quantum.market_klines
        UNION ALL SELECT 'features', 'features', _timestamp, ingest_ts FROM quantum.features
        UNION ALL SELECT 'signals', 'signal.score', _timestamp, ingest_ts FROM quantum.signal_score
        UNION ALL SELECT 'signals', 'ai.signal_generated', _timestamp, ingest_ts FROM quantum.ai_signal_generated
        UNION ALL SELECT 'governance', 'ai.decision.made', _timestamp, ingest_ts FROM quantum.ai_decision_made
        UNION ALL SELECT 'risk', 'sizing.decided', _timestamp, ingest_ts FROM quantum.sizing_decided
        UNION ALL SELECT if(origin = 'ENTRY', 'risk', 'exits'), 'trade.intent', _timestamp, ingest_ts FROM quantum.trade_intent
        UNION ALL SELECT 'execution', 'order.command', _timestamp, ingest_ts FROM quantum.order_command
        UNION ALL SELECT 'orders', 'execution.result', _timestamp, ingest_ts FROM quantum.execution_result
        UNION ALL SELECT 'positions', 'portfolio.position', _timestamp, ingest_ts FROM quantum.portfolio_position
        UNION ALL SELECT 'exits', 'ai.exit.decision', _timestamp, ingest_ts FROM quantum.ai_exit_decision
        UNION ALL SELECT 'journal', 'trade.closed', _timestamp, ingest_ts FROM quantum.trade_closed
    )
)
GROUP BY stage, topic, hour
COMMENT 'Time from the receipt of the frame that started a chain of records to the time that Kafka has for each record of it, by stage and hour.';

CREATE OR REPLACE VIEW quantum.v_latency_steps AS
WITH records AS
(
    SELECT 'market.klines' AS topic, event_id, _timestamp, _causation_id FROM quantum.market_klines
    UNION ALL SELECT 'features', event_id, _timestamp, _causation_id FROM quantum.features
    UNION ALL SELECT 'signal.score', event_id, _timestamp, _causation_id FROM quantum.signal_score
    UNION ALL SELECT 'ai.signal_generated', event_id, _timestamp, _causation_id FROM quantum.ai_signal_generated
    UNION ALL SELECT 'ai.decision.made', event_id, _timestamp, _causation_id FROM quantum.ai_decision_made
    UNION ALL SELECT 'sizing.decided', event_id, _timestamp, _causation_id FROM quantum.sizing_decided
    UNION ALL SELECT 'trade.intent', event_id, _timestamp, _causation_id FROM quantum.trade_intent
    UNION ALL SELECT 'order.command', event_id, _timestamp, _causation_id FROM quantum.order_command
    UNION ALL SELECT 'execution.result', event_id, _timestamp, _causation_id FROM quantum.execution_result
    UNION ALL SELECT 'portfolio.position', event_id, _timestamp, _causation_id FROM quantum.portfolio_position
    UNION ALL SELECT 'trade.closed', event_id, _timestamp, _causation_id FROM quantum.trade_closed
)
SELECT
    causes.topic AS cause_topic, effects.topic AS topic, toStartOfHour(effects._timestamp) AS hour,
    count() AS records,
    quantile(0.5)(dateDiff('millisecond', causes._timestamp, effects._timestamp)) AS p50_ms,
    quantile(0.95)(dateDiff('millisecond', causes._timestamp, effects._timestamp)) AS p95_ms,
    quantile(0.99)(dateDiff('millisecond', causes._timestamp, effects._timestamp)) AS p99_ms,
    max(dateDiff('millisecond', causes._timestamp, effects._timestamp)) AS max_ms
FROM (SELECT * FROM records WHERE _causation_id != '') AS effects
INNER JOIN records AS causes ON causes.event_id = effects._causation_id
GROUP BY cause_topic, topic, hour
COMMENT 'Time of one step: from the time that Kafka has for a record to the time that it has for the record that it caused.';
