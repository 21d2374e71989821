"""Stage `market`: trades, quotes, bars, funding and instruments from raw frames, and one symbol across venues."""
