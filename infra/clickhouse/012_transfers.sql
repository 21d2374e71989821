-- Money that moves other than by fills, what reconciliation finds, and funding in positions, snapshots and trades.

ALTER TABLE quantum.execution_result ADD COLUMN IF NOT EXISTS `realised_pnl` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Profit before fees that the fill realised, as the venue booked it, quote currency; null where it is no fill or the venue does not say.' AFTER `liquidity`;

CREATE TABLE IF NOT EXISTS quantum.account_transfer
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `asset` LowCardinality(String) COMMENT 'Asset that moved, for example USDT.',
    `kind` LowCardinality(String) COMMENT 'What moved the money.',
    `symbol` LowCardinality(String) COMMENT 'Symbol of the position that it belongs to; empty where it belongs to the whole account.',
    `amount` Decimal(38, 18) CODEC(ZSTD(1)) COMMENT 'What the wallet received, in the asset; negative where it paid.',
    `transfer_id` String CODEC(ZSTD(1)) COMMENT 'The venue\'s id of it; unique within its venue_kind.',
    `venue_kind` String CODEC(ZSTD(1)) COMMENT 'The venue\'s own name of the kind.',
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
COMMENT 'Money that moved into or out of an account\'s wallet other than by a fill: funding, insurance, deposits and withdrawals; each once.';

CREATE TABLE IF NOT EXISTS quantum.reconcile_events
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `kind` LowCardinality(String) COMMENT 'What was compared; ROUND is the summary of all that was.',
    `subject` String CODEC(ZSTD(1)) COMMENT 'What differs: client order id, trade id, symbol or asset; the account in a ROUND.',
    `expected` Nullable(String) CODEC(ZSTD(1)) COMMENT 'What the platform has; null where it has nothing of the kind.',
    `found` Nullable(String) CODEC(ZSTD(1)) COMMENT 'What the venue has; null where it has nothing of the kind.',
    `explained` Bool COMMENT 'Whether the difference is accounted for, by something under way or by what was done about it; in a ROUND whether all differences are.',
    `action` LowCardinality(String) COMMENT 'What was done about it.',
    `detail` String CODEC(ZSTD(1)) COMMENT 'What was compared or what is wrong, for a person.',
    `differences` Int32 CODEC(ZSTD(1)) COMMENT 'Differences that are not explained, in a ROUND; 0 in other records.',
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
COMMENT 'What a comparison of the platform with the venue found: one record a round, and one for each difference.';

ALTER TABLE quantum.portfolio_position ADD COLUMN IF NOT EXISTS `funding` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Funding received while it is open, quote currency; negative where it was paid, null in records before it was kept.' AFTER `fees`;

ALTER TABLE quantum.portfolio_snapshot ADD COLUMN IF NOT EXISTS `funding` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Funding received since the ledger began, quote currency; negative where it was paid, null in records before it was kept.' AFTER `fees`;

ALTER TABLE quantum.portfolio_snapshot ADD COLUMN IF NOT EXISTS `transferred` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Other money that moved into the wallet since the ledger began, less what moved out, quote currency: deposits, withdrawals, insurance; null in records before it was kept.' AFTER `funding`;

ALTER TABLE quantum.trade_closed ADD COLUMN IF NOT EXISTS `funding` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Funding received over its life as far as the venue had booked it when it was closed, quote currency; negative where it was paid, null in records before it was kept.' AFTER `fees`;

ALTER TABLE quantum.trade_closed COMMENT COLUMN net_pnl 'Profit after fees and funding, quote currency.';
