"""Binance: signed REST and websockets of spot, USD-margined and COIN-margined futures."""
