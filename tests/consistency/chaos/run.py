"""Running one campaign: feed, disturb, wait, compare."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.consistency import broker
from tests.consistency.campaign import KEYS, Feed, judge
from tests.consistency.chaos import agree
from tests.consistency.chaos.fleet import Fleet, Tally
from tests.consistency.chaos.result import Result, broken_promises
from tests.consistency.chaos.scenario import Scenario, Step, plan
from tests.consistency.chaos.server import Server
from tests.consistency.chaos.watch import Watcher
from tests.consistency.count_app import Tables

_TICK_S = 0.02
_GIVE_UP_S = 60.0
_SETTLE_S = 15.0
_DOWN_S = 0.5
_UP_S = 4.0
_APART_S = 0.5
Say = Callable[[str], None]


class Campaign:
    """One scenario against a broker.

    Parameters
    ----------
    name
        What the scenario is called in the result.
    scenario
        What is done.
    server
        The broker; it is killed where the scenario says so.
    folder
        Where the workers' logs go.
    records, rate
        How many records are fed, more where an armed process has not met its fault by then, and how many of them a second.
    seed
        Decides the plan.
    say
        Told what happens.
    """

    def __init__(
        self,
        name: str,
        scenario: Scenario,
        server: Server,
        folder: Path,
        *,
        records: int,
        rate: float,
        seed: int,
        say: Say = print,
    ) -> None:
        self._name = name
        self._scenario = scenario
        self._server = server
        self._records = records
        self._seed = seed
        self._say = say
        self._rate = rate * scenario.pace
        self._steps = plan(scenario, records / self._rate, random.Random(f"{seed} {name}"))
        self._prefix = f"chaos-{uuid.uuid4().hex[:10]}"
        self._input, self._output = f"{self._prefix}-in", f"{self._prefix}-out"
        self._changelog = f"{self._prefix}-app-counts-changelog"
        folder.mkdir(parents=True, exist_ok=True)
        environment = {
            "PREFIX": self._prefix, "BOOTSTRAP": server.bootstrap, "AGENT": scenario.agent, "SESSION_TIMEOUT": str(scenario.session_s),
            "DATADIR": str(folder / "data"), **scenario.environment,
        }  # fmt: skip
        self._fleet = Fleet(environment, folder, say)
        broker.create_topics(server.bootstrap, self._input, self._output)
        self._feed = Feed(server.bootstrap, self._input, self._rate)
        self._watcher = Watcher(server.bootstrap, f"{self._prefix}-app", self._input)
        self._began = 0.0

    def run(self) -> Result:
        """Run the campaign and return what it has shown.

        1. Start the workers, wait until they work, and feed.
        2. Disturb them by the plan.
        3. Wait until all that was fed is committed and visible; read the tables that the workers have; stop them.
        4. Judge the outputs; compare tables, changelog and a recomputation from the input; look for transactions that hang.
        """
        self._watcher.start()
        try:
            with self._fleet as fleet:
                count, caught_up, held = self._disturb(fleet)
                fleet.end()
        finally:
            self._feed.stop()
            self._watcher.finish()
        return self._judge(count, caught_up, held)

    def _disturb(self, fleet: Fleet) -> tuple[int, float, Tables]:
        """Do what the plan says; return how many records were fed, when all was written after the last, and the workers' tables."""
        for _ in range(self._scenario.workers):
            fleet.start()
        fleet.await_work()
        self._feed.start()
        self._began = time.monotonic()
        for step in self._steps:
            self._tend_for(max(_APART_S, self._began + step.at - time.monotonic()))
            self._say(f"{time.monotonic() - self._began:6.1f} s {step.kind} {step.fault}")
            self._act(step)
        self._tend_until(lambda: self._feed.count >= self._records and not fleet.armed, self._records / self._rate + _GIVE_UP_S)
        count = self._feed.finish()
        caught_up = self._await_outputs()
        fleet.await_work()
        return count, caught_up, {} if self._scenario.must_fail else agree.held(fleet.workers, range(broker.PARTITIONS))

    def _tend_for(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        self._tend_until(lambda: time.monotonic() >= due)

    def _tend_until(self, met: Callable[[], bool], limit_s: float = float("inf")) -> bool:
        deadline = time.monotonic() + limit_s
        while not met():
            if time.monotonic() > deadline:
                return False
            self._fleet.tend()
            time.sleep(_TICK_S)
        return True

    def _act(self, step: Step) -> None:
        fleet = self._fleet
        if step.kind == "broker killed":
            self._server.kill()
            time.sleep(_DOWN_S)
            self._server.start()
            self._tend_for(_UP_S)
        elif step.kind == "broker stopped":
            self._server.stop()
            self._server.start()
            self._tend_for(_UP_S)
        elif step.kind == "add":
            fleet.add()
        else:
            if not self._tend_until(lambda: bool(fleet.eligible()), _GIVE_UP_S):
                raise AssertionError("there is no worker that can be chosen: none works")
            able = fleet.eligible()
            worker = able[step.choice % len(able)]
            if step.kind == "kill":
                fleet.kill(worker, step.fault)
            elif step.kind == "stop":
                fleet.stop(worker, self._scenario.sleep_s)
            elif step.kind == "remove":
                fleet.remove(worker)
            elif step.kind == "twin":
                fleet.double(worker)
            elif step.kind == "replaced":
                fleet.stop(worker, self._scenario.sleep_s)
                fleet.double(worker)
            else:
                fleet.restart(worker)
                worker.await_work()

    def _await_outputs(self) -> float:
        """Wait until the group has committed all of the input and readers see all of the output; return how long it took."""
        ends = {at[1]: end for at, end in broker.ends(self._server.bootstrap, [self._input]).items()}
        outputs = [self._output]
        self._tend_until(lambda: self._watcher.positions() == ends, _GIVE_UP_S)
        self._tend_until(lambda: not broker.hanging(self._server.bootstrap, outputs), _GIVE_UP_S)
        taken = time.monotonic() - self._feed.ended
        self._tend_until(lambda: not (self._fleet.asleep or self._fleet.rivals), _GIVE_UP_S)
        return taken

    def _judge(self, count: int, caught_up: float, held: Tables) -> Result:
        bootstrap, tally, scenario = self._server.bootstrap, self._fleet.tally, self._scenario
        hanging = self._hanging()
        verdict = judge(broker.read_to_end(bootstrap, self._output), count)
        expected = agree.recomputed(bootstrap, self._input)
        if Counter(number for table in expected.values() for number in table.values()) != {count // KEYS: KEYS}:
            raise AssertionError("the input itself is not what was fed: the campaign proves nothing")
        differing: list[str] = []
        if not scenario.must_fail:
            tables = {"the workers' tables": held, "the changelog": agree.logged(bootstrap, self._changelog)}
            tables["a new worker's table"] = agree.restored(bootstrap, self._prefix, broker.PARTITIONS)
            differing = agree.differences(expected, tables)
        result = Result(
            scenario=self._name,
            seed=self._seed,
            agent=scenario.agent,
            workers=scenario.workers,
            records=count,
            kills=len(tally.killed),
            stops=len(tally.slept),
            added=tally.added,
            removed=tally.removed,
            restarts=sum(step.kind == "restart" for step in self._steps),
            broker_kills=scenario.broker_kills,
            broker_stops=scenario.broker_stops,
            lost=verdict.lost,
            doubled=verdict.doubled,
            over_counted=verdict.over_counted,
            out_of_order=verdict.out_of_order,
            backwards=self._watcher.backwards(),
            ended_by_themselves=tally.ended_by_themselves,
            yielded=[f"the {which} after {seconds:.1f} s" for which, seconds, _ in tally.yielded],
            points=sorted(set(tally.hit)),
            catch_up_s=round(caught_up, 2),
            back_s=self._away(tally, beside_sleepers=False),
            back_beside_sleepers_s=self._away(tally, beside_sleepers=True),
            pauses_s={at: round(pause, 2) for at, pause in self._watcher.longest_pauses(self._began + 1.0, self._feed.ended).items()},
            leave_s=round(max((seconds for _, seconds in tally.endings), default=0.0), 2),
            hanging=hanging,
            compared=not scenario.must_fail,
            disagreements=differing,
            load=round(os.getloadavg()[0], 1),
            broken=[],
        )
        return msgspec.structs.replace(result, broken=broken_promises(result, scenario, tally))

    def _hanging(self) -> list[str]:
        """Return the partitions of all topics, the broker's own included, on which a transaction stays open."""
        deadline = time.monotonic() + _SETTLE_S
        while (found := broker.hanging(self._server.bootstrap)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [f"{topic} {partition}" for topic, partition in found]

    def _away(self, tally: Tally, *, beside_sleepers: bool) -> list[float]:
        """Return how long killed workers were away, in seconds, sorted; without those that were killed again before.

        Parameters
        ----------
        tally
            What was done.
        beside_sleepers
            Whether those are meant during whose absence another worker slept, whose session a rebalance waits for; or the others.
        """
        found: list[float] = []
        for index, (number, at) in enumerate(tally.killed):
            again = min((later for other, later in tally.killed[index + 1 :] if other == number), default=float("inf"))
            away = self._watcher.away(f"{self._prefix}-app-{number}", at, again)
            if away is not None and beside_sleepers == any(since < at + away and at < until for since, until in tally.slept):
                found.append(round(away, 2))
        return sorted(found)
