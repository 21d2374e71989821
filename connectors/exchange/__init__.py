"""Venues: market data in, orders out."""
