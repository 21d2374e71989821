"""Records that were polled and not dispatched yet."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

from confluent_kafka import Message


class Buffer:
    """Records in the order in which they were polled."""

    def __init__(self) -> None:
        self._records: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def ready(self) -> bool:
        """Whether :meth:`take` would return a record now."""
        return bool(self._records)

    def expect(self, behind: Iterable[tuple[str, int]]) -> None:
        """Say which topics and partitions have more on the broker; it does not matter to the order of polling."""

    def extend(self, messages: Sequence[Message]) -> None:
        """Add polled records."""
        self._records.extend(messages)

    def take(self, limit: int) -> list[Message]:
        """Remove and return the next records, at most ``limit``."""
        records = self._records
        if limit >= len(records):
            taken = list(records)
            records.clear()
            return taken
        return [records.popleft() for _ in range(limit)]

    def put_back(self, messages: Sequence[Message]) -> None:
        """Return records that were taken last, to be taken first."""
        self._records.extendleft(reversed(messages))

    def clear(self) -> None:
        """Forget all records."""
        self._records.clear()


class TimeOrderedBuffer(Buffer):
    """Records by their timestamps: of the heads of all topics with the same partition number, the earliest first.

    While a topic has nothing here but more on the broker, its partition number waits, so that a small topic is not overtaken
    by a large one in a replay; but not longer than ``patience_s``, since what is on the broker may be part of a transaction
    that is still open. What was put back goes first, as it was. Records of one topic and partition keep the order of their
    offsets whatever their timestamps are.
    """

    def __init__(self, patience_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._patience_s = patience_s
        self._clock = clock
        self._queues: dict[int, dict[str, deque[Message]]] = {}
        self._heads: dict[int, list[tuple[int, str]]] = {}
        self._behind: frozenset[tuple[str, int]] = frozenset()
        self._waiting: dict[int, float] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size + len(self._records)

    def extend(self, messages: Sequence[Message]) -> None:
        """Add polled records."""
        for message in messages:
            number, topic = int(message.partition() or 0), str(message.topic())
            queue = self._queues.setdefault(number, {}).setdefault(topic, deque())
            if not queue:
                heappush(self._heads.setdefault(number, []), (message.timestamp()[1], topic))
            queue.append(message)
        self._size += len(messages)

    def expect(self, behind: Iterable[tuple[str, int]]) -> None:
        """Say which topics and partitions have more on the broker than was polled."""
        self._behind = frozenset(behind)

    @property
    def ready(self) -> bool:
        """Whether :meth:`take` would return a record now."""
        return bool(self._records) or any(heads and not self._waits(number) for number, heads in self._heads.items())

    def _waits(self, number: int) -> bool:
        queues = self._queues[number]
        if not any(at == number and not queues.get(topic) for topic, at in self._behind):
            self._waiting.pop(number, None)
            return False
        since = self._waiting.setdefault(number, self._clock())
        return self._clock() - since < self._patience_s

    def take(self, limit: int) -> list[Message]:
        """Remove and return the next records, at most ``limit``."""
        taken = super().take(limit)
        for number, heads in self._heads.items():
            queues = self._queues[number]
            expected = {topic for topic, at in self._behind if at == number}
            while heads and len(taken) < limit:
                topic = heads[0][1]
                if expected and self._waits(number):
                    break
                heappop(heads)
                queue = queues[topic]
                taken.append(queue.popleft())
                self._size -= 1
                if queue:
                    heappush(heads, (queue[0].timestamp()[1], topic))
        return taken

    def clear(self) -> None:
        """Forget all records."""
        super().clear()
        self._queues.clear()
        self._heads.clear()
        self._waiting.clear()
        self._behind = frozenset()
        self._size = 0
