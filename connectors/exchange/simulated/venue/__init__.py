"""Accounts at the venue: latency, triggers, user stream."""
