"""Nothing is lost, doubled or reordered, whatever kills or stops the workers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from processors.runtime.faults import POINTS
from tests.consistency import broker, campaign

pytestmark = pytest.mark.stack

_SESSION_S = 6.0


@pytest.mark.parametrize(("agent", "points"), [("event", POINTS), ("batch", ("produced", "offsets", "committed"))])
def test_kills_in_steps_of_the_commit_and_a_zombie(
    bootstrap: str, prefix: str, tmp_path: Path, agent: str, points: tuple[str, ...]
) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    environment = {"PREFIX": prefix, "BOOTSTRAP": bootstrap, "AGENT": agent, "SESSION_TIMEOUT": str(_SESSION_S)}
    feed = campaign.Feed(bootstrap, f"{prefix}-in", rate=3000.0)
    feed.start()
    with campaign.workers(2, environment, tmp_path) as workers:
        for worker in workers:
            worker.await_work()
        for number, point in enumerate(points):
            worker = workers[number % 2]
            worker.kill(next_fault=f"{point}:{20 + number}")
            worker.await_fault(30.0)
        workers[1].kill()
        workers[1].await_work()
        workers[0].stop(_SESSION_S + 2.0)
        count = feed.finish()
        fed = time.monotonic()
        outputs = broker.read(bootstrap, f"{prefix}-out", until=count, limit_s=30.0)
        assert time.monotonic() - fed < 15.0
        assert [worker.status for worker in workers] == [None, None]
        endings = [worker.end() for worker in workers]
    assert campaign.judge(outputs, count) == campaign.Verdict()
    assert [status for status, _ in endings] == [0, 0]
    assert max(seconds for _, seconds in endings) < 3.0
    changelog = broker.read(bootstrap, f"{prefix}-app-counts-changelog", until=campaign.KEYS)
    assert campaign.table_of(changelog) == {str(key): count // campaign.KEYS for key in range(campaign.KEYS)}
    for topic in (f"{prefix}-out", f"{prefix}-app-counts-changelog"):
        assert all(stable == end for stable, end in broker.stable_and_end(bootstrap, topic))


def test_without_transactions_the_same_kills_are_noticed(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    environment = {"PREFIX": prefix, "BOOTSTRAP": bootstrap, "CARELESS": "1"}
    feed = campaign.Feed(bootstrap, f"{prefix}-in", rate=2000.0)
    feed.start()
    with campaign.workers(1, environment, tmp_path) as workers:
        workers[0].await_work()
        for _ in range(2):
            workers[0].kill(next_fault="produced:20")
            workers[0].await_fault(30.0)
        count = feed.finish()
        outputs = broker.read(bootstrap, f"{prefix}-out", until=count)
    assert campaign.judge(outputs, count) != campaign.Verdict()


def test_a_stopped_worker_leaves_its_partitions_at_once(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    feed = campaign.Feed(bootstrap, f"{prefix}-in", rate=1000.0)
    feed.start()
    with campaign.workers(2, {"PREFIX": prefix, "BOOTSTRAP": bootstrap, "SESSION_TIMEOUT": "30"}, tmp_path) as workers:
        for worker in workers:
            worker.await_work()
        time.sleep(2.0)
        status, seconds = workers[0].end()
        left = time.monotonic()
        count = feed.finish()
        outputs = broker.read(bootstrap, f"{prefix}-out", until=count, limit_s=20.0)
        waited = time.monotonic() - left
    assert (status, seconds < 3.0) == (0, True)
    assert waited < 6.0
    assert campaign.judge(outputs, count) == campaign.Verdict()
