-- How well venues are followed, and how far apart they may be.

ALTER TABLE quantum.policy ADD COLUMN IF NOT EXISTS `max_divergence_bps` Float64 DEFAULT 50.0 CODEC(ZSTD(1)) COMMENT 'Largest distance of a venue\'s mid from the consolidated mid at which a symbol may be entered, basis points.' AFTER `universe_rules`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `venue` LowCardinality(Nullable(String)) COMMENT 'Venue whose feed this is about, for example binance-usdm; null where it is about the component itself.' AFTER `revision`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `symbol` LowCardinality(Nullable(String)) COMMENT 'Symbol whose feed this is about; null where it is about the whole venue or about no venue.' AFTER `venue`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `healthy_symbols` Array(String) COMMENT 'Of a venue, the symbols whose frames can be relied on; empty where it is about a symbol or no venue.' AFTER `symbol`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `unhealthy_symbols` Array(String) COMMENT 'Of a venue, the symbols that are followed and whose frames cannot be relied on; empty where it is about a symbol or no venue.' AFTER `healthy_symbols`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `feed_age_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Time since the newest frame of the symbol, or of any symbol of the venue, milliseconds; null where none has come.' AFTER `unhealthy_symbols`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `gaps` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Times that trades, or changes of the order book, were missing, since the feed began.' AFTER `feed_age_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `resyncs` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Times that an order book was thrown away and asked for anew, since the feed began.' AFTER `gaps`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `reconnects` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'Connections to the venue that ended and were made again, since the feed began.' AFTER `resyncs`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `clock_offset_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'The venue\'s clock minus this host\'s, milliseconds; null where it was not read.' AFTER `reconnects`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `round_trip_p50_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Median time from a REST request to the end of its answer, of the newest requests, milliseconds; null where there is none.' AFTER `clock_offset_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `round_trip_p95_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT '95th percentile of the time from a REST request to the end of its answer, of the newest requests, milliseconds; null where there is none.' AFTER `round_trip_p50_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `round_trip_p99_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT '99th percentile of the time from a REST request to the end of its answer, of the newest requests, milliseconds; null where there is none.' AFTER `round_trip_p95_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `ping_p50_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Median time from a websocket\'s ping to its pong, of the newest pings, milliseconds; null where there is none.' AFTER `round_trip_p99_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `ping_p95_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT '95th percentile of the time from a websocket\'s ping to its pong, of the newest pings, milliseconds; null where there is none.' AFTER `ping_p50_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `ping_p99_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT '99th percentile of the time from a websocket\'s ping to its pong, of the newest pings, milliseconds; null where there is none.' AFTER `ping_p95_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `delay_p50_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Median time from the venue\'s time of an event to its receipt by the venue\'s clock, of the newest frames, milliseconds; null where there is none.' AFTER `ping_p99_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `delay_p95_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT '95th percentile of the time from the venue\'s time of an event to its receipt by the venue\'s clock, of the newest frames, milliseconds; null where there is none.' AFTER `delay_p50_ms`;

ALTER TABLE quantum.health_events ADD COLUMN IF NOT EXISTS `delay_p99_ms` Nullable(Float64) CODEC(ZSTD(1)) COMMENT '99th percentile of the time from the venue\'s time of an event to its receipt by the venue\'s clock, of the newest frames, milliseconds; null where there is none.' AFTER `delay_p95_ms`;

ALTER TABLE quantum.health_events MODIFY COMMENT 'A change of a component\'s health; of a venue also, every few seconds, how well it is followed.';
