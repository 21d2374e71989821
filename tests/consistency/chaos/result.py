"""What a campaign has shown, and which of the promises it broke."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.table import Table

from tests.consistency.chaos.fleet import Tally
from tests.consistency.chaos.scenario import Scenario

#: Seconds in which what was fed last must be written, and in which a killed worker must work again.
CATCH_UP_S = 15.0
BACK_S = 3.0
PAUSE_S = 3.0
LEAVE_S = 3.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one campaign.

    Attributes
    ----------
    lost, doubled, over_counted, out_of_order : int
        What is wrong with the outputs: counts that are missing, that are there twice, that are above what was fed; and keys whose
        counts are not in order.
    backwards : int
        How often a committed offset went back.
    ended_by_themselves : list of str
        Workers that ended without being told to: their number and last words.
    yielded : list of str
        Which of two processes with one identity ended, and after how many seconds.
    points : list of str
        The points of the commit at which a process was killed.
    catch_up_s : float
        Seconds from the last record fed until every output is committed and visible.
    back_s : list of float
        Seconds from each kill of a worker to the first commit of its next process, where that was not killed before; sorted.
    back_beside_sleepers_s : list of float
        The same for kills during whose aftermath another worker was stopped: a rebalance waits for its session to end.
    pauses_s : dict of int to float
        The longest time without a commit while records were fed, by partition.
    leave_s : float
        The longest time that a worker took to end after SIGTERM.
    hanging : list of str
        Partitions whose last stable offset stays before their end.
    compared : bool
        Whether tables, changelog and recomputation were compared; not for the control.
    disagreements : list of str
        Where they differ.
    load : float
        The machine's load average over the last minute of it: above the number of processors the times are not the runtime's own.
    broken : list of str
        The promises that were not kept.
    """

    scenario: str
    seed: int
    agent: str
    workers: int
    records: int
    kills: int
    stops: int
    added: int
    removed: int
    restarts: int
    broker_kills: int
    broker_stops: int
    lost: int
    doubled: int
    over_counted: int
    out_of_order: int
    backwards: int
    ended_by_themselves: list[str]
    yielded: list[str]
    points: list[str]
    catch_up_s: float
    back_s: list[float]
    back_beside_sleepers_s: list[float]
    pauses_s: dict[int, float]
    leave_s: float
    hanging: list[str]
    compared: bool
    disagreements: list[str]
    load: float
    broken: list[str]

    @property
    def wrong(self) -> int:
        """How many outputs are not as they must be."""
        return self.lost + self.doubled + self.over_counted + self.out_of_order


def broken_promises(result: Result, scenario: Scenario, tally: Tally) -> list[str]:
    """Return which promises a campaign shows to be broken; for the control, that it shows none."""
    if scenario.must_fail:
        return [] if result.wrong else ["the control shows nothing: the campaigns would not notice"]
    missed = sorted(set(scenario.points) - set(result.points))
    shared = scenario.twins + scenario.replaced
    back, pause = max(result.back_s, default=0.0), max(result.pauses_s.values())
    silent = [words for _, _, words in tally.yielded if "worker=" not in words]
    checks = {
        f"{result.wrong} outputs are wrong": result.wrong,
        "a committed offset went back": result.backwards,
        f"{len(result.ended_by_themselves)} workers ended by themselves": result.ended_by_themselves,
        f"{result.catch_up_s:.1f} s until all is written": result.catch_up_s > CATCH_UP_S * scenario.slack,
        f"transactions hang on {len(result.hanging)} partitions": result.hanging,
        "tables, changelog and input disagree": result.disagreements,
        f"no kill at {', '.join(missed)}": missed,
        f"{result.kills} kills instead of {scenario.kills}": result.kills < scenario.kills,
        f"a killed worker needed {back:.1f} s": back > BACK_S * scenario.slack,
        f"a pause of {pause:.1f} s": scenario.restarts and pause > PAUSE_S * scenario.slack,
        f"a worker took {result.leave_s:.1f} s to leave": result.leave_s > LEAVE_S * scenario.slack,
        "a worker that was told to end did not say that all is well": any(status for status, _ in tally.endings),
        f"of {shared} pairs with one identity {len(tally.yielded)} have one process less": len(tally.yielded) != shared,
        "a process that yielded its identity does not say how to mend that": silent,
    }
    return [what for what, broken in checks.items() if broken]


def table(results: Iterable[Result], caption: str) -> Table:
    """Return results as a table for people."""
    made = Table(title="Campaigns against the exactly-once runtime", caption=caption)
    made.add_column("scenario")
    columns = (
        "agent", "workers", "records", "kills", "stops", "added/\nremoved", "restarts", "broker\nkills", "lost", "doubled",
        "over-\ncounted", "out of\norder", "self-\nended", "catch-up\ns", "back at work s:\nworst (median)",
        "the same,\nother asleep", "longest\npause s", "hanging", "agree", "load", "promises",
    )  # fmt: skip
    for name in columns:
        made.add_column(name, justify="right")
    for each in results:
        made.add_row(*cells(each))
    return made


def cells(each: Result) -> list[str]:
    """Return a result's row of the table."""
    back, beside = (f"{s[-1]:.1f} ({s[len(s) // 2]:.1f})" if s else "-" for s in (each.back_s, each.back_beside_sleepers_s))
    agree = "-" if not each.compared else "no" if each.disagreements else "yes"
    return [
        each.scenario, each.agent, str(each.workers), f"{each.records:,}", str(each.kills), str(each.stops), f"{each.added}/{each.removed}",
        str(each.restarts), str(each.broker_kills + each.broker_stops), str(each.lost), str(each.doubled), str(each.over_counted),
        str(each.out_of_order), str(len(each.ended_by_themselves)), f"{each.catch_up_s:.1f}", back, beside,
        f"{max(each.pauses_s.values()):.1f}", str(len(each.hanging)), agree, f"{each.load:.1f}",
        "; ".join(each.broken) or "kept",
    ]  # fmt: skip
