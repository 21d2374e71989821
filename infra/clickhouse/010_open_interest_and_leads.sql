-- Open interest, who leads whom across venues, and the features that come of order flow and open interest.

ALTER TABLE quantum.market_funding ADD COLUMN IF NOT EXISTS `open_interest` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Open interest, base asset (contracts for coin-margined), as the venue said it last; null where it has not said any.' AFTER `next_funding_ts`;

ALTER TABLE quantum.market_funding ADD COLUMN IF NOT EXISTS `open_interest_ts` Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)) COMMENT 'When that open interest held, by the venue, microseconds since the epoch, UTC; null where there is none.' AFTER `open_interest`;

ALTER TABLE quantum.exchange_normalized ADD COLUMN IF NOT EXISTS `lead_venue` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Venue whose mid moves first, over the last minutes; null where none does or too little is known.' AFTER `stale_venues`;

ALTER TABLE quantum.exchange_normalized ADD COLUMN IF NOT EXISTS `lag_venue` Nullable(String) CODEC(ZSTD(1)) COMMENT 'Venue that follows it most closely; null where lead_venue is.' AFTER `lead_venue`;

ALTER TABLE quantum.exchange_normalized ADD COLUMN IF NOT EXISTS `lead_ms` Nullable(Int64) CODEC(ZSTD(1)) COMMENT 'How much earlier lead_venue moves than lag_venue, milliseconds, in steps of 50; 0 where by less than a step, or, without a lead_venue, where they move together; null where too little is known.' AFTER `lag_venue`;

ALTER TABLE quantum.exchange_normalized ADD COLUMN IF NOT EXISTS `lead_correlation` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Correlation of the two mids\' returns at that lag, 0 to 1; null where lead_ms is.' AFTER `lead_ms`;

ALTER TABLE quantum.features ADD COLUMN IF NOT EXISTS `macd` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'MACD line over the close, basis points: average(12) less average(26) of the closes.' AFTER `depth_imbalance_10`;

ALTER TABLE quantum.features ADD COLUMN IF NOT EXISTS `order_flow_imbalance` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Order flow at the best prices during the bar (Cont, Kukanov and Stoikov 2014) over the mean depth at the touch; positive where bids grew or asks shrank.' AFTER `macd`;

ALTER TABLE quantum.features ADD COLUMN IF NOT EXISTS `open_interest_change` Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'Open interest over that 20 bars before, minus 1, fraction; null where the venue says none.' AFTER `order_flow_imbalance`;
