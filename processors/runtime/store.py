"""One partition of one table: the committed values as bytes, and the open epoch's changes above them.

Decoded values are a cache over the committed bytes. What the open epoch has changed, or handed out in a form that can be
changed in place, is known by key; an abort forgets those decoded values, and the committed bytes are the truth again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

_IMMUTABLE: Final = frozenset({int, float, str, bytes, bool, type(None), complex})
_ABSENT: Final = object()
_DELETED: Final = object()

Change = tuple[Any, bytes | None]


class Shard:
    """The values of one partition of a table.

    Parameters
    ----------
    encode
        A value to bytes.
    decode
        Bytes to a value.
    """

    __slots__ = ("_cache", "_committed", "_decode", "_dirty", "_encode", "_lent")

    def __init__(self, encode: Callable[[Any], bytes | None], decode: Callable[[bytes], Any]) -> None:
        self._encode = encode
        self._decode = decode
        self._committed: dict[Any, bytes] = {}
        self._cache: dict[Any, Any] = {}
        self._dirty: dict[Any, None] = {}
        self._lent: set[Any] = set()

    def get(self, key: Any, missing: Any) -> Any:
        """Return the value that the open epoch sees, or ``missing``."""
        value = self._cache.get(key, _ABSENT)
        if value is _ABSENT:
            data = self._committed.get(key)
            if data is None:
                return missing
            value = self._cache[key] = self._decode(data)
        elif value is _DELETED:
            return missing
        if type(value) not in _IMMUTABLE:
            self._lent.add(key)
        return value

    def committed(self, key: Any, missing: Any) -> Any:
        """Return a fresh copy of the value that the last commit left, or ``missing``."""
        data = self._committed.get(key)
        return missing if data is None else self._decode(data)

    def set(self, key: Any, value: Any) -> None:
        """Write in the open epoch."""
        self._cache[key] = value
        self._dirty[key] = None

    def delete(self, key: Any) -> None:
        """Delete in the open epoch."""
        self._cache[key] = _DELETED
        self._dirty[key] = None

    def __contains__(self, key: Any) -> bool:
        value = self._cache.get(key, _ABSENT)
        return key in self._committed if value is _ABSENT else value is not _DELETED

    def keys(self) -> Iterator[Any]:
        """Yield the keys that the open epoch sees; the shard may be changed meanwhile."""
        for key in list(self._committed):
            if self._cache.get(key) is not _DELETED:
                yield key
        for key in list(self._dirty):
            if key not in self._committed and self._cache[key] is not _DELETED:
                yield key

    def committed_keys(self) -> list[Any]:
        """Return the keys that the last commit left."""
        return list(self._committed)

    def __len__(self) -> int:
        if not self._dirty:
            return len(self._committed)
        return sum(1 for _ in self.keys())

    @property
    def touched(self) -> bool:
        """Whether the open epoch has written a value, or read one that can be changed in place."""
        return bool(self._dirty or self._lent)

    def written(self) -> list[Any]:
        """Return the keys that the open epoch wrote and did not delete."""
        return [key for key in self._dirty if self._cache[key] is not _DELETED]

    def changes(self) -> list[Change]:
        """Return what the open epoch changed: key and bytes, None for a deletion; a value written back unchanged is none."""
        changed: list[Change] = []
        for key in self._dirty:
            value = self._cache[key]
            before = self._committed.get(key)
            after = None if value is _DELETED else self._encode(value)
            if before != after:
                changed.append((key, after))
        return changed

    def apply(self, changes: list[Change]) -> None:
        """Take the open epoch's changes as committed."""
        for key, data in changes:
            if data is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = data
        for key in self._dirty:
            if self._cache[key] is _DELETED:
                del self._cache[key]
        for key in self._lent:
            if key not in self._dirty:
                self._cache.pop(key, None)
        self._dirty.clear()
        self._lent.clear()

    def rollback(self) -> None:
        """Forget the open epoch."""
        for key in self._dirty:
            self._cache.pop(key, None)
        for key in self._lent:
            self._cache.pop(key, None)
        self._dirty.clear()
        self._lent.clear()

    def restore(self, key: Any, data: bytes | None) -> None:
        """Take one record of the changelog; None deletes."""
        if data is None:
            self._committed.pop(key, None)
        else:
            self._committed[key] = data
