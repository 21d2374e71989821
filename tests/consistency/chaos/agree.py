"""After a campaign: the tables, their changelog and a recomputation from the input, key by key."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import cast

import msgspec

from processors.runtime.state.table import Table
from tests.consistency import broker
from tests.consistency.campaign import WorkerProcess
from tests.consistency.count_app import Tables, create_app, tables_of

_AUDIT_S = 60.0
_DUMP_S = 30.0


def recomputed(bootstrap: str, topic: str) -> Tables:
    """Return by partition what the input says: how often each key is there."""
    tables: dict[int, Counter[str]] = defaultdict(Counter)
    for row in broker.read_to_end(bootstrap, topic):
        tables[row.partition][row.key] += 1
    return {partition: dict(table) for partition, table in tables.items()}


def logged(bootstrap: str, topic: str) -> Tables:
    """Return by partition what a changelog says."""
    tables: Tables = defaultdict(dict)
    for row in broker.read_to_end(bootstrap, topic):
        tables[row.partition][row.key] = int(row.value)
    return dict(tables)


def held(workers: Iterable[WorkerProcess], partitions: Iterable[int]) -> Tables:
    """Return the tables as the workers that have lived through the campaign have them in memory; each partition is one's only.

    Raises
    ------
    AssertionError
        The workers do not come to have all partitions.
    """
    everywhere = sorted(partitions)
    deadline = time.monotonic() + _DUMP_S
    while True:
        dumps = [_dump(worker, deadline) for worker in workers]
        if sorted(partition for dump in dumps for partition in dump) == everywhere:
            return {partition: table for dump in dumps for partition, table in dump.items()}
        if time.monotonic() > deadline:
            raise AssertionError(f"workers have partitions {[sorted(dump) for dump in dumps]} instead of {everywhere}")
        time.sleep(0.2)


def _dump(worker: WorkerProcess, deadline: float) -> Tables:
    worker.dump.unlink(missing_ok=True)
    worker.signal(signal.SIGUSR1)
    while not worker.dump.exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"worker {worker.number} does not write its table: {worker.said[-2000:]}")
        time.sleep(0.02)
    return msgspec.json.decode(worker.dump.read_bytes(), type=Tables)


def restored(bootstrap: str, prefix: str, partitions: int) -> Tables:
    """Return the table as an application has it that comes new to the group when all others have left."""
    return asyncio.run(_audit(bootstrap, prefix, partitions))


async def _audit(bootstrap: str, prefix: str, partitions: int) -> Tables:
    app = create_app(prefix, bootstrap, worker="auditor")
    await app.start()
    try:
        table = cast(Table, app.tables["counts"])
        deadline = time.monotonic() + _AUDIT_S
        while len(table.shards) < partitions:
            if time.monotonic() > deadline:
                raise AssertionError(f"a new worker has partitions {sorted(table.shards)} after {_AUDIT_S:.0f} s")
            await asyncio.sleep(0.05)
        return tables_of(table)
    finally:
        await app.stop()


def differences(expected: Tables, others: dict[str, Tables]) -> list[str]:
    """Return what differs from what is expected, named."""
    found: list[str] = []
    for name, tables in others.items():
        for partition in sorted(expected.keys() | tables.keys()):
            want, has = expected.get(partition, {}), tables.get(partition, {})
            wrong = [key for key in want.keys() | has.keys() if want.get(key) != has.get(key)]
            if wrong:
                key = min(wrong)
                found.append(f"{name}, partition {partition}: {len(wrong)} keys, {key!r} is {has.get(key)}, not {want.get(key)}")
    return found
