"""What the order gateway tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ROUNDS = Counter(
    "quantum_orders_reconciliations", "Comparisons of the platform with the venue, by whether they could be made.", ["outcome"]
)
UNEXPLAINED = Gauge("quantum_orders_unexplained_differences", "Differences between the platform and the venue that nothing explains.")
