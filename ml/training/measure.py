"""How good probabilities are: proper scores out of sample, beside those of the base rate."""

from __future__ import annotations

import numpy as np

from ml.training.bars import Floats, Ints
from ml.training.dataset import CLASSES, DOWN, UP

_FLOOR = 1e-6


def log_loss(probabilities: Floats, classes: Ints) -> float:
    """Return the mean negative log probability of what happened, nats.

    Parameters
    ----------
    probabilities
        Shape (rows, 3).
    classes
        What happened, shape (rows,).
    """
    given = probabilities[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(given, _FLOOR)).mean())


def base_rates(classes: Ints) -> Floats:
    """Return the share of each class, shape (3,), one row added to each so that none is impossible."""
    counts = np.bincount(classes, minlength=len(CLASSES)) + 1.0
    rates: Floats = counts / counts.sum()
    return rates


def measure(probabilities: Floats, classes: Ints, rates: Floats) -> dict[str, float]:
    """Return the metrics of a test slice.

    Parameters
    ----------
    probabilities
        Shape (rows, 3).
    classes
        What happened, shape (rows,).
    rates
        Share of each class in training, shape (3,): what somebody knows who looks at no feature.

    Returns
    -------
    dict
        ``log_loss`` and ``base_rate_log_loss`` (nats), ``skill`` (1 less their ratio), ``brier`` (sum over classes,
        Brier 1950), ``accuracy``, and ``directional_accuracy`` (of the rows that moved, the share whose direction had
        the higher probability; 0.5 where nothing moved).
    """
    happened = np.eye(len(CLASSES))[classes]
    base = log_loss(np.broadcast_to(rates, probabilities.shape), classes)
    loss = log_loss(probabilities, classes)
    moved = classes != 1
    rising = probabilities[moved, UP] > probabilities[moved, DOWN]
    return {
        "log_loss": loss,
        "base_rate_log_loss": base,
        "skill": 1.0 - loss / base,
        "brier": float(((probabilities - happened) ** 2).sum(axis=1).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == classes).mean()),
        "directional_accuracy": float((rising == (classes[moved] == UP)).mean()) if moved.any() else 0.5,
    }
