-- Dead letters of all topics, and what they come to.

CREATE TABLE IF NOT EXISTS quantum.dead_letters
(
    `topic` LowCardinality(String) COMMENT 'Topic that the record was on.',
    `record_partition` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Partition of that topic; null where the letter does not say it.',
    `record_offset` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Offset of the record there; null where the letter does not say it.',
    `record_ts` Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, UTC; null where it is not said.',
    `stage` LowCardinality(String) COMMENT 'Who could not process it: a stage\'s application id, or the sink.',
    `error` LowCardinality(String) COMMENT 'Type of the error.',
    `message` String CODEC(ZSTD(1)) COMMENT 'Text of the error, at most 1,000 characters.',
    `key` String CODEC(ZSTD(1)) COMMENT 'The record\'s key, as it was.',
    `value` String CODEC(ZSTD(1)) COMMENT 'The record\'s bytes, at most the first 65536.',
    `value_bytes` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Length of the whole record, bytes; null for a tombstone.',
    `headers` Map(String, String) COMMENT 'The record\'s own headers; no UTF-8 is escaped.',
    `replays` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Null for a letter; else this row marks that the letter at this offset was put back.',
    `_partition` UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of the topic that the record was on.',
    `_offset` UInt64 CODEC(DoubleDelta, ZSTD(1)) COMMENT 'Offset of the record in its partition.',
    `_timestamp` DateTime64(3, 'UTC') CODEC(ZSTD(1)) COMMENT 'Kafka\'s time of the record, milliseconds, UTC.',
    `_traceparent` String CODEC(ZSTD(1)) COMMENT 'W3C trace context of the record; empty where it had none.',
    `_causation_id` String CODEC(ZSTD(1)) COMMENT 'event_id of the record that caused this one; empty for the first of a chain.',
    PROJECTION positions (SELECT topic, _partition, max(_offset), count() GROUP BY topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_timestamp)
ORDER BY (topic, _timestamp, _partition, _offset)
TTL toDateTime(_timestamp) + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 20000
COMMENT 'Records that could not be processed or kept, of all topics, and marks of those that were put back.';

CREATE OR REPLACE VIEW quantum.v_dead_letters AS
SELECT
    letters.topic AS topic, stage, error, toDate(letters._timestamp, 'UTC') AS day,
    count() AS letters,
    uniqExact(ifNull(record_partition, -1), ifNull(record_offset, toInt64(letters._offset))) AS records,
    countIf(marks.marked) AS replayed,
    min(letters._timestamp) AS first_ts,
    max(letters._timestamp) AS last_ts,
    argMax(message, letters._offset) AS example
FROM (SELECT * FROM quantum.dead_letters WHERE replays IS NULL) AS letters
LEFT ANY JOIN
(
    SELECT topic, _partition, assumeNotNull(toUInt64(replays)) AS _offset, true AS marked
    FROM quantum.dead_letters
    WHERE replays IS NOT NULL
) AS marks USING (topic, _partition, _offset)
GROUP BY topic, stage, error, day
COMMENT 'Dead letters by topic, who gave the record up, type of the error and UTC day of that.';

ALTER TABLE quantum.v_dead_letters
    COMMENT COLUMN topic 'Topic that the records were on.',
    COMMENT COLUMN stage 'Who could not process them: a stage\'s application id, or the sink.',
    COMMENT COLUMN error 'Type of the error.',
    COMMENT COLUMN day 'UTC day on which they were given up.',
    COMMENT COLUMN letters 'Dead letters, a number.',
    COMMENT COLUMN records 'Records behind them, a number: one that was given up more than once counts once.',
    COMMENT COLUMN replayed 'Letters whose records were put back, a number.',
    COMMENT COLUMN first_ts 'When the first of them was given up, UTC.',
    COMMENT COLUMN last_ts 'When the last of them was given up, UTC.',
    COMMENT COLUMN example 'Text of the newest error.';
