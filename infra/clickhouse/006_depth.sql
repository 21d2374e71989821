-- The best levels of order books, and the features that come of them; what trade ids are at venues that do not count.

CREATE TABLE IF NOT EXISTS quantum.market_depth
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `state` LowCardinality(String) COMMENT 'Whether the levels are the venue\'s; there are none where it is not LIVE.',
    `reason` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Why the book is not LIVE; null where it is.',
    `update_id` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'The venue\'s update id that the levels are of; null where the book is not LIVE.',
    `bid_prices` Array(Float64) COMMENT 'Prices of the best bids, best first, at most 10, quote currency.',
    `bid_quantities` Array(Float64) COMMENT 'Quantities at those bids, base asset (contracts for coin-margined).',
    `ask_prices` Array(Float64) COMMENT 'Prices of the best asks, best first, at most 10, quote currency.',
    `ask_quantities` Array(Float64) COMMENT 'Quantities at those asks, base asset (contracts for coin-margined).',
    `resyncs` Int64 CODEC(ZSTD(1)) COMMENT 'Times that this book has been thrown away, since the symbol has been followed.',
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
TTL toDateTime(_timestamp) + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'The best levels of a venue\'s order book, or why the book is not known.';

ALTER TABLE quantum.features ADD COLUMN IF NOT EXISTS `depth_imbalance_5` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Bid less ask quantity over their sum in the best 5 levels of each side, -1 to 1.' AFTER `exchange_divergence_bps`;

ALTER TABLE quantum.features ADD COLUMN IF NOT EXISTS `depth_imbalance_10` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Bid less ask quantity over their sum in the best 10 levels of each side, -1 to 1.' AFTER `depth_imbalance_5`;

ALTER TABLE quantum.market_tick
    COMMENT COLUMN trade_id 'The venue\'s trade id, which grows by one a trade; 63 bits of its hash where the venue\'s ids are no numbers.';

ALTER TABLE quantum.market_klines
    COMMENT COLUMN first_trade_id 'Id of the first trade; null in an empty bar, and where the venue\'s ids do not count up.',
    COMMENT COLUMN last_trade_id 'Id of the last trade; null in an empty bar, and where the venue\'s ids do not count up.';
