"""Bybit v5: public market data of spot and of USDT-margined perpetuals."""
