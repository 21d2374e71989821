"""The overlay: what an epoch writes is seen by it, kept by a commit and forgotten by an abort, wherever committed values are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.runtime.state.rocks import RocksStore, options
from processors.runtime.state.store import Mark, MemoryStore, Shard, Store

_MISSING = object()
_OPTIONS = options()
Make = Callable[..., Shard]


def shard_over(store: Store, **committed: Any) -> Shard:
    store.load([(key.encode(), json.dumps(value).encode()) for key, value in committed.items()], Mark("id", len(committed), 0.0))
    return Shard(lambda value: json.dumps(value).encode(), json.loads, store)


def on_disk(folder: Path) -> RocksStore:
    return RocksStore(folder, str.encode, bytes.decode, _OPTIONS)


@pytest.fixture(params=["memory", "disk"])
def shard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make a shard with committed values."""
    with ExitStack() as closing:

        def make(**committed: Any) -> Shard:
            store: Store = MemoryStore(bytes.decode) if request.param == "memory" else on_disk(tmp_path / "shard")
            closing.callback(store.close)
            return shard_over(store, **committed)

        yield make


def test_an_epoch_sees_its_own_writes(shard: Make) -> None:
    values = shard(a=1)
    values.set("a", 2)
    values.set("b", 3)
    assert (values.get("a", _MISSING), values.get("b", _MISSING)) == (2, 3)
    values.delete("a")
    assert values.get("a", _MISSING) is _MISSING
    assert "a" not in values
    assert list(values.keys()) == ["b"]
    assert len(values) == 1


def test_the_committed_view_is_blind_to_the_open_epoch(shard: Make) -> None:
    values = shard(a=[1])
    values.get("a", _MISSING).append(2)
    values.set("b", 1)
    assert values.committed("a", _MISSING) == [1]
    assert values.committed("b", _MISSING) is _MISSING
    assert values.committed_keys() == ["a"]


def test_rollback_forgets_writes_deletions_and_changes_in_place(shard: Make) -> None:
    values = shard(a=[1], b=2, c=[3])
    values.get("a", _MISSING).append(9)
    values.set("b", 7)
    values.delete("c")
    values.set("d", 4)
    values.rollback()
    assert {key: values.get(key, _MISSING) for key in values.keys()} == {"a": [1], "b": 2, "c": [3]}  # noqa: SIM118  # a shard is no dict
    assert not values.changes()


def test_a_change_in_place_that_is_not_written_back_does_not_outlive_its_epoch(shard: Make) -> None:
    values = shard(a=[1])
    values.get("a", _MISSING).append(2)
    values.apply(values.changes())
    assert values.get("a", _MISSING) == [1]


def test_a_change_in_place_that_is_written_back_is_one_changelog_record(shard: Make) -> None:
    values = shard(a=[1])
    for number in (2, 3):
        state = values.get("a", _MISSING)
        state.append(number)
        values.set("a", state)
    changes = values.changes()
    assert changes == [("a", b"[1, 2, 3]")]
    values.apply(changes)
    assert values.committed("a", _MISSING) == [1, 2, 3]
    assert not values.touched


def test_what_is_written_back_unchanged_is_no_change(shard: Make) -> None:
    values = shard(a=[1])
    values.set("a", values.get("a", _MISSING))
    values.delete("never there")
    assert values.changes() == []


def test_a_deletion_is_a_tombstone(shard: Make) -> None:
    values = shard(a=1)
    values.delete("a")
    changes = values.changes()
    assert changes == [("a", None)]
    values.apply(changes)
    assert "a" not in values
    assert len(values) == 0


def test_a_shard_over_a_disk_keeps_few_decoded_values(tmp_path: Path) -> None:
    store = on_disk(tmp_path / "shard")
    store.most_decoded = 10
    values = shard_over(store, **{f"k{number}": number for number in range(100)})
    total = sum(values.get(f"k{number}", _MISSING) for number in range(100))
    values.set("k0", -1)
    lists = [values.get(f"k{number}", _MISSING) for number in range(100)]
    assert (total, lists) == (4950, [-1, *range(1, 100)])
    assert len(values._cache) <= 10
    values.apply(values.changes())
    for number in range(100):
        values.set(f"k{number}", [number])
    for number in range(50):
        values.get(f"k{number}", _MISSING).append(number)
    assert len(values._cache) == 100
    values.apply(values.changes())
    assert len(values._cache) <= 10
    assert [values.look(f"k{number}", _MISSING) for number in (0, 49, 50)] == [[0, 0], [49, 49], [50]]
    store.close()


_OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "delete", "append", "read", "commit", "abort", "reopen"]), st.sampled_from("abcdef"), st.integers(0, 5)
    ),
    max_size=60,
)


class Model:
    """What a shard must do, by two dictionaries.

    Parameters
    ----------
    store
        Gives the store again, as a new process would see it.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self.values = shard_over(store())
        self.values.store.most_decoded = min(3, self.values.store.most_decoded)
        self.committed: dict[str, list[int]] = {}
        self.seen: dict[str, list[int]] = {}

    def do(self, operation: str, key: str, number: int) -> None:
        values, seen = self.values, self.seen
        if operation == "set":
            values.set(key, [number])
            seen[key] = [number]
        elif operation == "delete":
            values.delete(key)
            seen.pop(key, None)
        elif operation == "append":
            state = values.get(key, [])
            state.append(number)
            values.set(key, state)
            seen[key] = [*seen.get(key, []), number]
        elif operation == "read":
            assert values.get(key, None) == seen.get(key)
            assert values.look(key, None) == seen.get(key)
            assert values.committed(key, None) == self.committed.get(key)
        elif operation == "commit":
            values.apply(values.changes())
            self.committed = {name: list(value) for name, value in seen.items()}
        elif operation == "abort":
            values.rollback()
            self.seen = {name: list(value) for name, value in self.committed.items()}
        else:
            values.store.close()
            self.values = Shard(values._encode, values._decode, self._store())
            self.values.store.most_decoded = min(3, self.values.store.most_decoded)
            self.seen = {name: list(value) for name, value in self.committed.items()}

    def check(self) -> None:
        assert sorted(self.values.keys()) == sorted(self.seen)
        assert len(self.values) == len(self.seen)
        assert sorted(self.values.committed_keys()) == sorted(self.committed)
        assert all((key in self.values) == (key in self.seen) for key in "abcdef")


@given(_OPERATIONS)
def test_it_agrees_with_two_dictionaries(operations: list[tuple[str, str, int]]) -> None:
    kept = MemoryStore(bytes.decode)
    model = Model(lambda: kept)
    changelog: dict[str, bytes | None] = {}
    for operation in operations:
        changelog.update(model.values.changes() if operation[0] == "commit" else [])
        model.do(*operation)
        model.check()
    restored = MemoryStore(bytes.decode)
    restored.load([(key.encode(), data) for key, data in changelog.items()], Mark("id", 0, 0.0))
    assert {key: json.loads(restored.get(key) or b"") for key in restored} == model.committed


@settings(max_examples=40, deadline=None)  # each opens stores on a disk, which may be slow
@given(_OPERATIONS)
def test_on_disk_it_agrees_with_two_dictionaries(operations: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Model(lambda: on_disk(Path(folder) / "shard"))
        try:
            for operation in operations:
                model.do(*operation)
                model.check()
        finally:
            model.values.store.close()
