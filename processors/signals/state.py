"""States of the stage ``signals``."""

from __future__ import annotations

import msgspec

from ml.drift.psi import DriftState
from ml.serving.ensemble import RecentLoss
from schemas.common import Regime


class ActiveModel(msgspec.Struct):
    """The version of a model in force.

    Attributes
    ----------
    version : str
        Version of the artefact.
    sha256 : str
        SHA-256 that its model file must have.
    since_ts : int
        Event time of the record that made it active, microseconds.
    """

    version: str
    sha256: str
    since_ts: int


class ActiveModels(msgspec.Struct):
    """What ``model.active`` says, the same in every partition.

    Attributes
    ----------
    models : dict[str, ActiveModel]
        By name of the model.
    """

    models: dict[str, ActiveModel] = {}


class LastRegime(msgspec.Struct):
    """The last regime of a symbol."""

    regime: Regime = Regime.WARMING_UP


class Prediction(msgspec.Struct, array_like=True):
    """A prediction whose horizon has not passed.

    Attributes
    ----------
    ts : int
        End of its bar, microseconds.
    close : float
        Close of that bar.
    down, flat, up : float
        Its probabilities.
    """

    ts: int
    close: float
    down: float
    flat: float
    up: float


class MemberState(msgspec.Struct):
    """One version of a model on one symbol.

    Attributes
    ----------
    version : str
        Version that all this is about; another one starts anew.
    loss : RecentLoss
        Its recent out-of-sample log loss.
    drift : DriftState
        Its inputs and outputs against those of training.
    pending : list[Prediction]
        Its predictions whose horizon has not passed, oldest first; at most 256.
    """

    version: str = ""
    loss: RecentLoss = msgspec.field(default_factory=RecentLoss)
    drift: DriftState = msgspec.field(default_factory=DriftState)
    pending: list[Prediction] = []


class SymbolState(msgspec.Struct):
    """What the ensemble knows of a symbol.

    Attributes
    ----------
    last_ts : int
        End of the last bar taken, microseconds.
    members : dict[str, MemberState]
        By name of the model.
    directions : list[str]
        Directions of the last 100 signals that had one.
    """

    last_ts: int = 0
    members: dict[str, MemberState] = {}
    directions: list[str] = []
