"""Metrics of how well venues are followed."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

AGE = Gauge("quantum_feed_age_seconds", "Time since the last frame of a symbol's channel.", ["venue", "symbol", "channel"])
HEALTHY = Gauge("quantum_feed_healthy", "Whether a symbol's frames can be relied on.", ["venue", "symbol"])
GAPS = Counter("quantum_feed_gaps", "Times that trades, or changes of the order book, were missing.", ["venue", "symbol", "of"])
RESYNCS = Counter("quantum_feed_resyncs", "Times that an order book was thrown away and asked for anew.", ["venue", "symbol"])
RECONNECTS = Counter("quantum_feed_reconnects", "Connections that ended and were made again.", ["venue", "cause"])
CLOCK_OFFSET = Gauge("quantum_feed_clock_offset_seconds", "The venue's clock minus this host's.", ["venue"])
DELAY = Histogram(
    "quantum_feed_delay_seconds",
    "From the venue's time of an event to its receipt, by the venue's clock.",
    ["venue", "channel"],
    buckets=_SECONDS,
)
PING = Histogram("quantum_feed_ping_seconds", "From a websocket's ping to its pong.", ["venue"], buckets=_SECONDS)
ROUND_TRIP = Histogram(
    "quantum_venue_round_trip_seconds",
    "From a REST request to the end of its answer, waits for the rate excluded.",
    ["venue"],
    buckets=_SECONDS,
)
