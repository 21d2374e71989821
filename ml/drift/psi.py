"""Population stability index of a model's inputs and outputs against their distribution in training.

``PSI = sum((p - q) * ln(p / q))`` over bins, with ``q`` the share of a bin in training and ``p`` its share now.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

BINS = 10
_PRIOR = 0.5  # rows added to every bin, so that an empty one has a logarithm


class Profile(msgspec.Struct, frozen=True):
    """Distribution of one value in training.

    Attributes
    ----------
    edges : list[float]
        Inner edges of the bins, rising; a bin begins at its edge.
    shares : list[float]
        Share of each bin, one more than the edges; they sum to 1.
    """

    edges: list[float]
    shares: list[float]


class DriftState(msgspec.Struct):
    """Drift of one model on one symbol: counts of the open block, and the result of the last whole one.

    Attributes
    ----------
    rows : int
        Rows of the open block.
    counts : dict[str, list[int]]
        Rows of the open block by value and bin.
    score : float | None
        Mean index over all values in the last whole block; None before the first.
    worst : str
        The value that had moved most.
    """

    rows: int = 0
    counts: dict[str, list[int]] = {}
    score: float | None = None
    worst: str = ""

    def update(self, profiles: Mapping[str, Profile], values: Mapping[str, float | None], block: int) -> None:
        """Count one row; the last of a block closes it.

        Parameters
        ----------
        profiles
            Distributions in training, by name of the value.
        values
            The row; a value of a profile must be there.
        block
            Rows of a block.
        """
        for name, profile in profiles.items():
            value = values[name]
            if value is None:
                raise ValueError(f"{name} is null: a row that is not warm has no place in a distribution")
            counts = self.counts.get(name)
            if counts is None:
                counts = self.counts[name] = [0] * len(profile.shares)
            counts[bisect_right(profile.edges, value)] += 1
        self.rows += 1
        if self.rows >= block:
            scores = {name: psi(profile.shares, self.counts[name]) for name, profile in profiles.items()}
            self.worst = max(scores, key=lambda name: scores[name], default="")
            self.score = sum(scores.values()) / len(scores) if scores else 0.0
            self.rows = 0
            self.counts = {}


def psi(shares: Sequence[float], counts: Sequence[int]) -> float:
    """Return the index of the rows counted now against the shares in training; 0 where they agree, never negative."""
    total = sum(counts) + _PRIOR * len(counts)
    weight = 1.0 + 1e-6 * len(shares)
    index = 0.0
    for share, count in zip(shares, counts, strict=True):
        then, now = (share + 1e-6) / weight, (count + _PRIOR) / total
        index += (now - then) * math.log(now / then)
    return index


def profile(values: NDArray[np.float64]) -> Profile:
    """Return the distribution of values by their deciles; fewer bins where values repeat.

    Parameters
    ----------
    values
        Shape (rows,), finite.
    """
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return Profile(edges=[float(edge) for edge in edges], shares=[float(count) / len(values) for count in counts])
