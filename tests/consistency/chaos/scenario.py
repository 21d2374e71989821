"""What the campaigns do: the scenarios, and the plan that a seed makes of one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from typing import Literal

from processors.runtime.epochs.faults import POINTS

Kind = Literal["kill", "stop", "add", "remove", "restart", "broker killed", "broker stopped", "twin", "replaced"]

_CHANGES: tuple[Kind, Kind] = ("add", "remove")
#: Seconds from the first record to the first fault, and from the last fault to the last record.
_FIRST_S = 3.0
_LAST_S = 3.0
#: Epochs after which an armed fault strikes: soon, and not always in the same state.
_EPOCHS = (5, 40)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done while records are fed and counted.

    Attributes
    ----------
    workers
        How many there are at the start.
    kills
        SIGKILLs of workers, those at ``points`` included.
    stops
        SIGSTOPs of workers past their session's timeout, each with a SIGCONT.
    changes
        How often a worker is added, and as often one is removed by SIGTERM.
    restarts
        How often all workers are restarted by SIGTERM, one after another.
    broker_kills, broker_stops
        How often the broker is killed, or ended in order, and started again.
    twins
        How often a second process with a worker's identity is started beside it.
    replaced
        How often a worker is stopped, replaced by a process of the same identity, and woken.
    session_s
        The group's session timeout.
    pace
        The share of the campaign's rate at which records are fed: less where the faults need more time, so that each meets work.
    points
        Points of the commit at which armed processes end, see :mod:`processors.runtime.epochs.faults`.
    environment
        What the workers get besides.
    must_fail
        The control: it must show what the others must not.
    slack
        How many times the promised times are allowed.
    """

    agent: Literal["event", "batch"] = "event"
    workers: int = 2
    kills: int = 0
    stops: int = 0
    changes: int = 0
    restarts: int = 0
    broker_kills: int = 0
    broker_stops: int = 0
    twins: int = 0
    replaced: int = 0
    session_s: float = 10.0
    pace: float = 1.0
    points: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    must_fail: bool = False
    slack: float = 1.0

    @property
    def sleep_s(self) -> float:
        """How long a stopped worker sleeps."""
        return self.session_s + 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """One disturbance.

    Attributes
    ----------
    at
        Seconds after the first record.
    choice
        Which of the workers that can be chosen then.
    fault
        What a killed worker's next process is armed with.
    """

    at: float
    kind: Kind
    choice: int = 0
    fault: str = ""


_STORM = Scenario(kills=20, stops=5, changes=2, points=POINTS)

SCENARIOS: dict[str, Scenario] = {
    "event, 2 workers": _STORM,
    "event, 3 workers": replace(_STORM, workers=3),
    "batch, 2 workers": replace(_STORM, agent="batch"),
    "batch, 3 workers": replace(_STORM, agent="batch", workers=3),
    "event, table on disk": replace(_STORM, environment={"STORE": "rocksdb://"}),
    "broker killed": Scenario(broker_kills=10, broker_stops=1, pace=0.5),
    "one identity twice": Scenario(twins=1, replaced=1),
    "rolling restart": Scenario(workers=3, restarts=2),
    "control": replace(_STORM, points=("produced",) * 5, environment={"CARELESS": "1"}, must_fail=True),
}


def plan(scenario: Scenario, seconds: float, rng: random.Random) -> list[Step]:
    """Return the disturbances of a scenario in their order, spread over the time in which records are fed.

    A kill that arms the next process counts twice: it is killed, and what takes its place is killed by its fault.
    """
    faults = [f"{point}:{rng.randint(*_EPOCHS)}" for point in rng.sample(scenario.points, len(scenario.points))]
    times: dict[Kind, int] = {
        "kill": scenario.kills - len(faults), "add": scenario.changes, "remove": scenario.changes, "twin": scenario.twins,
        "replaced": scenario.replaced, "restart": scenario.workers * scenario.restarts, "broker killed": scenario.broker_kills,
        "broker stopped": scenario.broker_stops,
    }  # fmt: skip
    kinds = [kind for kind, number in times.items() for _ in range(number)]
    rng.shuffle(kinds)
    changes = cycle(_CHANGES)
    restarts = count()
    waiting = iter(faults)
    steps: list[Step] = []
    for at, kind in zip(_spread(len(kinds), _FIRST_S, seconds - _LAST_S, rng), kinds, strict=True):
        choice = next(restarts) if kind == "restart" else rng.randrange(1000)
        steps.append(Step(at, next(changes) if kind in _CHANGES else kind, choice, next(waiting, "") if kind == "kill" else ""))
    last_stop = max(_FIRST_S + 1.0, seconds - _LAST_S - scenario.sleep_s)
    steps += [Step(at, "stop", rng.randrange(1000)) for at in _spread(scenario.stops, _FIRST_S, last_stop, rng)]
    return sorted(steps, key=lambda step: step.at)


def _spread(moments: int, first: float, last: float, rng: random.Random) -> list[float]:
    """Return moments in equal slots, each anywhere in the middle of its slot."""
    width = (last - first) / max(1, moments)
    return [first + (number + rng.uniform(0.1, 0.9)) * width for number in range(moments)]
