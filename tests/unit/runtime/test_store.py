"""The overlay: what an epoch writes is seen by it, kept by a commit and forgotten by an abort."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.store import Shard

_MISSING = object()


def shard(**committed: Any) -> Shard:
    made = Shard(lambda value: json.dumps(value).encode(), json.loads)
    for key, value in committed.items():
        made.restore(key, json.dumps(value).encode())
    return made


def test_an_epoch_sees_its_own_writes() -> None:
    values = shard(a=1)
    values.set("a", 2)
    values.set("b", 3)
    assert (values.get("a", _MISSING), values.get("b", _MISSING)) == (2, 3)
    values.delete("a")
    assert values.get("a", _MISSING) is _MISSING
    assert "a" not in values
    assert list(values.keys()) == ["b"]
    assert len(values) == 1


def test_the_committed_view_is_blind_to_the_open_epoch() -> None:
    values = shard(a=[1])
    values.get("a", _MISSING).append(2)
    values.set("b", 1)
    assert values.committed("a", _MISSING) == [1]
    assert values.committed("b", _MISSING) is _MISSING
    assert values.committed_keys() == ["a"]


def test_rollback_forgets_writes_deletions_and_changes_in_place() -> None:
    values = shard(a=[1], b=2, c=[3])
    values.get("a", _MISSING).append(9)
    values.set("b", 7)
    values.delete("c")
    values.set("d", 4)
    values.rollback()
    assert {key: values.get(key, _MISSING) for key in values.keys()} == {"a": [1], "b": 2, "c": [3]}  # noqa: SIM118  # a shard is no dict
    assert not values.changes()


def test_a_change_in_place_that_is_not_written_back_does_not_outlive_its_epoch() -> None:
    values = shard(a=[1])
    values.get("a", _MISSING).append(2)
    values.apply(values.changes())
    assert values.get("a", _MISSING) == [1]


def test_a_change_in_place_that_is_written_back_is_one_changelog_record() -> None:
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


def test_what_is_written_back_unchanged_is_no_change() -> None:
    values = shard(a=[1])
    values.set("a", values.get("a", _MISSING))
    values.delete("never there")
    assert values.changes() == []


def test_a_deletion_is_a_tombstone() -> None:
    values = shard(a=1)
    values.delete("a")
    changes = values.changes()
    assert changes == [("a", None)]
    values.apply(changes)
    assert "a" not in values
    assert len(values) == 0


_OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["set", "delete", "append", "read", "commit", "abort"]), st.sampled_from("abc"), st.integers(0, 5)),
    max_size=40,
)


@given(_OPERATIONS)
def test_it_agrees_with_two_dictionaries(operations: list[tuple[str, str, int]]) -> None:
    values = shard()
    changelog: dict[str, Any] = {}
    committed: dict[str, list[int]] = {}
    seen: dict[str, list[int]] = {}
    for operation, key, number in operations:
        if operation == "set":
            values.set(key, [number])
            seen[key] = [number]
        elif operation == "delete":
            values.delete(key)
            seen.pop(key, None)
        elif operation == "append":
            state = [*values.get(key, []), number]
            values.set(key, state)
            seen[key] = [*seen.get(key, []), number]
        elif operation == "read":
            assert values.get(key, None) == seen.get(key)
        elif operation == "commit":
            changes = values.changes()
            changelog.update(changes)
            values.apply(changes)
            committed = dict(seen)
        else:
            values.rollback()
            seen = dict(committed)
        assert sorted(values.keys()) == sorted(seen)
    restored = shard()
    for name, data in changelog.items():
        restored.restore(name, data)
    assert {name: restored.committed(name, None) for name in restored.committed_keys()} == committed
