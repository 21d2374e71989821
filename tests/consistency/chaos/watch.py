"""What can be seen from outside while a campaign runs: how far the group has committed, and which process did it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.consistency import broker

EVERY_S = 0.03


class Watcher(threading.Thread):
    """Reads a group's committed offsets all the time.

    The runtime writes beside every offset which epoch of which process of which worker committed it, so the first commit of a
    worker's new process, and thereby how long it was away, is read from the same answer.

    Parameters
    ----------
    bootstrap
        Bootstrap servers.
    group
        The group.
    topic
        Its input topic.
    """

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        super().__init__(daemon=True)
        settings = {"group.id": group, "isolation.level": "read_uncommitted", "enable.auto.commit": False, "log_level": 0}
        self._consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
        self._partitions = [TopicPartition(topic, number) for number in range(broker.PARTITIONS)]
        self._end = threading.Event()
        self._moves: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self._processes: dict[str, dict[str, float]] = defaultdict(dict)

    def run(self) -> None:
        """Watch."""
        while not self._end.wait(EVERY_S):
            try:
                answer = self._consumer.committed(self._partitions, 1.0)
            except KafkaException:  # the broker is away: nothing is committed meanwhile
                continue
            now = time.monotonic()
            for each in answer:
                moves = self._moves[each.partition]
                if each.error is None and each.offset >= 0 and (not moves or each.offset != moves[-1][1]):
                    moves.append((now, each.offset))
                    worker, process, _ = (each.metadata or "::").rsplit(":", 2)
                    self._processes[worker].setdefault(process, now)
        self._consumer.close()

    def finish(self) -> None:
        """Stop watching."""
        self._end.set()
        self.join()

    def positions(self) -> dict[int, int]:
        """Return the committed offsets, by partition."""
        return {partition: moves[-1][1] for partition, moves in list(self._moves.items()) if moves}

    def backwards(self) -> int:
        """Return how often a committed offset went back."""
        return sum(after < before for moves in self._moves.values() for (_, before), (_, after) in pairwise(moves))

    def away(self, worker: str, since: float, until: float) -> float | None:
        """Return after how many seconds a process of a worker committed that had not before ``since``; None where none did until then."""
        back = [at for at in self._processes.get(worker, {}).values() if since < at <= until]
        return min(back) - since if back else None

    def longest_pauses(self, since: float, until: float) -> Mapping[int, float]:
        """Return for each partition the longest time between two commits, in seconds; a partition without any has the whole time."""
        pauses: dict[int, float] = {}
        for each in self._partitions:
            at = [since, *(at for at, _ in self._moves[each.partition] if since < at < until), until]
            pauses[each.partition] = max(after - before for before, after in pairwise(at))
        return pauses
