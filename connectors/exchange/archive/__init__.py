"""Binance's public data archives: daily and monthly files of trades, aggregate trades and klines, as CSV, zipped or not."""
