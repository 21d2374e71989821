from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from ml.artefacts import MANIFEST_FILE, MODEL_FILE, Artefact, ArtefactStore
from ml.serving.scorer import Scorer, missing_features
from ml.training.bootstrap import train_from_bars
from quantum.errors import CorruptRecordError, DependencyError
from tests.unit.ml.markets import momentum_bars
from tests.unit.ml.trained import PLAN, artefact


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path / "models")
    folder = store.save(artefact())
    manifest = artefact().manifest
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_FILE, MODEL_FILE]
    assert store.load("xgb", manifest.version, manifest.sha256) == artefact()
    assert store.list() == store.list("xgb") == [manifest]
    assert store.list("lgbm") == []


def test_storing_again_changes_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: store.save(artefact()), range(8)))
    assert len(folders) == 1
    assert [path.name for path in (tmp_path / "xgb").iterdir()] == [artefact().manifest.version]


def test_another_model_does_not_take_a_version_that_is_there(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    store.save(artefact())
    other = train_from_bars({"AAAUSDT": momentum_bars(3000, 5)}, PLAN, store)
    stolen = Artefact(msgspec.structs.replace(other.manifest, version=artefact().manifest.version), other.model)
    with pytest.raises(DependencyError, match="already holds"):
        store.save(stolen)
    assert store.load("xgb", artefact().manifest.version) == artefact()


def test_a_changed_file_or_another_hash_is_refused(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    folder = store.save(artefact())
    version = artefact().manifest.version
    with pytest.raises(DependencyError, match="the record says"):
        store.load("xgb", version, "0" * 64)
    model = bytearray(artefact().model)
    model[100] ^= 1
    (folder / MODEL_FILE).write_bytes(model)
    with pytest.raises(DependencyError, match="its manifest says"):
        store.load("xgb", version)
    (folder / MANIFEST_FILE).write_text("{}")
    with pytest.raises(DependencyError, match="not a manifest"):
        store.load("xgb", version)


def test_a_missing_artefact_and_a_name_that_leaves_the_store_are_refused(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    with pytest.raises(DependencyError, match="cannot be read"):
        store.load("xgb", "none")
    for model, version in (("..", "x"), ("xgb", "../../etc"), ("", "x"), ("a/b", "c")):
        with pytest.raises(DependencyError, match="cannot be the name"):
            store.load(model, version)


def test_a_manifest_with_another_hash_is_not_stored(tmp_path: Path) -> None:
    wrong = Artefact(msgspec.structs.replace(artefact().manifest, sha256="0" * 64), artefact().model)
    with pytest.raises(DependencyError, match="SHA-256"):
        ArtefactStore(tmp_path).save(wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_scorer_refuses_a_vector_that_is_not_whole() -> None:
    scorer = Scorer(artefact())
    features = artefact().manifest.features
    whole: dict[str, float | None] = dict.fromkeys(features, 0.5)
    assert sum(scorer.score(whole)) == pytest.approx(1.0, abs=1e-6)
    for value in (None, float("nan"), float("inf")):
        with pytest.raises(CorruptRecordError, match=features[0]):
            scorer.score({**whole, features[0]: value})
    assert missing_features(features, {}) == features
    with pytest.raises(CorruptRecordError):
        scorer.score({})


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(DependencyError, match="cannot be loaded"):
        Scorer(Artefact(artefact().manifest, b"no model"))
    fewer = msgspec.structs.replace(artefact().manifest, features=artefact().manifest.features[1:])
    with pytest.raises(DependencyError, match="shapes"):
        Scorer(Artefact(fewer, artefact().model))
