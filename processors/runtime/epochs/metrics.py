"""What a worker tells Prometheus.

====================================  =========  ======================================================
``quantum_records_in_total``          counter    records taken from a topic by committed epochs
``quantum_records_out_total``         counter    records written to a topic, changelogs included
``quantum_records_retried_total``     counter    records dispatched again after a failure
``quantum_records_dead_total``        counter    records written to a dead-letter topic
``quantum_epoch_records``             histogram  records of an epoch
``quantum_epoch_seconds``             histogram  from the first dispatch of an epoch to its end, without the commit
``quantum_commit_seconds``            histogram  from the begin of a transaction to its answer
``quantum_lag_records``               gauge      records of a partition that are not committed yet
``quantum_restore_seconds``           gauge      duration of the last restore
``quantum_restore_rows``              gauge      changelog records that it read
``quantum_aborts_total``              counter    epochs that were dropped or repeated, by cause
====================================  =========  ======================================================
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SIZES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The runtime's metrics in one registry; every sample is labelled with the application's id."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records_in = Counter(
            "quantum_records_in", "Records taken from a topic by committed epochs.", ("app", "topic"), registry=registry
        )
        self.records_out = Counter(
            "quantum_records_out", "Records written to a topic, changelogs included.", ("app", "topic"), registry=registry
        )
        self.retried = Counter("quantum_records_retried", "Records dispatched again after a failure.", ("app",), registry=registry)
        self.dead = Counter("quantum_records_dead", "Records written to a dead-letter topic.", ("app", "topic", "error"), registry=registry)
        self.epoch_records = Histogram("quantum_epoch_records", "Records of an epoch.", ("app",), buckets=_SIZES, registry=registry)
        self.epoch_seconds = Histogram(
            "quantum_epoch_seconds", "Duration of an epoch without its commit.", ("app",), buckets=_SECONDS, registry=registry
        )
        self.commit_seconds = Histogram(
            "quantum_commit_seconds", "Duration of a transaction.", ("app",), buckets=_SECONDS, registry=registry
        )
        self.lag = Gauge(
            "quantum_lag_records", "Records of a partition that are not committed yet.", ("app", "topic", "partition"), registry=registry
        )
        self.restore_seconds = Gauge("quantum_restore_seconds", "Duration of the last restore.", ("app",), registry=registry)
        self.restore_rows = Gauge("quantum_restore_rows", "Changelog records that the last restore read.", ("app",), registry=registry)
        self.aborts = Counter("quantum_aborts", "Epochs that were dropped or repeated.", ("app", "cause"), registry=registry)


_BY_REGISTRY: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()


def metrics_of(registry: CollectorRegistry | None) -> Metrics:
    """Return the metrics of a registry, the process's own without one; applications of a process share them."""
    chosen = REGISTRY if registry is None else registry
    if chosen not in _BY_REGISTRY:
        _BY_REGISTRY[chosen] = Metrics(chosen)
    return _BY_REGISTRY[chosen]
