"""What the recorder tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

FRAMES = Counter("quantum_recorder_frames", "Frames written to files.", ["venue"])
BYTES = Counter("quantum_recorder_bytes", "Compressed bytes written to files.")
LEFT_OUT = Counter("quantum_recorder_left_out", "Records that no file can hold: not decodable, or of an unknown venue.")
MISSED = Counter("quantum_recorder_missed", "Offsets that Kafka had deleted before they were recorded.")
LAG = Gauge("quantum_recorder_lag_records", "Records of a partition that are not in the files yet.", ["partition"])
