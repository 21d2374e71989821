"""One partition of one table: the committed values as bytes, and the open epoch's changes above them.

Decoded values are a cache over the committed bytes. What the open epoch has changed, or handed out in a form that can be
changed in place, is known by key; an abort forgets those decoded values, and the committed bytes are the truth again.

The committed bytes are in memory (:class:`MemoryStore`) or on disk (:class:`processors.runtime.state.rocks.RocksStore`). Either only ever
sees what was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Protocol

_IMMUTABLE: Final = frozenset({int, float, str, bytes, bool, type(None), complex})
_ABSENT: Final = object()
_DELETED: Final = object()

Change = tuple[Any, bytes | None]
Encode = Callable[[Any], bytes | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a store that outlives its process covers its changelog.

    Attributes
    ----------
    topic_id
        The changelog's id, another one if the topic was deleted and created again.
    position
        Every committed record before this offset is in the store; later ones may be, too.
    since
        When that was so, in seconds since 1970: a deletion after ``position`` was not in the changelog before.
    """

    topic_id: str
    position: int
    since: float


class Store(Protocol):
    """The committed bytes of a shard.

    Attributes
    ----------
    durable
        Whether it outlives the process; one that does has a mark.
    most_decoded
        How many decoded values the shard may keep above it.
    """

    durable: bool
    most_decoded: float

    @property
    def mark(self) -> Mark | None:
        """What it covers, None for nothing."""
        ...

    def get(self, key: Any, /) -> bytes | None:
        """Return the bytes of a key, None where it has none."""
        ...

    def __contains__(self, key: Any) -> bool: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys; the store may be changed meanwhile."""
        ...

    def apply(self, changes: Iterable[Change]) -> None:
        """Take an epoch's changes, all or none."""
        ...

    def load(self, records: Iterable[tuple[bytes, bytes | None]], mark: Mark) -> None:
        """Take records of the changelog, all or none, and how far they go."""
        ...

    def wipe(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """End its use."""
        ...


class MemoryStore:
    """Committed bytes in a dictionary.

    Parameters
    ----------
    decode_key
        A changelog's key to the table's.
    """

    durable = False
    most_decoded = inf
    mark: Mark | None = None

    def __init__(self, decode_key: Callable[[bytes], Any]) -> None:
        self._decode_key = decode_key
        self._values: dict[Any, bytes] = {}
        self.get: Callable[[Any], bytes | None] = self._values.get

    def __contains__(self, key: Any) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._values))

    def apply(self, changes: Iterable[Change]) -> None:
        """Take an epoch's changes."""
        values = self._values
        for key, data in changes:
            if data is None:
                values.pop(key, None)
            else:
                values[key] = data

    def load(self, records: Iterable[tuple[bytes, bytes | None]], mark: Mark) -> None:
        """Take records of the changelog."""
        self.apply((self._decode_key(key), data) for key, data in records)

    def wipe(self) -> None:
        """Forget everything."""
        self._values.clear()

    def close(self) -> None:
        """Do nothing: what reads the values outside of events may still do so."""


class Shard:
    """The values of one partition of a table.

    Parameters
    ----------
    encode
        A value to bytes.
    decode
        Bytes to a value.
    store
        The committed bytes.
    """

    __slots__ = ("_cache", "_decode", "_dirty", "_encode", "_lent", "_read", "_room", "store")

    def __init__(self, encode: Encode, decode: Callable[[bytes], Any], store: Store) -> None:
        self._encode = encode
        self._decode = decode
        self.store = store
        self._read = store.get
        self._cache: dict[Any, Any] = {}
        self._room = store.most_decoded
        self._dirty: dict[Any, None] = {}
        self._lent: set[Any] = set()

    def get(self, key: Any, missing: Any) -> Any:
        """Return the value that the open epoch sees, or ``missing``."""
        value = self._cache.get(key, _ABSENT)
        if value is _ABSENT:
            data = self._read(key)
            if data is None:
                return missing
            if len(self._cache) >= self._room:
                self._evict()
            value = self._cache[key] = self._decode(data)
        elif value is _DELETED:
            return missing
        if type(value) not in _IMMUTABLE:
            self._lent.add(key)
        return value

    def look(self, key: Any, missing: Any) -> Any:
        """Return what :meth:`get` does for one of very many keys: where decoded values are limited, a fresh copy that is not kept."""
        if key in self._cache or self.store.most_decoded == inf:
            return self.get(key, missing)
        return self.committed(key, missing)

    def committed(self, key: Any, missing: Any) -> Any:
        """Return a fresh copy of the value that the last commit left, or ``missing``."""
        data = self._read(key)
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
        return key in self.store if value is _ABSENT else value is not _DELETED

    def keys(self) -> Iterator[Any]:
        """Yield the keys that the open epoch sees; the shard may be changed meanwhile."""
        for key in self.store:
            if self._cache.get(key) is not _DELETED:
                yield key
        for key in list(self._dirty):
            if key not in self.store and self._cache[key] is not _DELETED:
                yield key

    def committed_keys(self) -> list[Any]:
        """Return the keys that the last commit left."""
        return list(self.store)

    def __len__(self) -> int:
        size = len(self.store)
        for key in self._dirty:
            size += (self._cache[key] is not _DELETED) - (key in self.store)
        return size

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
            before = self._read(key)
            after = None if value is _DELETED else self._encode(value)
            if before != after:
                changed.append((key, after))
        return changed

    def apply(self, changes: list[Change]) -> None:
        """Take the open epoch's changes as committed."""
        if changes:
            self.store.apply(changes)
        for key in self._dirty:
            if self._cache[key] is _DELETED:
                del self._cache[key]
        for key in self._lent:
            if key not in self._dirty:
                self._cache.pop(key, None)
        self._end()

    def rollback(self) -> None:
        """Forget the open epoch."""
        for key in self._dirty:
            self._cache.pop(key, None)
        for key in self._lent:
            self._cache.pop(key, None)
        self._end()

    def _end(self) -> None:
        self._dirty.clear()
        self._lent.clear()
        if len(self._cache) > self.store.most_decoded:
            self._evict()

    def _evict(self) -> None:
        """Forget the oldest decoded values, down to half of what is allowed, but none that the open epoch changed or handed out."""
        free = [key for key in self._cache if key not in self._dirty and key not in self._lent]
        for key in free[: len(self._cache) - int(self.store.most_decoded) // 2]:
            del self._cache[key]
        self._room = max(self.store.most_decoded, 2 * len(self._cache))
