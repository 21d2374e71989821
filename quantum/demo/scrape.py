"""Quantiles of the stages' latencies, from the metrics that the workers serve."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from quantum.metrics import addresses

LATENCY = "quantum_stage_latency_seconds"
TIMEOUT_S = 1.0
Buckets = dict[float, float]


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """Return a quantile of a cumulative histogram by linear interpolation within its bucket, as Prometheus does.

    Parameters
    ----------
    buckets
        Upper bound of each bucket to the number of observations up to it; the last bound is infinite.
    q
        The quantile, 0 to 1.

    Returns
    -------
    The quantile in the unit of the bounds; None without observations. Where it falls in the last bucket, its lower bound.
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    rank = q * buckets[bounds[-1]]
    below, lower = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf") or buckets[bound] == below:
                return lower
            return lower + (bound - lower) * (rank - below) / (buckets[bound] - below)
        below, lower = buckets[bound], bound
    return lower


def stage_latencies(folder: Path) -> dict[str, Buckets]:
    """Return each stage's latency histogram, its workers added up; a worker that does not answer is left out.

    Parameters
    ----------
    folder
        Folder where the processes say where their metrics are.
    """
    out: dict[str, Buckets] = defaultdict(lambda: defaultdict(float))
    for _, port in addresses(folder):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT_S) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, OSError):
            continue
        for family in text_string_to_metric_families(text):
            if family.name == LATENCY:
                for sample in family.samples:
                    if sample.name.endswith("_bucket"):
                        out[sample.labels["stage"]][float(sample.labels["le"])] += sample.value
    return {stage: dict(buckets) for stage, buckets in out.items()}
