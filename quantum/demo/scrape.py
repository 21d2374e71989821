"""Latencies and throughput of the stages, from the metrics that the workers serve."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from processors.app import application_id
from quantum.metrics import addresses

LATENCY = "quantum_stage_latency_seconds"
TAKEN = "quantum_records_in_total"
STORED = "quantum_sink_rows_total"
APPLICATION_PREFIX = application_id("")
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


@dataclass(frozen=True, slots=True)
class Scrape:
    """What the workers' metrics say at one moment.

    Attributes
    ----------
    latency
        Latency histogram by stage, its workers added up: upper bound, seconds, to observations up to it.
    taken
        Records taken in by stage; rows stored by the sink.
    """

    latency: dict[str, Buckets]
    taken: dict[str, float]

    def since(self, before: Scrape) -> dict[str, Buckets]:
        """Return the latency histograms of what came after an earlier moment.

        A worker that was restarted since counts from zero again; a stage with less now than before is given as it is now.
        """
        out = {}
        for stage, buckets in self.latency.items():
            earlier = before.latency.get(stage, {})
            later = {bound: count - earlier.get(bound, 0.0) for bound, count in buckets.items()}
            out[stage] = later if min(later.values(), default=0.0) >= 0 else buckets
        return out


def scrape(folder: Path) -> Scrape:
    """Return what the metrics of all processes say; one that does not answer is left out.

    Parameters
    ----------
    folder
        Folder where the processes say where their metrics are.
    """
    latency: dict[str, Buckets] = defaultdict(lambda: defaultdict(float))
    taken: dict[str, float] = defaultdict(float)
    for _, port in addresses(folder):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT_S) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, OSError):
            continue
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"{LATENCY}_bucket":
                    latency[sample.labels["stage"]][float(sample.labels["le"])] += sample.value
                elif sample.name == TAKEN:
                    taken[sample.labels["app"].removeprefix(APPLICATION_PREFIX)] += sample.value
                elif sample.name == STORED:
                    taken["sink"] += sample.value
    return Scrape({stage: dict(buckets) for stage, buckets in latency.items()}, dict(taken))
