"""A first artefact from bars at hand, for a platform that has no history of its own yet."""

from __future__ import annotations

from collections.abc import Mapping

from ml.artefacts import Artefact, ArtefactStore
from ml.training.bars import Bars
from ml.training.train import Plan, train


def train_from_bars(bars_by_symbol: Mapping[str, Bars], plan: Plan, store: ArtefactStore) -> Artefact:
    """Train on bars, store the artefact and return it; the same bars and plan give the same artefact.

    Raises
    ------
    RetryError
        The bars are too few.
    DependencyError
        The artefact cannot be stored.
    """
    artefact = train(bars_by_symbol, plan)
    store.save(artefact)
    return artefact
