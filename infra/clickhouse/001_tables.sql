-- Tables of the topics that are kept; generated from schemas/ and processors/topology.py by
-- 'python -m infra.clickhouse.generate --write'.

CREATE TABLE IF NOT EXISTS quantum.market_tick
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `trade_id` Int64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'The venue\'s trade id; grows by one a trade.',
    `price` Float64 CODEC(ZSTD(1)) COMMENT 'Price, quote currency (USD for coin-margined contracts).',
    `quantity` Float64 CODEC(ZSTD(1)) COMMENT 'Quantity, base asset (contracts for coin-margined).',
    `side` LowCardinality(String) COMMENT 'Side of the taker.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'One trade at a venue, exactly once by (venue, symbol, trade_id).';

CREATE TABLE IF NOT EXISTS quantum.market_quote
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `update_id` Int64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'The venue\'s update id of the book.',
    `bid_price` Float64 CODEC(ZSTD(1)) COMMENT 'Best bid, quote currency.',
    `bid_quantity` Float64 CODEC(ZSTD(1)) COMMENT 'Quantity at the best bid, base asset.',
    `ask_price` Float64 CODEC(ZSTD(1)) COMMENT 'Best ask, quote currency.',
    `ask_quantity` Float64 CODEC(ZSTD(1)) COMMENT 'Quantity at the best ask, base asset.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Best bid and ask of a venue.';

CREATE TABLE IF NOT EXISTS quantum.market_klines
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `interval` LowCardinality(String) COMMENT 'Length of the bar: 1s, 1m, 5m, 15m or 1h.',
    `open_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Start of the bar, inclusive, microseconds since the epoch, UTC.',
    `close_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'End of the bar, exclusive, microseconds since the epoch, UTC.',
    `open` Float64 CODEC(ZSTD(1)) COMMENT 'First price, quote currency.',
    `high` Float64 CODEC(ZSTD(1)) COMMENT 'Highest price, quote currency.',
    `low` Float64 CODEC(ZSTD(1)) COMMENT 'Lowest price, quote currency.',
    `close` Float64 CODEC(ZSTD(1)) COMMENT 'Last price, quote currency.',
    `volume` Float64 CODEC(ZSTD(1)) COMMENT 'Traded quantity, base asset.',
    `quote_volume` Float64 CODEC(ZSTD(1)) COMMENT 'Traded value, quote currency.',
    `trades` Int64 CODEC(ZSTD(1)) COMMENT 'Number of trades.',
    `taker_buy_volume` Float64 CODEC(ZSTD(1)) COMMENT 'Part of volume whose taker bought, base asset.',
    `first_trade_id` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Id of the first trade; null in an empty bar.',
    `last_trade_id` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Id of the last trade; null in an empty bar.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A closed bar; an interval without a trade is a bar of volume 0 at the last price.';

CREATE TABLE IF NOT EXISTS quantum.market_funding
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `mark_price` Float64 CODEC(ZSTD(1)) COMMENT 'Mark price, quote currency.',
    `index_price` Float64 CODEC(ZSTD(1)) COMMENT 'Index price, quote currency.',
    `funding_rate` Float64 CODEC(ZSTD(1)) COMMENT 'Rate of the coming funding, fraction of notional; longs pay where positive.',
    `next_funding_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Time of the coming funding, microseconds since the epoch, UTC.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Mark and index price and the funding rate of a perpetual.';

CREATE TABLE IF NOT EXISTS quantum.market_instrument
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `base_asset` LowCardinality(String) COMMENT 'Base asset, for example BTC.',
    `quote_asset` LowCardinality(String) COMMENT 'Quote asset, for example USDT.',
    `rules` Tuple(tick_size Decimal(38, 18), lot_size Decimal(38, 18), min_quantity Decimal(38, 18), max_quantity Decimal(38, 18), min_notional Decimal(38, 18), max_leverage Float64, maintenance_rate Float64) COMMENT 'What the venue accepts; tick_size: Step of prices, quote currency; lot_size: Step of quantities, base asset; min_quantity: Least quantity of an order, base asset; max_quantity: Most quantity of a market order, base asset; min_notional: Least notional of an order, quote currency; max_leverage: Most leverage that the venue\'s first bracket allows; maintenance_rate: Maintenance margin rate of the first bracket, fraction of notional.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A tradable instrument of a venue.';

CREATE TABLE IF NOT EXISTS quantum.exchange_normalized
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `mid` Float64 CODEC(ZSTD(1)) COMMENT 'Consolidated mid: mean of the mids of venues that are not stale, quote currency.',
    `divergence_bps` Float64 CODEC(ZSTD(1)) COMMENT 'Largest absolute distance of a venue\'s mid from the consolidated mid, basis points.',
    `basis` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Perpetual mid over spot mid, minus 1, fraction; null where one of the two is missing or stale.',
    `venues` Array(Tuple(venue LowCardinality(String), mid Float64, divergence_bps Float64, age_us Int64)) COMMENT 'The venues that took part; venue: Venue, for example binance-usdm; mid: Mid price at this venue, quote currency; divergence_bps: Signed distance of this mid from the consolidated mid, basis points; age_us: Age of this venue\'s quote at event_ts, microseconds.',
    `stale_venues` Array(String) COMMENT 'Venues left out because their last quote is too old.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'One symbol across venues.';

CREATE TABLE IF NOT EXISTS quantum.features
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue whose bars and quotes it is computed from.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `interval` LowCardinality(String) COMMENT 'Length of the bars.',
    `bar_close_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'End of the last bar, exclusive, microseconds since the epoch, UTC.',
    `close` Float64 CODEC(ZSTD(1)) COMMENT 'Close of the last bar, quote currency.',
    `warm` Bool COMMENT 'Whether every bar feature is there.',
    `log_return_1` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Log return over 1 bar.',
    `log_return_5` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Log return over 5 bars.',
    `log_return_15` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Log return over 15 bars.',
    `volatility_parkinson` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Parkinson volatility over 20 bars, per bar.',
    `volatility_garman_klass` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Garman-Klass volatility over 20 bars, per bar.',
    `atr_14` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Average true range (Wilder, 14 bars), quote currency.',
    `rsi_14` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Relative strength index (Wilder, 14 bars), 0 to 100.',
    `macd_histogram` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'MACD(12, 26, 9) histogram over the close, basis points.',
    `bollinger_b` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Bollinger %b (20 bars, 2 standard deviations).',
    `vwap_distance` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Log distance of the close from the volume-weighted average price of 60 bars.',
    `volume_zscore` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Z-score of the last bar\'s volume within 60 bars.',
    `trade_imbalance` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Taker buys less taker sells over volume, 20 bars, -1 to 1.',
    `time_of_day_sin` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Sine of the time of day at bar_close_ts.',
    `time_of_day_cos` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Cosine of the time of day at bar_close_ts.',
    `time_of_week_sin` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Sine of the time of week at bar_close_ts.',
    `time_of_week_cos` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Cosine of the time of week at bar_close_ts.',
    `spread_bps` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Spread over mid of the last quote, basis points.',
    `microprice_offset_bps` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Microprice over mid of the last quote, minus 1, basis points.',
    `top_imbalance` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Bid less ask quantity over their sum at the touch, -1 to 1.',
    `funding_rate` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Coming funding rate, fraction.',
    `time_to_funding_s` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Seconds from bar_close_ts to the coming funding.',
    `basis` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Perpetual over spot, minus 1, fraction.',
    `exchange_divergence_bps` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Largest divergence between venues, basis points.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Feature vector of a symbol at the close of a bar; a feature is null until it has the history that it needs.';

CREATE TABLE IF NOT EXISTS quantum.market_regime
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue whose bars decide it.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `regime` LowCardinality(String) COMMENT 'Regime; WARMING_UP only until the history suffices.',
    `since_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When this regime began, microseconds since the epoch, UTC.',
    `trend_score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Drift over the window divided by its standard error; null while warming up.',
    `volatility_ratio` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Short volatility over long volatility; null while warming up.',
    `spread_bps` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Spread over mid, basis points; null without a quote.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Regime of a symbol, written when it changes and with every bar of the feature interval.';

CREATE TABLE IF NOT EXISTS quantum.signal_score
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `model` LowCardinality(String) COMMENT 'Name of the model.',
    `model_version` String CODEC(ZSTD(1)) COMMENT 'Version of the artefact.',
    `model_sha256` String CODEC(ZSTD(1)) COMMENT 'SHA-256 of the artefact\'s model file.',
    `features_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the feature vector.',
    `horizon_s` Int32 CODEC(ZSTD(1)) COMMENT 'Horizon of the prediction, seconds.',
    `p_down` Float64 CODEC(ZSTD(1)) COMMENT 'Probability of a fall beyond the threshold, 0 to 1.',
    `p_flat` Float64 CODEC(ZSTD(1)) COMMENT 'Probability of neither, 0 to 1.',
    `p_up` Float64 CODEC(ZSTD(1)) COMMENT 'Probability of a rise beyond the threshold, 0 to 1.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'One model\'s calibrated probabilities for a symbol.';

CREATE TABLE IF NOT EXISTS quantum.ai_signal_generated
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue that the signal is for.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `direction` LowCardinality(String) COMMENT 'Direction expected over the horizon.',
    `confidence` Float64 CODEC(ZSTD(1)) COMMENT 'Probability of the direction, 0 to 1; 0 below quorum.',
    `p_down` Float64 CODEC(ZSTD(1)) COMMENT 'Weighted probability of a fall, 0 to 1.',
    `p_flat` Float64 CODEC(ZSTD(1)) COMMENT 'Weighted probability of neither, 0 to 1.',
    `p_up` Float64 CODEC(ZSTD(1)) COMMENT 'Weighted probability of a rise, 0 to 1.',
    `horizon_s` Int32 CODEC(ZSTD(1)) COMMENT 'Horizon, seconds.',
    `members` Array(Tuple(model LowCardinality(String), version Nullable(String), status LowCardinality(String), weight Float64, reason Nullable(String))) COMMENT 'Every configured model, used or left out; model: Name of the model, for example xgb; version: Version of the artefact that answered; null where none is loaded; status: Whether the model took part; weight: Weight in the ensemble, fraction of 1; 0 where left out; reason: Why it was left out; null where it was used.',
    `quorum` Int32 CODEC(ZSTD(1)) COMMENT 'Models needed.',
    `reason` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Why there is no direction; null where there is one.',
    `features_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the feature vector.',
    `regime` LowCardinality(String) COMMENT 'Regime at the time.',
    `price` Float64 CODEC(ZSTD(1)) COMMENT 'Close of the bar behind it, quote currency.',
    `atr` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ATR at the time, quote currency.',
    `directional_bias` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Share of the more frequent direction among the symbol\'s last 100 signals with a direction, where it is over 0.70 of at least 20: a bias to look into; null otherwise.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'The ensemble\'s signal; below quorum the direction is FLAT and reason says so.';

CREATE TABLE IF NOT EXISTS quantum.ai_decision_made
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue to trade at.',
    `action` LowCardinality(String) COMMENT 'The decision.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Code of the reason, for example CONFIDENCE_TOO_LOW or ACCEPTED.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `strategy_weight` Float64 CODEC(ZSTD(1)) COMMENT 'Weight of the strategy, fraction of 1.',
    `signal_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the signal.',
    `features_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the feature vector.',
    `confidence` Float64 CODEC(ZSTD(1)) COMMENT 'Probability of the direction, 0 to 1.',
    `horizon_s` Int32 CODEC(ZSTD(1)) COMMENT 'Horizon of the signal, seconds.',
    `policy_version` Int64 CODEC(ZSTD(1)) COMMENT 'Version of the policy it was taken under.',
    `mode` LowCardinality(String) COMMENT 'Mode of the policy.',
    `regime` LowCardinality(String) COMMENT 'Regime at the time.',
    `price` Float64 CODEC(ZSTD(1)) COMMENT 'Price of the signal, quote currency.',
    `atr` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'ATR at the time, quote currency.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Whether a signal becomes an entry, and why.';

CREATE TABLE IF NOT EXISTS quantum.sizing_decided
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `decision_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the decision.',
    `signal_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the signal.',
    `features_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the feature vector.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `side` LowCardinality(String) COMMENT 'Side of the entry.',
    `policy_version` Int64 CODEC(ZSTD(1)) COMMENT 'Version of the policy that sized it.',
    `equity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Equity of the account, quote currency.',
    `risk_fraction` Float64 CODEC(ZSTD(1)) COMMENT 'Risk of the trade, fraction of equity, before scaling.',
    `confidence` Float64 CODEC(ZSTD(1)) COMMENT 'Confidence of the signal, 0 to 1.',
    `confidence_scale` Float64 CODEC(ZSTD(1)) COMMENT 'Scale of the risk by confidence.',
    `rl_scale` Float64 CODEC(ZSTD(1)) COMMENT 'Scale of the risk by the reinforcement-learned sizer, 0.25 to 1.5.',
    `stop_distance` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Distance of the initial stop, quote currency.',
    `stop_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Initial stop, quote currency.',
    `risk_amount` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Money lost at the stop (1 R), quote currency.',
    `atr_value` Float64 CODEC(ZSTD(1)) COMMENT 'ATR, quote currency: first leverage input.',
    `volatility_factor` Float64 CODEC(ZSTD(1)) COMMENT 'Short over long volatility: second leverage input.',
    `exchange_divergence` Float64 CODEC(ZSTD(1)) COMMENT 'Divergence between venues, basis points: third leverage input.',
    `funding_rate` Float64 CODEC(ZSTD(1)) COMMENT 'Funding rate, fraction: fourth leverage input.',
    `regime` LowCardinality(String) COMMENT 'Regime: fifth leverage input.',
    `raw_leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Leverage before the caps, 5 to 80.',
    `cap_policy` Float64 CODEC(ZSTD(1)) COMMENT 'Cap of the policy.',
    `cap_venue_bracket` Float64 CODEC(ZSTD(1)) COMMENT 'Cap of the venue\'s bracket at this notional.',
    `cap_liquidation_distance` Float64 CODEC(ZSTD(1)) COMMENT 'Cap that keeps liquidation two stops away.',
    `leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Final leverage.',
    `binding_cap` LowCardinality(String) COMMENT 'The cap that bound it.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity, base asset, rounded down to the lot.',
    `price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Price that the size is computed with, quote currency.',
    `notional` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity times price, quote currency.',
    `margin` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Notional over leverage, quote currency.',
    `bid_price` Float64 CODEC(ZSTD(1)) COMMENT 'Best bid, quote currency.',
    `bid_quantity` Float64 CODEC(ZSTD(1)) COMMENT 'Quantity at the best bid, base asset.',
    `ask_price` Float64 CODEC(ZSTD(1)) COMMENT 'Best ask, quote currency.',
    `ask_quantity` Float64 CODEC(ZSTD(1)) COMMENT 'Quantity at the best ask, base asset.',
    `quote_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Time of that quote, microseconds since the epoch, UTC.',
    `mark_price` Float64 CODEC(ZSTD(1)) COMMENT 'Mark price, quote currency.',
    `next_funding_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Time of the coming funding, microseconds since the epoch, UTC.',
    `rules` Tuple(tick_size Nullable(Decimal(38, 18)), lot_size Nullable(Decimal(38, 18)), min_quantity Nullable(Decimal(38, 18)), max_quantity Nullable(Decimal(38, 18)), min_notional Nullable(Decimal(38, 18)), max_leverage Nullable(Float64), maintenance_rate Nullable(Float64)) COMMENT 'What the venue accepts for the symbol; null where the instrument is unknown, which denies the entry; tick_size: Step of prices, quote currency; lot_size: Step of quantities, base asset; min_quantity: Least quantity of an order, base asset; max_quantity: Most quantity of a market order, base asset; min_notional: Least notional of an order, quote currency; max_leverage: Most leverage that the venue\'s first bracket allows; maintenance_rate: Maintenance margin rate of the first bracket, fraction of notional.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Size and leverage of an entry, with the inputs, every cap, and the market that the checks look at.';

CREATE TABLE IF NOT EXISTS quantum.trade_intent
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `origin` LowCardinality(String) COMMENT 'Entry, exit or manual.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `side` LowCardinality(String) COMMENT 'Side.',
    `order_type` LowCardinality(String) COMMENT 'Order type.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity, base asset.',
    `limit_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Limit price, quote currency; null for a market order.',
    `reduce_only` Bool COMMENT 'Whether it may only reduce a position.',
    `leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Leverage to set at the venue.',
    `stop_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Initial stop of an entry, quote currency.',
    `risk_amount` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Money at risk (1 R), quote currency; null for an exit.',
    `reference_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Price when it was decided, quote currency; slippage is measured against it.',
    `leg` Int32 CODEC(ZSTD(1)) COMMENT 'Number of the order within its signal or exit, from 0.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal; null where there is none.',
    `sizing_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the sizing; null for an exit.',
    `position_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Position that an exit belongs to; null for an entry.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Code of the reason, for example ENTRY or TRAILING.',
    `policy_version` Int64 CODEC(ZSTD(1)) COMMENT 'Version of the policy.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'An order that was allowed, before it becomes a command; event_id is the intent id.';

CREATE TABLE IF NOT EXISTS quantum.risk_events
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(Nullable(String)) COMMENT 'Symbol; null for the whole account.',
    `kind` LowCardinality(String) COMMENT 'Kind of event.',
    `code` LowCardinality(String) COMMENT 'The check that spoke; UNKNOWN where none did.',
    `sizing_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the sizing that was denied.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal behind it.',
    `detail` String CODEC(ZSTD(1)) COMMENT 'What was found and what was allowed, in words.',
    `value` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'What was found, in the unit of the limit.',
    `limit` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'What is allowed, in the unit of the limit.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (account, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A denial, a change of mode or a breached limit.';

CREATE TABLE IF NOT EXISTS quantum.order_command
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `client_order_id` String CODEC(ZSTD(1)) COMMENT 'Client order id, a hash of strategy, symbol, signal or position, and leg; at most 36 characters.',
    `action` LowCardinality(String) COMMENT 'Submit or cancel.',
    `side` LowCardinality(String) COMMENT 'Side.',
    `order_type` LowCardinality(String) COMMENT 'Order type.',
    `time_in_force` LowCardinality(String) COMMENT 'Time in force.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity, base asset.',
    `limit_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Limit price, quote currency; null for a market order.',
    `reduce_only` Bool COMMENT 'Whether it may only reduce a position.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal; null where there is none.',
    `intent_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the intent.',
    `position_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Position that an exit belongs to; null for an entry.',
    `origin` LowCardinality(String) COMMENT 'Entry, exit or manual.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Code of the reason.',
    `leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Leverage to trade with.',
    `stop_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Initial stop of an entry, quote currency.',
    `risk_amount` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Money at risk (1 R), quote currency; null for an exit.',
    `reference_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Price when it was decided, quote currency.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'What the order gateway is to do at the venue; on the log before anything is sent.';

CREATE TABLE IF NOT EXISTS quantum.execution_result
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `client_order_id` String CODEC(ZSTD(1)) COMMENT 'Client order id.',
    `venue_order_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'The venue\'s order id; null where it was never accepted.',
    `status` LowCardinality(String) COMMENT 'State of the order after this event.',
    `side` LowCardinality(String) COMMENT 'Side.',
    `reduce_only` Bool COMMENT 'Whether it may only reduce a position.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity ordered, base asset.',
    `filled_quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity filled so far, base asset.',
    `average_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Average price of what is filled, quote currency.',
    `trade_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'The venue\'s id of this fill; null where the event is no fill.',
    `fill_quantity` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Quantity of this fill, base asset.',
    `fill_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Price of this fill, quote currency.',
    `commission` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Commission of this fill, in commission_asset.',
    `commission_asset` LowCardinality(Nullable(String)) COMMENT 'Asset that the commission is paid in.',
    `liquidity` LowCardinality(String) COMMENT 'Whether this fill made or took liquidity.',
    `error_code` Nullable(String) CODEC(ZSTD(1)) COMMENT 'The venue\'s error code; null without an error.',
    `error_message` Nullable(String) CODEC(ZSTD(1)) COMMENT 'The venue\'s error text; null without an error.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal; null where there is none.',
    `intent_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the intent.',
    `position_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Position that an exit belongs to; null for an entry.',
    `origin` LowCardinality(String) COMMENT 'Entry, exit or manual.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Code of the reason.',
    `leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Leverage to trade with.',
    `stop_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Initial stop of an entry, quote currency.',
    `risk_amount` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Money at risk (1 R), quote currency; null for an exit.',
    `reference_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Price when it was decided, quote currency.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'What became of an order: accepted, filled in part or whole, cancelled, rejected.';

CREATE TABLE IF NOT EXISTS quantum.account_balance
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `asset` LowCardinality(String) COMMENT 'Asset, for example USDT.',
    `wallet_balance` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Balance without unrealised profit, in the asset.',
    `available_balance` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Free for new margin, in the asset.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (account, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Balance of an account at a venue.';

CREATE TABLE IF NOT EXISTS quantum.portfolio_position
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `position_id` String CODEC(ZSTD(1)) COMMENT 'Id of the position: client order id of its first entry.',
    `side` LowCardinality(String) COMMENT 'Direction.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity, base asset, not negative.',
    `entry_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Average entry price, quote currency.',
    `mark_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Price that unrealised profit is computed with, quote currency.',
    `leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Leverage at the venue.',
    `margin` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Initial margin, quote currency.',
    `unrealised_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Unrealised profit, quote currency.',
    `realised_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Realised profit before fees, quote currency.',
    `fees` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Fees paid, quote currency.',
    `opened_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Time of the first fill, microseconds since the epoch, UTC.',
    `initial_quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Largest quantity held, base asset.',
    `initial_stop` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Initial stop, quote currency.',
    `risk_amount` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Money at risk at the initial stop (1 R), quote currency.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal that opened it.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'State of one position; side FLAT once closed.';

CREATE TABLE IF NOT EXISTS quantum.portfolio_snapshot
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `equity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Balance plus unrealised profit, quote currency.',
    `balance` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Balance, quote currency.',
    `available` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Equity less margin in use, quote currency.',
    `unrealised_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Unrealised profit, quote currency.',
    `realised_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Realised profit before fees since the start, quote currency.',
    `fees` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Fees since the start, quote currency.',
    `daily_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Change of equity since the start of the UTC day, quote currency.',
    `peak_equity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Highest equity so far, quote currency.',
    `drawdown` Float64 CODEC(ZSTD(1)) COMMENT 'Distance of equity from its peak, fraction of the peak.',
    `open_positions` Int32 CODEC(ZSTD(1)) COMMENT 'Positions open.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (account, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'State of the whole account.';

CREATE TABLE IF NOT EXISTS quantum.portfolio_exposure
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `gross` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Sum of absolute notionals, quote currency.',
    `net` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Sum of signed notionals, quote currency.',
    `margin` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Initial margin in use, quote currency.',
    `symbols` Array(Tuple(symbol LowCardinality(String), notional Decimal(38, 18))) COMMENT 'Exposure by symbol; symbols without a position are left out; symbol: Symbol; notional: Signed notional at the mark price, quote currency.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (account, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Exposure of the account at mark prices.';

CREATE TABLE IF NOT EXISTS quantum.ai_exit_decision
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `position_id` String CODEC(ZSTD(1)) COMMENT 'Position.',
    `action` LowCardinality(String) COMMENT 'What is done.',
    `reason` LowCardinality(String) COMMENT 'Why.',
    `price` Float64 CODEC(ZSTD(1)) COMMENT 'Price that it was decided on, quote currency.',
    `stop_price` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Stop in force, quote currency; null while the position has none.',
    `r_multiple` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Unrealised profit over the initial risk; null while the risk is not known.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity to close, base asset; 0 where only the stop moves.',
    `held_s` Float64 CODEC(ZSTD(1)) COMMENT 'Time held so far, seconds.',
    `regime` LowCardinality(String) COMMENT 'Regime at the time.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'What the exit brain decided for a position; written when it acts or moves the stop.';

CREATE TABLE IF NOT EXISTS quantum.trade_closed
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `position_id` String CODEC(ZSTD(1)) COMMENT 'Position.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal that opened it.',
    `side` LowCardinality(String) COMMENT 'Direction of the position.',
    `quantity` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Quantity traded in, base asset.',
    `entry_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Average entry price, quote currency.',
    `exit_price` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Average exit price, quote currency.',
    `opened_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Time of the first fill, microseconds since the epoch, UTC.',
    `closed_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Time of the last fill, microseconds since the epoch, UTC.',
    `held_s` Float64 CODEC(ZSTD(1)) COMMENT 'Time held, seconds.',
    `gross_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Profit before fees, quote currency.',
    `fees` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Fees of all its fills, quote currency.',
    `net_pnl` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'Profit after fees, quote currency.',
    `risk_amount` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Money at risk at the initial stop (1 R), quote currency.',
    `r_multiple` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Net profit over risk_amount; null where there was no stop.',
    `decided_r` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Unrealised profit over the initial risk when the last exit was decided, before fees; less r_multiple it is what leaving cost, in R. Null where no decision was seen.',
    `entry_slippage_bps` Float64 CODEC(ZSTD(1)) COMMENT 'Average entry price against the reference, basis points, positive is worse.',
    `exit_slippage_bps` Float64 CODEC(ZSTD(1)) COMMENT 'Average exit price against the reference, basis points, positive is worse.',
    `exit_reason` LowCardinality(String) COMMENT 'Why the position was left, of the last exit.',
    `leverage` Float64 CODEC(ZSTD(1)) COMMENT 'Leverage at the venue.',
    `entry_orders` Array(String) COMMENT 'Client order ids that opened it.',
    `exit_orders` Array(String) COMMENT 'Client order ids that closed it.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A round trip, from the first fill to flat.';

CREATE TABLE IF NOT EXISTS quantum.rl_reward
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `position_id` String CODEC(ZSTD(1)) COMMENT 'Position.',
    `signal_id` Nullable(String) CODEC(ZSTD(1)) COMMENT 'event_id of the signal that opened it.',
    `strategy` LowCardinality(String) COMMENT 'Name of the strategy.',
    `reward` Float64 CODEC(ZSTD(1)) COMMENT 'Sum of the parts.',
    `profit_part` Float64 CODEC(ZSTD(1)) COMMENT 'Net profit in R, within -3 to 3.',
    `drawdown_part` Float64 CODEC(ZSTD(1)) COMMENT 'Penalty for the drawdown of the account, not positive.',
    `holding_part` Float64 CODEC(ZSTD(1)) COMMENT 'Penalty for time held beyond the horizon, not positive.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Reward of a closed trade.';

CREATE TABLE IF NOT EXISTS quantum.learning_sample
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `model` LowCardinality(String) COMMENT 'Name of the model.',
    `version` String CODEC(ZSTD(1)) COMMENT 'Version of the artefact that answered; empty where none was loaded.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `kind` LowCardinality(String) COMMENT 'PREDICTION: a prediction whose horizon has passed. TRADE: a closed trade and its reward. DRIFT: the model was left out because it has drifted.',
    `cause_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the score, reward or signal behind it.',
    `reward` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Reward of the trade; null for other kinds.',
    `detail` String CODEC(ZSTD(1)) COMMENT 'What happened, in words.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (symbol, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'One thing that counts towards a model\'s next training: a labelled row, or a sign of drift.';

CREATE TABLE IF NOT EXISTS quantum.model_retrain
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `model` LowCardinality(String) COMMENT 'Name of the model.',
    `why` String CODEC(ZSTD(1)) COMMENT 'Code of the reason: SCHEDULE, DRIFT or MANUAL.',
    `detail` String CODEC(ZSTD(1)) COMMENT 'The reason in words.',
    `samples` Int32 CODEC(ZSTD(1)) COMMENT 'New labelled samples since the last training.',
    `window_start_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Start of the data to train on, microseconds since the epoch, UTC.',
    `window_end_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'End of the data to train on, microseconds since the epoch, UTC.',
    `champion_version` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Version in force, which the new one is measured against; null where there is none.',
    `champion_sha256` Nullable(String) CODEC(ZSTD(1)) COMMENT 'SHA-256 of the model file in force; null where there is none.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (model, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A request to train a model.';

CREATE TABLE IF NOT EXISTS quantum.model_training
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `model` LowCardinality(String) COMMENT 'Name of the model.',
    `run_id` String CODEC(ZSTD(1)) COMMENT 'Id of the run: event_id of the request.',
    `phase` LowCardinality(String) COMMENT 'Phase.',
    `version` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Version of the artefact; null until completed.',
    `sha256` Nullable(String) CODEC(ZSTD(1)) COMMENT 'SHA-256 of the artefact\'s model file; null until completed.',
    `samples` Int32 CODEC(ZSTD(1)) COMMENT 'Rows trained on; 0 until known.',
    `metrics` Map(String, Float64) COMMENT 'Out-of-sample metrics: log_loss, accuracy, brier; empty until completed.',
    `detail` String CODEC(ZSTD(1)) COMMENT 'What happened, in words.',
    `horizon_s` Nullable(Int32) CODEC(ZSTD(1)) COMMENT 'Horizon of the trained model\'s predictions, seconds; null until completed.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (model, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A training run: started, completed or failed.';

CREATE TABLE IF NOT EXISTS quantum.model_active
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `model` LowCardinality(String) COMMENT 'Name of the model.',
    `version` String CODEC(ZSTD(1)) COMMENT 'Version of the artefact: the name of its folder.',
    `sha256` String CODEC(ZSTD(1)) COMMENT 'SHA-256 of the artefact\'s model file; a worker refuses a file with another.',
    `role` LowCardinality(String) COMMENT 'Role of this version.',
    `author` String CODEC(ZSTD(1)) COMMENT 'Who or what made it active.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Why.',
    `horizon_s` Nullable(Int32) CODEC(ZSTD(1)) COMMENT 'Horizon of its predictions, seconds; null where the writer did not know it.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (model, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Which version of a model serves; the newest record of a model is in force.';

CREATE TABLE IF NOT EXISTS quantum.policy
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `version` Int64 CODEC(ZSTD(1)) COMMENT 'Version; grows by one a change.',
    `author` String CODEC(ZSTD(1)) COMMENT 'Who or what changed it.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Why.',
    `mode` LowCardinality(String) COMMENT 'What the platform may do.',
    `stance` LowCardinality(String) COMMENT 'Stance of the CEO brain.',
    `emergency_stop` Bool COMMENT 'Whether the emergency stop is on; only a person takes it off.',
    `universe` Array(String) COMMENT 'Symbols that may be entered.',
    `strategies` Array(Tuple(name String, weight Float64)) COMMENT 'Strategies that may be entered, with weights; name: Name of the strategy; weight: Weight of the strategy\'s sizes, fraction of 1.',
    `required_components` Array(String) COMMENT 'Components that must be healthy for an entry.',
    `limits` Tuple(max_order_notional Decimal(38, 18), max_position_notional Decimal(38, 18), max_positions Int32, max_gross_exposure Decimal(38, 18), max_net_exposure Decimal(38, 18), max_concentration Float64, max_leverage Float64, max_daily_trades Int32, max_daily_loss Decimal(38, 18), max_drawdown Float64, max_consecutive_stops Int32, cooldown_s Int32, max_orders_per_minute Int32, max_data_age_ms Int32, max_spread_bps Float64, min_depth_ratio Float64, price_collar_bps Float64, funding_window_s Int32) COMMENT 'Limits in force; max_order_notional: Most notional of one order, quote currency; max_position_notional: Most notional of one position, quote currency; max_positions: Most positions open at once; max_gross_exposure: Most gross exposure, quote currency; max_net_exposure: Most absolute net exposure, quote currency; max_concentration: Largest share of one symbol in the allowed gross exposure, fraction; max_leverage: Most leverage, times equity; max_daily_trades: Most entries in one UTC day; max_daily_loss: Most loss in one UTC day, quote currency; max_drawdown: Most drawdown from the peak of equity, fraction; max_consecutive_stops: Stop-outs in a row that start the cooldown; cooldown_s: Length of the cooldown after stop-outs, seconds; max_orders_per_minute: Most entry orders in a minute; max_data_age_ms: Oldest quote that an entry may rest on, milliseconds; max_spread_bps: Widest spread for an entry, basis points; min_depth_ratio: Least quantity at the touch over the order\'s quantity; price_collar_bps: Farthest that the entry price may be from the mark price, basis points; funding_window_s: No entries this many seconds before funding when it would be paid.',
    `sizing` Tuple(risk_per_trade Float64, stop_atr_mult Float64, min_stop_bps Float64, min_confidence Float64) COMMENT 'Sizing in force; risk_per_trade: Risk of one trade, fraction of equity; stop_atr_mult: Distance of the initial stop, multiple of ATR; min_stop_bps: Least distance of the initial stop, basis points of the price; min_confidence: Least ensemble probability of the direction for an entry.',
    `exits` Tuple(profile String, take_profit_r Array(Float64), take_profit_share Float64, breakeven_r Float64, trail_atr_mult Float64, trail_after_r Float64, time_stop_s Int32, max_risk_r Float64) COMMENT 'Exits in force; profile: Name of the profile: DEFAULT or CHALLENGE; take_profit_r: Ladder of profits at which a share of the position is taken, in R; take_profit_share: Share of the initial quantity closed at each step of the ladder, fraction; breakeven_r: Profit after which the stop moves to the entry price, in R; trail_atr_mult: Distance of the trailing stop, multiple of ATR; trail_after_r: Profit after which the trailing stop is active, in R; time_stop_s: Longest time a position is held, seconds; max_risk_r: Loss at which the position is closed whatever the stop, in R.',
    `base` Tuple(version Nullable(Int64), author Nullable(String), mode LowCardinality(Nullable(String)), stance LowCardinality(Nullable(String)), strategies Array(Tuple(name String, weight Float64)), limits Tuple(max_order_notional Nullable(Decimal(38, 18)), max_position_notional Nullable(Decimal(38, 18)), max_positions Nullable(Int32), max_gross_exposure Nullable(Decimal(38, 18)), max_net_exposure Nullable(Decimal(38, 18)), max_concentration Nullable(Float64), max_leverage Nullable(Float64), max_daily_trades Nullable(Int32), max_daily_loss Nullable(Decimal(38, 18)), max_drawdown Nullable(Float64), max_consecutive_stops Nullable(Int32), cooldown_s Nullable(Int32), max_orders_per_minute Nullable(Int32), max_data_age_ms Nullable(Int32), max_spread_bps Nullable(Float64), min_depth_ratio Nullable(Float64), price_collar_bps Nullable(Float64), funding_window_s Nullable(Int32)), sizing Tuple(risk_per_trade Nullable(Float64), stop_atr_mult Nullable(Float64), min_stop_bps Nullable(Float64), min_confidence Nullable(Float64))) COMMENT 'What the person\'s policy behind this one says, where a brain wrote this one; null where a person wrote it. Compaction may remove that person\'s record, so it travels along; version: Version of the policy that the person wrote; author: The person; mode: Mode that the person set; stance: Stance that the person set; strategies: Strategies and weights that the person set; limits: Limits that the person set; sizing: Sizing that the person set.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (account, event_ts, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'The policy in force for an account; append-only and versioned.';

CREATE TABLE IF NOT EXISTS quantum.policy_audit
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `version` Int64 CODEC(ZSTD(1)) COMMENT 'Version that the change made.',
    `author` String CODEC(ZSTD(1)) COMMENT 'Who or what changed it.',
    `reason` String CODEC(ZSTD(1)) COMMENT 'Why.',
    `changes` Map(String, String) COMMENT 'What changed: field to \'old -> new\'.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (account, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A change of policy, for people.';

CREATE TABLE IF NOT EXISTS quantum.health_events
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `component` LowCardinality(String) COMMENT 'Component: a stage, a connector, the sink or a server.',
    `worker` LowCardinality(String) COMMENT 'Worker process, for example features-0.',
    `state` LowCardinality(String) COMMENT 'State.',
    `detail` String CODEC(ZSTD(1)) COMMENT 'What happened and what is being done, in words.',
    `restarts` Int32 CODEC(ZSTD(1)) COMMENT 'Restarts of this worker so far.',
    `revision` String CODEC(ZSTD(1)) COMMENT 'Git revision that the process runs.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT _partition, max(_offset), count() GROUP BY _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (component, event_ts, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(30)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'A change of a component\'s health.';
