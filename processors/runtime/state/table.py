"""Faust's table over shards: one per assigned partition number, written only by the events of that partition."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from functools import cached_property
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, NoReturn, cast

from faust.streams import _current_event, current_event
from faust.tables import Table as FaustTable
from faust.types import CodecArg
from faust.types.windows import WindowT

from processors.runtime.api import serde
from processors.runtime.api.event import RecordEvent
from processors.runtime.api.streams import unsupported
from processors.runtime.state.disk import DiskStores, is_on_disk
from processors.runtime.state.store import MemoryStore, Shard, Store
from quantum.errors import AbortTransactionError

if TYPE_CHECKING:
    from processors.runtime.epochs.engine import Engine

_ABSENT: Any = object()


class Table(FaustTable[Any, Any]):
    """A table whose writes are part of the open epoch.

    Inside an event a key means the key in the shard of that event's partition, read and written; iteration covers all
    assigned partitions, :meth:`partition_keys` one. Outside of an event reads see what the last commit left, in whichever
    shard has the key, and writes are refused.

    Parameters
    ----------
    key_serializer, value_serializer
        Codecs of the changelog; without them Faust's choice by type.
    store
        Where the committed values are: ``memory://``, or ``rocksdb://`` for a folder in the application's ``datadir``. Without it as the
        application has it.
    """

    def __init__(
        self, *args: Any, key_serializer: CodecArg = None, value_serializer: CodecArg = None, on_changelog_event: Any = None,
        on_window_close: Any = None, use_partitioner: bool = False, is_global: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        if on_changelog_event is not None:
            unsupported("app.Table(on_changelog_event=...)", "use on_recover, which is called when a table has been restored")
        if on_window_close is not None:
            unsupported("app.Table(on_window_close=...)", "send from an agent when a later window begins")
        if use_partitioner:
            unsupported("app.Table(use_partitioner=True)", "repartition the stream by the table's key: stream.group_by(...)")
        if is_global:
            unsupported("app.GlobalTable", "send the records to every partition of a topic and keep them in an app.Table")
        if kwargs.get("options"):
            unsupported(f"app.Table(options={kwargs['options']!r})", "leave it out: the store's options are the same for all tables")
        given = kwargs.pop("store", None)
        self._given_store = None if given is None else str(given)  # as text: Faust takes a URL without a host for none
        if given is not None:
            is_on_disk(given, "app.Table(store=...)")
        super().__init__(*args, store=self._given_store, **kwargs)
        self._given_key_serializer = key_serializer
        self._given_value_serializer = value_serializer
        if key_serializer is not None:
            self.key_serializer = key_serializer
        if value_serializer is not None:
            self.value_serializer = value_serializer
        self.shards: dict[int, Shard] = {}
        self._ends: dict[int, list[tuple[float, Any]]] = {}
        self._open_latest: dict[int, float] = {}
        self.slot = -1

    def info(self) -> Mapping[str, Any]:
        """Return the arguments of a clone."""
        return {
            **super().info(),
            "key_serializer": self._given_key_serializer,
            "value_serializer": self._given_value_serializer,
            "store": self._given_store,
        }

    @cached_property
    def _engine(self) -> Engine:
        return cast("Engine", cast(Any, self.app).engine)

    @cached_property
    def on_disk(self) -> bool:
        """Whether its committed values are on disk."""
        return is_on_disk(self.app.conf.store if self._given_store is None else self._given_store, "app.Table(store=...)")

    @cached_property
    def encode_key(self) -> serde.Encode:
        """A key to the changelog's bytes; a window's key is JSON."""
        kind, serializer = (None, "json") if self.window else (self.key_type, self.key_serializer)
        return serde.encoder(self.app, kind, serializer, key=True)

    @cached_property
    def decode_key(self) -> serde.Decode:
        """A changelog's key to the table's."""
        kind, serializer = (None, "json") if self.window else (self.key_type, self.key_serializer)
        decode = serde.decoder(self.app, kind, serializer, key=True)
        return lambda data: self._to_key(decode(data))

    def new_shard(self, partition: int = 0, disk: DiskStores | None = None) -> Shard:
        """Return a shard of this table: an empty one, or, for a table that is on disk, one with what its folder has.

        Parameters
        ----------
        partition
            The partition number.
        disk
            The worker's folder; without it the shard is in memory.
        """
        encode = serde.encoder(self.app, self.value_type, self.value_serializer, key=False)
        decode = serde.decoder(self.app, self.value_type, self.value_serializer, key=False)
        store: Store = MemoryStore(self.decode_key)
        if self.on_disk and disk is not None:
            store = disk.open(self.name, partition, self.encode_key, self.decode_key)
        return Shard(encode, decode, store)

    def open_partition(self, partition: int, shard: Shard) -> None:
        """Serve a restored partition."""
        self.shards[partition] = shard
        if self._should_expire_keys():
            ends = self._ends[partition] = []
            self._partition_latest_timestamp[partition] = 0.0
            for key in shard.store:
                self._note_window(partition, ends, key)

    def close_partitions(self, keep: Collection[int] = ()) -> None:
        """Forget all partitions but these."""
        self.shards = {number: shard for number, shard in self.shards.items() if number in keep}
        self._ends = {number: ends for number, ends in self._ends.items() if number in keep}
        self._open_latest = {number: latest for number, latest in self._open_latest.items() if number in keep}

    def roll_back(self) -> None:
        """Forget what the open epoch wrote."""
        self._open_latest.clear()
        for shard in self.shards.values():
            shard.rollback()

    def _set_key(self, key: Any, value: Any) -> None:
        """Write a window's value; the stream's time is that of the latest window at once, not when the epoch ends."""
        self[key] = value
        if self._should_expire_keys():
            partition = cast(RecordEvent, current_event()).source.partition
            self._open_latest[partition] = max(self._open_latest.get(partition, 0.0), key[1][1])

    def _relative_now(self, event: Any = None) -> float:
        """Return the end of the latest window of the event's partition, as Faust does, the open epoch's windows included."""
        latest = super()._relative_now(event)
        found = event if event is not None else current_event()
        return latest if found is None else max(latest, self._open_latest.get(found.message.partition, 0.0))

    def _note_window(self, partition: int, ends: list[tuple[float, Any]], key: Any) -> None:
        end = key[1][1]
        heappush(ends, (end, key))
        self._partition_latest_timestamp[partition] = max(self._partition_latest_timestamp[partition], end)

    def expire(self, partition: int, written: Iterable[Any]) -> None:
        """Delete, as part of the open epoch, the windows that the stream's time has left behind.

        Parameters
        ----------
        partition
            The partition number.
        written
            The keys that the open epoch wrote.
        """
        if not self._should_expire_keys():
            return
        self._open_latest.pop(partition, None)
        ends, shard = self._ends[partition], self.shards[partition]
        for key in written:
            self._note_window(partition, ends, key)
        window = cast(WindowT, self.window)
        latest = self._partition_latest_timestamp[partition]
        while ends and window.stale(ends[0][0], latest):
            _, key = heappop(ends)
            if key in shard:
                shard.delete(key)

    def _writable(self) -> Shard:
        reference = _current_event.get(None)
        event: Any = reference() if reference is not None else None
        if event is None:
            raise TypeError(f"table {self.name} can be changed only by an agent, while it has an event")
        if event.epoch != self._engine.epoch:
            raise self._over()
        return event.source.shards[self.slot]  # type: ignore[no-any-return]  # an event of the runtime's, see RecordEvent

    def _over(self) -> AbortTransactionError:
        return AbortTransactionError(
            f"table {self.name} is used for an event whose epoch is over",
            "finish the work of an event before taking the next",
        )

    def _readable(self) -> Shard | None:
        return None if _current_event.get(None) is None else self._writable()

    def _anywhere(self, key: Any) -> Any:
        for shard in self.shards.values():
            value = shard.committed(key, _ABSENT)
            if value is not _ABSENT:
                return value
        return _ABSENT

    def __getitem__(self, key: Any) -> Any:
        reference = _current_event.get(None)
        value = self._writable().get(key, _ABSENT) if reference is not None else self._anywhere(key)
        return self.__missing__(key) if value is _ABSENT else value

    def __setitem__(self, key: Any, value: Any) -> None:
        self._writable().set(key, value)

    def __delitem__(self, key: Any) -> None:
        shard = self._writable()
        if key not in shard:
            raise KeyError(key)
        shard.delete(key)

    def __contains__(self, key: object) -> bool:
        shard = self._readable()
        return key in shard if shard is not None else self._anywhere(key) is not _ABSENT

    def get_many(self, keys: Iterable[Any]) -> list[Any]:
        """Return the values of keys, a missing one's default; for batches, one look at the event instead of one a key."""
        shard = self._writable()
        values = [shard.get(key, _ABSENT) for key in keys]
        if _ABSENT in values:
            values = [self.__missing__(key) if value is _ABSENT else value for key, value in zip(keys, values, strict=True)]
        return values

    def put_many(self, values: Mapping[Any, Any]) -> None:
        """Write the values of many keys."""
        put = self._writable().set
        for key, value in values.items():
            put(key, value)

    def partition_keys(self, partition: int) -> list[Any]:
        """Return the keys of one assigned partition, as the open epoch sees them."""
        shard = self.shards.get(partition)
        return [] if shard is None else list(shard.keys())

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        inside = self._readable() is not None
        for shard in list(self.shards.values()):
            for key in shard.keys() if inside else shard.store:
                value = shard.look(key, _ABSENT) if inside else shard.committed(key, _ABSENT)
                if value is not _ABSENT:
                    yield key, value

    def __iter__(self) -> Iterator[Any]:
        inside = self._readable() is not None
        for shard in list(self.shards.values()):
            yield from shard.keys() if inside else shard.store

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards.values())

    def items(self) -> ItemsView[Any, Any]:
        """Return keys and values of all assigned partitions."""
        return _Items(self)

    def keys(self) -> KeysView[Any]:
        """Return the keys of all assigned partitions."""
        return KeysView(self)

    def values(self) -> ValuesView[Any]:
        """Return the values of all assigned partitions."""
        return _Values(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Write many keys, as ``dict.update`` does."""
        self.put_many(dict(*args, **kwargs))

    def clear(self) -> None:
        """Delete the keys of the current event's partition."""
        shard = self._writable()
        for key in list(shard.keys()):
            shard.delete(key)

    def copy(self) -> dict[Any, Any]:
        """Return a dictionary of all assigned partitions."""
        return dict(self._pairs())

    def __repr__(self) -> str:
        return f"<Table {self.name}: {len(self)} keys in partitions {sorted(self.shards)}>"

    def partition_for_key(self, key: Any) -> int | None:
        """Return the partition of the current event, whatever the key."""
        reference = _current_event.get(None)
        event = reference() if reference is not None else None
        if event is None:
            raise TypeError(f"table {self.name}: the partition of {key!r} is that of the event, and there is none")
        return cast(RecordEvent, event).source.partition

    def _join(self, join_strategy: Any) -> NoReturn:
        unsupported("table.join() and its kin", f"look the key up in the table from the stream's agent ({join_strategy!r})")

    def combine(self, *_nodes: Any, **_kwargs: Any) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported("table & stream", "look the key up in the table from the stream's agent")


class _Items(ItemsView[Any, Any]):
    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._table = table

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._table._pairs()


class _Values(ValuesView[Any]):
    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._table = table

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._table._pairs())
