"""Campaigns of faults against the exactly-once runtime: ``python -m tests.consistency.chaos``."""
