"""What the sink tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("quantum_sink_rows", "Rows stored.", ["table"])
BATCHES = Counter("quantum_sink_batches", "Flushes of one partition.", ["table"])
DEAD_LETTERS = Counter("quantum_sink_dead_letters", "Records that could not be kept.", ["topic"])
TROUBLES = Counter("quantum_sink_troubles", "Times that the store was away, another sink wrote a partition, or a column was missing.")
HELD = Gauge("quantum_sink_held_partitions", "Partitions that wait: their table lacks a column, or their topic ends before it.")
FLUSH_SECONDS = Histogram(
    "quantum_sink_flush_seconds",
    "Time of one flush: insert and read back.",
    ["table"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
LAG = Gauge("quantum_sink_lag_records", "Records on the topic that are not in the table yet.", ["topic", "partition"])
