"""Wiring of the stage ``signals``, and the loading of the models that it is told are active."""

from __future__ import annotations

from collections.abc import Iterable

from ml.artefacts import ArtefactStore
from ml.serving.ensemble import EnsembleRules
from ml.serving.scorer import Scorer
from processors.output import Output
from processors.signals import logic
from processors.signals.settings import SignalSettings
from processors.signals.state import ActiveModel, ActiveModels, LastRegime, SymbolState
from processors.wiring import Wiring
from quantum.errors import DependencyError
from schemas.features.records import Features, MarketRegime

SHARED = "shared"
_HOUR_US = 3_600_000_000


class ModelCache:
    """The loaded models of this process: each version is read and verified once, its failure too.

    A version that failed is tried again when a new record makes it active, not with every bar.

    Parameters
    ----------
    store
        Where the artefacts lie.
    """

    def __init__(self, store: ArtefactStore) -> None:
        self._store = store
        self._loaded: dict[str, tuple[ActiveModel, Scorer | logic.LoadFailure]] = {}

    def __call__(self, model: str, active: ActiveModel) -> Scorer | logic.LoadFailure:
        """Return the scorer of a model's active version, or why there is none."""
        kept = self._loaded.get(model)
        if kept is None or kept[0] != active:
            kept = self._loaded[model] = (active, self._load(model, active))
        return kept[1]

    def _load(self, model: str, active: ActiveModel) -> Scorer | logic.LoadFailure:
        try:
            return Scorer(self._store.load(model, active.version, active.sha256))
        except DependencyError as error:  # the member is left out and its record says why; the others go on
            return logic.LoadFailure(error.message)


def create_agents(wiring: Wiring) -> None:
    """Bind the handlers: states by symbol, the active models in every partition."""
    settings = wiring.options(SignalSettings)
    rules = logic.Rules(
        venue=wiring.settings.venue,
        interval=wiring.settings.feature_interval,
        models=wiring.settings.models,
        ensemble=EnsembleRules(wiring.settings.quorum, settings.margin, settings.sharpness, settings.memory),
        max_model_age_us=int(settings.max_model_age_h * _HOUR_US),
    )
    cache = ModelCache(ArtefactStore(wiring.settings.folders.models))
    symbols = wiring.table("symbols", SymbolState)
    regimes = wiring.table("regimes", LastRegime)
    active = wiring.table("active", ActiveModels)

    def on_features(state: SymbolState, shared: ActiveModels, last: LastRegime, record: Features) -> Iterable[Output]:
        return logic.on_features(rules, cache, state, shared, last, record)

    def on_regime(last: LastRegime, record: MarketRegime) -> Iterable[Output]:
        return logic.on_regime(rules, last, record)

    wiring.react("model.active", logic.on_active, active.at(SHARED))
    wiring.react("market.regime", on_regime, regimes.by("symbol"))
    wiring.react("features", on_features, symbols.by("symbol"), active.at(SHARED), regimes.by("symbol"))
