"""Temperature scaling: one divisor of a classifier's scores, fitted on rows that it has not learnt from.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017), section 4.2.
"""

from __future__ import annotations

import math

import numpy as np

from ml.training.bars import Floats, Ints
from ml.training.measure import log_loss

_LOWEST, _HIGHEST = math.log(0.2), math.log(20.0)
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def softmax(scores: Floats) -> Floats:
    """Return the probabilities of scores, shape (rows, classes)."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    out: Floats = raised / raised.sum(axis=1, keepdims=True)
    return out


def fit_temperature(scores: Floats, classes: Ints) -> float:
    """Return the temperature, 0.2 to 20, of the least log loss; the loss is unimodal in it, so a golden section finds it.

    Parameters
    ----------
    scores
        Raw scores, shape (rows, classes).
    classes
        What happened, shape (rows,).
    """
    low, high = _LOWEST, _HIGHEST

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(scores / math.exp(log_temperature)), classes)

    for _ in range(40):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    found = math.exp((low + high) / 2.0)
    return found if loss(math.log(found)) <= loss(0.0) else 1.0
