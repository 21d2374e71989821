"""One model at work: a feature vector in, three probabilities out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from ml.artefacts import Artefact, Manifest
from ml.serving.ensemble import Probabilities
from quantum.errors import CorruptRecordError, DependencyError


def missing_features(features: list[str], values: Mapping[str, float | None]) -> list[str]:
    """Return the inputs of a model that a feature vector lacks: absent, null or not finite."""
    missing = []
    for name in features:
        value = values.get(name)
        if value is None or not math.isfinite(value):
            missing.append(name)
    return missing


class Scorer:
    """Scores feature vectors with one artefact, in one thread.

    Parameters
    ----------
    artefact
        The model and its manifest, as the store loaded and verified them.

    Raises
    ------
    DependencyError
        The model file is not what the manifest says: another number of inputs or outputs, or no ONNX at all.
    """

    def __init__(self, artefact: Artefact) -> None:
        self.manifest: Manifest = artefact.manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        name = f"{self.manifest.model} {self.manifest.version}"
        try:
            self._session: Any = onnxruntime.InferenceSession(artefact.model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file, none of them documented
            raise DependencyError(f"{name} cannot be loaded: {error}", "train it again or roll back") from error
        shapes = self._session.get_inputs()[0].shape[1:], self._session.get_outputs()[0].shape[1:]
        if shapes != ([len(self.manifest.features)], [len(self.manifest.classes)]):
            raise DependencyError(f"{name}: the model's shapes {shapes} are not its manifest's", "train it again or roll back")
        self._features = tuple(self.manifest.features)
        self.score_rows(np.zeros((1, len(self._features)), dtype=np.float32))  # the first run allocates: not while a bar waits

    def score(self, values: Mapping[str, float | None]) -> Probabilities:
        """Return the probabilities of a feature vector.

        Raises
        ------
        CorruptRecordError
            An input is absent, null or not finite; ``missing_features`` says which beforehand.
        """
        row = []
        for name in self._features:
            value = values.get(name)
            if value is None or not math.isfinite(value):
                missing = missing_features(self.manifest.features, values)
                raise CorruptRecordError(f"{self.manifest.model} cannot score without {', '.join(missing)}", "score warm vectors only")
            row.append(value)
        down, flat, up = self.score_rows(np.array((row,), dtype=np.float32))[0].tolist()
        return Probabilities(down, flat, up)

    def score_rows(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of many rows: shape (rows, inputs) in, (rows, 3) out."""
        output: NDArray[np.float32] = self._session.run(None, {"features": rows})[0]
        return output
