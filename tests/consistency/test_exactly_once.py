"""Nothing is lost, doubled or reordered, whatever kills or stops the workers and their broker: campaigns of seconds.

``make chaos`` runs the long ones; see :mod:`tests.consistency.chaos`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from processors.runtime.epochs.faults import POINTS
from tests.consistency.chaos.result import Result
from tests.consistency.chaos.run import Campaign
from tests.consistency.chaos.scenario import Scenario
from tests.consistency.chaos.server import Server

pytestmark = pytest.mark.stack

_RATE = 3000.0
# The promised times are meant for a machine that has nothing else to do; elsewhere three times as much is allowed.
_SHORT = Scenario(session_s=4.0, slack=3.0)

CAMPAIGNS = {
    "every step of the commit, a zombie, a worker more and less": (replace(_SHORT, kills=12, stops=1, changes=1, points=POINTS), 75_000),
    "batches": (replace(_SHORT, agent="batch", kills=6, points=("produced", "offsets", "committed")), 39_000),
    "the broker killed": (replace(_SHORT, broker_kills=1), 33_000),
    "one identity twice": (replace(_SHORT, twins=1), 36_000),
    "a rolling restart, without waiting for sessions": (replace(_SHORT, restarts=1, session_s=30.0), 36_000),
}
QUICK = "every step of the commit, a zombie, a worker more and less"
"""What every run of the tests has time for."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that may be killed."""
    with Server(tmp_path_factory.mktemp("broker")) as started:
        yield started


def campaign(name: str, scenario: Scenario, records: int, server: Server, folder: Path) -> Result:
    """Run one campaign."""
    return Campaign(name, scenario, server, folder / "workers", records=records, rate=_RATE, seed=1).run()


@pytest.mark.parametrize("name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.campaign) for name in CAMPAIGNS])
def test_promises_are_kept(name: str, server: Server, tmp_path: Path) -> None:
    scenario, records = CAMPAIGNS[name]
    result = campaign(name, scenario, records, server, tmp_path)
    assert result.broken == [], result


@pytest.mark.campaign
def test_without_transactions_the_same_kills_are_noticed(server: Server, tmp_path: Path) -> None:
    careless = replace(_SHORT, workers=1, kills=6, points=("produced",) * 3, environment={"CARELESS": "1"}, must_fail=True)
    result = campaign("control", careless, 39_000, server, tmp_path)
    assert result.doubled + result.over_counted > 0
    assert result.broken == []
