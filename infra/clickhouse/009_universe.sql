-- How well symbols can be traded, how the universe is chosen from it, and who joined and who left.

ALTER TABLE quantum.policy ADD COLUMN IF NOT EXISTS `universe_rules` Tuple(candidates Array(String), size Nullable(Int32), entry_score Nullable(Float64), exit_score Nullable(Float64), hold_s Nullable(Int32), window_minutes Nullable(Int32), min_observed_s Nullable(Int32), max_age_s Nullable(Int32), volume_weight Nullable(Float64), depth_weight Nullable(Float64), spread_weight Nullable(Float64), volatility_weight Nullable(Float64), data_weight Nullable(Float64), volume_worst Nullable(Float64), volume_best Nullable(Float64), depth_worst Nullable(Float64), depth_best Nullable(Float64), spread_worst Nullable(Float64), spread_best Nullable(Float64), volatility_low Nullable(Float64), volatility_high Nullable(Float64), data_worst Nullable(Float64)) COMMENT 'How the universe brain chooses the universe, set by a person; null where the universe is the person\'s list as it is; candidates: Symbols to choose from, as the person ordered them; size: Most symbols that may be entered at once; entry_score: Score from which a candidate may join, 0 to 1; exit_score: Score below which a symbol must leave, 0 to 1; less than entry_score; hold_s: How long joining or leaving must be justified without a break before it happens, seconds; window_minutes: Minutes that the market is measured over, at most 60; min_observed_s: Seconds that must have been observed before there is a score; max_age_s: Age from which a measurement no longer counts, seconds; volume_weight: Weight of the traded value in the score; depth_weight: Weight of the depth in the score; spread_weight: Weight of the spread in the score; volatility_weight: Weight of the volatility in the score; data_weight: Weight of the data quality in the score; volume_worst: Traded value a minute that scores 0, quote currency; volume_best: Traded value a minute that scores 1, quote currency; depth_worst: Depth that scores 0, quote currency; depth_best: Depth that scores 1, quote currency; spread_worst: Spread that scores 0, basis points; spread_best: Spread that scores 1, basis points; volatility_low: Volatility from which a symbol scores 1, annualised, fraction; below it the score falls in proportion; volatility_high: Volatility up to which a symbol scores 1, annualised, fraction; above it the score falls in inverse proportion; data_worst: Share of good data that scores 0, fraction; all data good scores 1.' AFTER `base`;

CREATE TABLE IF NOT EXISTS quantum.universe_quality
(
    `event_id` String CODEC(ZSTD(1)) COMMENT 'Unique id of this record; deterministic where the record is derived, so that a replay gives the same id.',
    `event_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'Event time, microseconds since the epoch, UTC: when it happened, at the venue or by the clock topic.',
    `ingest_ts` DateTime64(6, 'UTC') CODEC(ZSTD(1)) COMMENT 'When the frame that started this chain of records was received, microseconds since the epoch, UTC.',
    `account` LowCardinality(String) COMMENT 'Account whose rules the score goes by.',
    `venue` LowCardinality(String) COMMENT 'Venue.',
    `symbol` LowCardinality(String) COMMENT 'Symbol.',
    `window_s` Int32 CODEC(ZSTD(1)) COMMENT 'Seconds that the measurements are about, up to event_ts.',
    `observed_s` Int32 CODEC(ZSTD(1)) COMMENT 'Seconds of those with a bar, and with a quote before its end.',
    `quote_volume` Float64 CODEC(ZSTD(1)) COMMENT 'Traded value a minute, mean over the window, quote currency.',
    `traded_share` Float64 CODEC(ZSTD(1)) COMMENT 'Share of the observed seconds with a trade, fraction.',
    `spread_bps` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Quoted spread over mid, mean of the seconds with a fresh quote, basis points; null where there is none.',
    `touch_notional` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Value at the best bid or the best ask, whichever is less, mean of the seconds with a fresh quote, quote currency; null where there is none.',
    `depth_notional` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Value of the best 10 bids or asks, whichever is less, mean of the seconds with a book that is known and fresh, quote currency; null where there is none.',
    `volatility` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Realised volatility of one-minute log returns, annualised over 365 days, fraction; null before two returns.',
    `missing_share` Float64 CODEC(ZSTD(1)) COMMENT 'Share of the seconds that were not observed: no bar, or no quote known of then, fraction.',
    `stale_share` Float64 CODEC(ZSTD(1)) COMMENT 'Share of the observed seconds whose quote was too old for an entry, fraction.',
    `book_stale_share` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Share of the observed seconds whose order book was not known or too old, fraction; null where no book is followed.',
    `lost_share` Float64 CODEC(ZSTD(1)) COMMENT 'Share of the trade ids in the window that are in no bar, fraction; 0 where the venue\'s ids do not count up.',
    `quote_age_s` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Age of the quote that stood at the end of the window, seconds; null where there is none.',
    `volume_score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Score of quote_volume, 0 to 1; null without rules or before enough was observed.',
    `depth_score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Score of depth_notional, or of touch_notional where no book is followed, 0 to 1; null as volume_score.',
    `spread_score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Score of spread_bps, 0 to 1; null as volume_score.',
    `volatility_score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Score of volatility, 0 to 1; null as volume_score.',
    `data_score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Score of the data\'s quality: of what is neither missing, stale nor lost, 0 to 1; null as volume_score.',
    `score` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Weighted geometric mean of the five scores, 0 to 1; null as volume_score.',
    `weakest` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Which of the five lowers the score most, for example spread; null as volume_score, and where nothing lowers it.',
    `policy_version` Int64 CODEC(ZSTD(1)) COMMENT 'Version of the policy whose rules made the score; 0 where there is none.',
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
COMMENT 'How well a symbol can be traded, measured over a window every minute, and the score that an account\'s rules make of it.';

CREATE OR REPLACE VIEW quantum.v_universe AS
SELECT
    moves.event_ts AS event_ts, moves.account AS account, moves.symbol AS symbol, moves.change AS change,
    ifNull(arrayFirstOrNull(note -> startsWith(note, concat(moves.symbol, ' ')), splitByString('; ', moves.reason)), moves.reason) AS why,
    moves.author AS author, moves.policy_version AS policy_version,
    quality.score AS score, quality.weakest AS weakest,
    quality.volume_score AS volume_score, quality.depth_score AS depth_score, quality.spread_score AS spread_score,
    quality.volatility_score AS volatility_score, quality.data_score AS data_score,
    if(quality.event_id = '', NULL, quality.event_ts) AS measured_ts
FROM
(
    SELECT
        account, policy_version, event_ts, author, reason,
        arrayJoin(arrayConcat(
            arrayMap(name -> (name, 'JOINED'), arrayFilter(name -> NOT has(before, name), symbols)),
            arrayMap(name -> (name, 'LEFT'), arrayFilter(name -> NOT has(symbols, name), before))
        )) AS move,
        move.1 AS symbol, move.2 AS change
    FROM
    (
        SELECT *, lagInFrame(symbols) OVER (PARTITION BY account ORDER BY policy_version) AS before
        FROM
        (
            SELECT account, version AS policy_version, event_ts, author, reason, universe AS symbols
            FROM quantum.policy
            ORDER BY account, version, base.version IS NULL DESC, event_ts DESC, _offset DESC
            LIMIT 1 BY account, version
        )
    )
) AS moves
ASOF LEFT JOIN quantum.universe_quality AS quality
    ON quality.account = moves.account AND quality.symbol = moves.symbol AND quality.event_ts <= moves.event_ts
COMMENT 'Who joined the universe and who left it, when, why and by whose change, beside the last measurement of the symbol before; scores 0 to 1.';

ALTER TABLE quantum.v_universe
    COMMENT COLUMN event_ts 'Time of the policy that made the change, UTC.',
    COMMENT COLUMN account 'Account.',
    COMMENT COLUMN symbol 'Symbol.',
    COMMENT COLUMN change 'JOINED or LEFT.',
    COMMENT COLUMN why 'What the reason of the policy says of this symbol; the whole reason where it says nothing of it.',
    COMMENT COLUMN author 'Who or what changed it; universe-brain where it was chosen by scores.',
    COMMENT COLUMN policy_version 'Version of the policy that the change made.',
    COMMENT COLUMN score 'Weighted geometric mean of the five scores, 0 to 1; null where the symbol was not scored.',
    COMMENT COLUMN weakest 'Which of the five lowered the score most.',
    COMMENT COLUMN volume_score 'Score of the traded value, 0 to 1.',
    COMMENT COLUMN depth_score 'Score of the depth, 0 to 1.',
    COMMENT COLUMN spread_score 'Score of the spread, 0 to 1.',
    COMMENT COLUMN volatility_score 'Score of the volatility, 0 to 1.',
    COMMENT COLUMN data_score 'Score of the data\'s quality, 0 to 1.',
    COMMENT COLUMN measured_ts 'Time of that measurement, UTC; null where there is none.';
