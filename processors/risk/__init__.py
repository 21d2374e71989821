"""Risk: the size and leverage of an entry, then every pre-trade check."""
