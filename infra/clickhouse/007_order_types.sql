-- Orders that wait for a price.

ALTER TABLE quantum.order_command ADD COLUMN IF NOT EXISTS `trigger_price` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'Price that a stop or take-profit order waits for, or that starts a trailing stop, quote currency; null where it waits for none.' AFTER `reference_price`;

ALTER TABLE quantum.order_command ADD COLUMN IF NOT EXISTS `callback_rate` Nullable(Decimal(38, 18)) CODEC(ZSTD(1)) COMMENT 'How far the price must come back from its extreme to trigger a trailing stop, as a fraction; null for other orders.' AFTER `trigger_price`;
