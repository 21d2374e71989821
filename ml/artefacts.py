"""Model artefacts: folders ``<model>/<version>/`` with the model file and a manifest, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ml.drift.psi import Profile
from quantum.errors import DependencyError

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How the scores were made probabilities; the model file applies it, so its hash covers it.

    Attributes
    ----------
    method : str
        ``temperature``: one divisor of all scores (Guo et al., 2017).
    temperature : float
        The divisor; above 1 the raw model was too sure of itself.
    log_loss_before, log_loss_after : float
        On the slice that it was fitted on, nats.
    """

    method: str
    temperature: float
    log_loss_before: float
    log_loss_after: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an artefact.

    Attributes
    ----------
    model, version : str
        Name and version; the folder is ``<model>/<version>``.
    sha256 : str
        SHA-256 of the model file.
    revision : str
        Git revision of the code that trained it.
    interval : str
        Bar that its features are computed on.
    interval_us : int
        Length of that bar, microseconds.
    symbols : list[str]
        Symbols that it was trained on.
    window_start_ts, window_end_ts : int
        First bar's start and last bar's end, microseconds UTC.
    features : list[str]
        Its inputs, in order.
    classes : list[str]
        Its outputs, in order: down, flat, up.
    horizon_s : int
        Horizon of its predictions, seconds.
    threshold : float
        Log return over the horizon beyond which the price fell or rose.
    embargo_s : int
        Time purged between the slices, seconds.
    rows : dict[str, int]
        Rows of the slices train, calibration and test.
    parameters : dict[str, float]
        Parameters of the learner, and the rounds it took.
    calibration : Calibration
        How scores became probabilities.
    metrics : dict[str, float]
        Out of sample, on the test slice: log_loss, base_rate_log_loss, skill, brier, accuracy, directional_accuracy.
    profiles : dict[str, Profile]
        Distribution of each input and output in training, which drift is measured against.
    drift_block : int
        Rows that one measurement of drift is taken over.
    drift_limit : float
        Mean population stability index over which the model has drifted.
    """

    model: str
    version: str
    sha256: str
    revision: str
    interval: str
    interval_us: int
    symbols: list[str]
    window_start_ts: int
    window_end_ts: int
    features: list[str]
    classes: list[str]
    horizon_s: int
    threshold: float
    embargo_s: int
    rows: dict[str, int]
    parameters: dict[str, float]
    calibration: Calibration
    metrics: dict[str, float]
    profiles: dict[str, Profile]
    drift_block: int
    drift_limit: float


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model and its manifest; the model's hash is the manifest's.

    Attributes
    ----------
    manifest
        What is known of it.
    model
        Bytes of the model file.
    """

    manifest: Manifest
    model: bytes


def sha256_of(model: bytes) -> str:
    """Return the SHA-256 of a model file's bytes, in hex."""
    return hashlib.sha256(model).hexdigest()


class ArtefactStore:
    """The artefacts below a folder.

    Parameters
    ----------
    root
        The folder, ``Home.models``; it need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, model: str, version: str) -> Path:
        """Return an artefact's folder; raises DependencyError for a name that could leave the store."""
        for name in (model, version):
            if not _NAME.fullmatch(name):
                raise DependencyError(f"{name!r} cannot be the name of a model or version", "use letters, digits, dot, dash and underscore")
        return self.root / model / version

    def save(self, artefact: Artefact) -> Path:
        """Store an artefact and return its folder; readers never see half of one, and storing it again changes nothing.

        Raises
        ------
        DependencyError
            The hash is not the model's, another artefact has this version, or the folder cannot be written.
        """
        manifest = artefact.manifest
        target = self.folder(manifest.model, manifest.version)
        if sha256_of(artefact.model) != manifest.sha256:
            raise DependencyError(
                f"{manifest.model} {manifest.version}: the manifest's SHA-256 is not the model's",
                "build the manifest from the model's bytes",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
            try:
                _write(temporary / MODEL_FILE, artefact.model)
                _write(temporary / MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
                temporary.chmod(0o755)
                temporary.rename(target)
            except OSError as error:
                if error.errno not in _TAKEN:  # somebody has stored this version before, maybe just now: what it holds is checked below
                    raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise DependencyError(f"{target} cannot be written: {error}", "free disk space or fix the folder's permissions") from error
        if self.load(manifest.model, manifest.version).manifest.sha256 != manifest.sha256:
            raise DependencyError(
                f"{target} already holds another model", "versions are never overwritten: give this one a version of its own"
            )
        return target

    def manifest(self, model: str, version: str) -> Manifest:
        """Return an artefact's manifest; raises DependencyError where there is none or it cannot be read."""
        path = self.folder(model, version) / MANIFEST_FILE
        return _decode(path, _read(path))

    def load(self, model: str, version: str, sha256: str | None = None) -> Artefact:
        """Return an artefact whose model file has the hash of its manifest, and ``sha256`` where that is given.

        Raises
        ------
        DependencyError
            It is not there, cannot be read, or its model file has another hash.
        """
        manifest = self.manifest(model, version)
        data = _read(self.folder(model, version) / MODEL_FILE)
        found = sha256_of(data)
        for wanted, whose in ((manifest.sha256, "its manifest"), (sha256 or found, "the record")):
            if found != wanted:
                raise DependencyError(
                    f"{model} {version}: model file has SHA-256 {found[:12]}, {whose} says {wanted[:12]}",
                    "restore the artefact or roll back",
                )
        return Artefact(manifest, data)

    def list(self, model: str | None = None) -> list[Manifest]:
        """Return the manifests of all artefacts, or of one model's, oldest training window first."""
        pattern = f"{model or '*'}/*/{MANIFEST_FILE}"
        paths = [path for path in self.root.glob(pattern) if not path.parent.name.startswith(".")]
        found = [_decode(path, _read(path)) for path in paths]
        return sorted(found, key=lambda manifest: (manifest.model, manifest.window_end_ts, manifest.version))


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DependencyError(
            f"{path} cannot be read: {error.strerror}", "train the model or restore its artefact: quantum models list"
        ) from error


def _decode(path: Path, data: bytes) -> Manifest:
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise DependencyError(f"{path} is not a manifest: {error}", "restore the artefact, or remove its folder and train again") from error
