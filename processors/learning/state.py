"""States of the stage ``learning``."""

from __future__ import annotations

import msgspec


class Champion(msgspec.Struct):
    """The version of a model in force.

    Attributes
    ----------
    version : str
        Version of the artefact.
    sha256 : str
        SHA-256 of its model file.
    since_ts : int
        Event time of the record that made it active, microseconds.
    horizon_s : int | None
        Horizon of its predictions, seconds; None where its record does not say.
    """

    version: str
    sha256: str
    since_ts: int
    horizon_s: int | None


class Shared(msgspec.Struct):
    """What is broadcast, the same in every partition.

    Attributes
    ----------
    champions : dict[str, Champion]
        By name of the model.
    drawdowns : dict[str, float]
        Last drawdown by account, fraction of the peak.
    """

    champions: dict[str, Champion] = {}
    drawdowns: dict[str, float] = {}


class Waiting(msgspec.Struct):
    """A prediction that becomes a labelled sample once its horizon has passed.

    Attributes
    ----------
    score_id : str
        event_id of the score.
    version : str
        Version of the model.
    end_ts : int
        End of the horizon, microseconds.
    """

    score_id: str
    version: str
    end_ts: int


class SymbolState(msgspec.Struct):
    """What waits to become a sample on one symbol.

    Attributes
    ----------
    waiting : dict[str, Waiting]
        By model: one prediction at a time, because labels of overlapping horizons are not new information.
    drifted : dict[str, str]
        Version of each model that was last left out for drift, so that the sign is given once.
    """

    waiting: dict[str, Waiting] = {}
    drifted: dict[str, str] = {}


class ModelState(msgspec.Struct):
    """What counts towards the next training of a model; times are event times in microseconds, 0 for never.

    Attributes
    ----------
    model : str
        Name; empty until the first sample.
    samples : int
        Labelled samples since the last training.
    trades : int
        Closed trades among them.
    reward : float
        Sum of their rewards.
    drift_ts : int
        When drift was last reported.
    drift_detail : str
        What had drifted.
    trained_ts : int
        Request time of the last training that completed.
    request_id : str
        The request that is not answered yet; empty where there is none.
    request_ts : int
        When the last request was made.
    request_champion : str
        Version in force then, which the answer is measured against.
    failed_ts : int
        Request time of the last training that failed.
    """

    model: str = ""
    samples: int = 0
    trades: int = 0
    reward: float = 0.0
    drift_ts: int = 0
    drift_detail: str = ""
    trained_ts: int = 0
    request_id: str = ""
    request_ts: int = 0
    request_champion: str = ""
    failed_ts: int = 0
