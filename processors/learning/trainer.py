"""The trainer's work: a request in, an artefact in the store and the run's records out."""

from __future__ import annotations

from collections.abc import Iterator

from ml.artefacts import Artefact, ArtefactStore, Manifest
from ml.training.bars import INTERVALS_US
from ml.training.train import Plan, train
from processors.learning.history import BarsProvider
from processors.learning.settings import LearningSettings
from quantum.errors import DependencyError, RetryError, StopError
from schemas.common import TrainingPhase
from schemas.learning.records import ModelRetrain, ModelTraining


class Trainer:
    """Trains on request.

    Parameters
    ----------
    bars
        The history.
    store
        Where artefacts are kept.
    settings
        How is trained.
    venue, interval
        Whose bars, and which.
    revision
        Git revision of this code.
    """

    def __init__(
        self, bars: BarsProvider, store: ArtefactStore, settings: LearningSettings, venue: str, interval: str, revision: str
    ) -> None:
        self._bars = bars
        self._store = store
        self._settings = settings
        self._venue = venue
        self._interval = interval
        self._revision = revision

    def run(self, request: ModelRetrain) -> Iterator[ModelTraining]:
        """Train and give the run's records as it goes: STARTED, then COMPLETED or FAILED.

        Their event time is the request's, so that a request that is answered twice gets the same records. A training
        that cannot be done is a FAILED record with the reason; an error of the history store passes through.
        """
        yield self._record(request, TrainingPhase.STARTED, f"{request.why}: {request.detail}")
        champion, about = self._champion(request)
        try:
            artefact = self._train(request, champion)
        except (RetryError, StopError) as error:
            yield self._record(request, TrainingPhase.FAILED, error.message)
        else:
            skill = artefact.manifest.metrics["skill"]
            words = f"{artefact.manifest.rows['test']} rows out of sample, skill {skill:.3f} over the base rate{about}"
            yield self._record(request, TrainingPhase.COMPLETED, words, artefact.manifest)

    def _train(self, request: ModelRetrain, champion: Artefact | None) -> Artefact:
        longest_us = self._settings.max_bars * INTERVALS_US[self._interval]
        window = (max(request.window_start_ts, request.window_end_ts - longest_us), request.window_end_ts)
        symbols = self._bars.symbols(self._venue, self._interval, *window)
        history = {symbol: self._bars.bars(self._venue, symbol, self._interval, *window) for symbol in symbols}
        artefact = train(history, self._plan(request.model, champion), champion)
        self._store.save(artefact)
        return artefact

    def _plan(self, model: str, champion: Artefact | None) -> Plan:
        """Return the plan: a champion's horizon and threshold are kept, so that both predict the same thing."""
        plan = Plan(
            model=model,
            interval=self._interval,
            horizon_bars=self._settings.horizon_bars,
            flat_share=self._settings.flat_share,
            threads=self._settings.threads,
            revision=self._revision,
        )
        if champion is None or champion.manifest.interval != self._interval:
            return plan
        manifest = champion.manifest
        return Plan(
            model=model,
            interval=self._interval,
            horizon_bars=manifest.horizon_s * 1_000_000 // manifest.interval_us,
            threshold=manifest.threshold,
            threads=self._settings.threads,
            revision=self._revision,
        )

    def _champion(self, request: ModelRetrain) -> tuple[Artefact | None, str]:
        """Return the version in force, and words about it where it cannot be measured."""
        if request.champion_version is None:
            return None, ""
        try:
            return self._store.load(request.model, request.champion_version, request.champion_sha256), ""
        except DependencyError as error:
            return None, f"; the champion cannot be measured: {error.message}"

    def _record(self, request: ModelRetrain, phase: TrainingPhase, detail: str, manifest: Manifest | None = None) -> ModelTraining:
        return ModelTraining(
            event_id=f"{request.event_id}:{phase.value.lower()}",
            event_ts=request.event_ts,
            ingest_ts=request.ingest_ts,
            model=request.model,
            run_id=request.event_id,
            phase=phase,
            version=manifest.version if manifest else None,
            sha256=manifest.sha256 if manifest else None,
            samples=manifest.rows["train"] if manifest else 0,
            metrics=manifest.metrics if manifest else {},
            detail=detail,
            horizon_s=manifest.horizon_s if manifest else None,
        )
