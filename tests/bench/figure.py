"""Figures, and how they are taken."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

ROUNDS = 5
MICRO = 1e6

Work = Callable[[], object]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure.

    Attributes
    ----------
    name : str
        What was measured: its benchmark, a colon, and the case.
    unit : str
        ``.../s`` where more is better, anything else where less is.
    value : float, optional
        The figure; None where it could not be taken, and then the note says why.
    peers : dict of str to float
        Figures of others on the same task, taken in the same run.
    note : str
        What one has to know to read it.
    """

    name: str
    unit: str
    value: float | None = None
    peers: dict[str, float] = {}
    note: str = ""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as good as each peer it is: above 1 the figure is the better one."""
        value = self.value
        if value is None:
            return {}
        more_is_better = self.unit.endswith("/s")
        return {name: value / peer if more_is_better else peer / value for name, peer in self.peers.items()}

    def to_json(self) -> dict[str, object]:
        """Return it as ``bench.json`` has it."""
        return {
            "name": self.name, "value": self.value, "unit": self.unit, "peers": self.peers, "ratios": self.ratios, "note": self.note,
        }  # fmt: skip


def skipped(name: str, unit: str, reason: str) -> Figure:
    """Return a figure that could not be taken."""
    return Figure(name=name, unit=unit, note=f"skipped: {reason}")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` percent of some values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def best_seconds(contenders: Mapping[str, Work], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the least time of the processor that each piece of work took, seconds.

    For work that waits for nothing. What other programs take of the machine is not counted but for the caches that they dirty; the
    contenders take turns, so that this meets all of them, and the least time is the one that it disturbed least.
    """
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, work in contenders.items():
            gc.collect()
            started = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - started)
    return best


def best_rates(items: int, contenders: Mapping[str, Work], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the greatest rate of each piece of work that deals with so many items, items/s."""
    return {name: items / seconds for name, seconds in best_seconds(contenders, rounds).items()}


def best_costs(items: int, contenders: Mapping[str, Work], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the least cost of one item, microseconds."""
    return {name: seconds / items * MICRO for name, seconds in best_seconds(contenders, rounds).items()}
