"""What ``quantum doctor latency`` says of the stages: those that took records meanwhile, by what came meanwhile."""

from __future__ import annotations

from quantum.cli.doctor import stages
from quantum.demo.scrape import Scrape

INF = float("inf")


def test_only_what_came_meanwhile_counts() -> None:
    before = Scrape({"market": {0.01: 90.0, 0.1: 100.0, INF: 100.0}, "risk": {0.01: 5.0, INF: 5.0}}, {})
    after = Scrape({"market": {0.01: 90.0, 0.1: 300.0, INF: 300.0}, "risk": {0.01: 5.0, INF: 5.0}, "exits": {0.01: 4.0, INF: 4.0}}, {})
    found = stages(before, after)
    assert found.keys() == {"exits", "market"}
    assert (found["market"].count, found["market"].p50_ms, found["market"].p99_ms) == (200, 55.0, 99.1)
    assert found["exits"].count == 4


def test_without_a_platform_there_is_nothing_to_say() -> None:
    assert stages(Scrape({}, {}), Scrape({}, {})) == {}
