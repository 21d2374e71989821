"""Coinbase Exchange: public market data of spot."""
