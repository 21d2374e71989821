"""One process owns the store: start, stop, kill."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from quantum.errors import RetryError
from tests.integration.history_process import ROOT, StoreProcess, free_port

KILLS = 5


def test_a_second_process_is_refused_and_a_stopped_store_keeps_its_rows(tmp_path: Path) -> None:
    store = StoreProcess(tmp_path).start()
    store.http("CREATE TABLE quantum.kept (a Int32) ENGINE = MergeTree ORDER BY a", b"")
    store.http("INSERT INTO quantum.kept FORMAT CSV", b"1\n2\n")
    second = subprocess.run(store.command(free_port()), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert store.process is not None
    assert f"open in another process (pid {store.process.pid})" in second.stderr
    assert "remedy" in second.stderr
    slow = threading.Thread(target=lambda: store.http("SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_block_size = 1"))
    slow.start()
    time.sleep(0.3)
    assert store.stop() == 0
    slow.join()
    store.start()
    assert store.http("SELECT count() FROM quantum.kept")[2] == b"2\n"
    assert store.stop() == 0


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    first = StoreProcess(tmp_path / "a")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first.start()
    try:
        other = StoreProcess(tmp_path / "b", port=first.port)
        ended = subprocess.run(other.command(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert f"port {first.port}" in ended.stderr
    finally:
        first.stop()


@pytest.mark.timeout(300)
def test_every_acknowledged_row_survives_kill_9(tmp_path: Path) -> None:
    store = StoreProcess(tmp_path).start()
    store.http("CREATE TABLE quantum.acked (writer UInt8, block UInt64, n UInt32) ENGINE = MergeTree ORDER BY (writer, block)", b"")
    acked: list[tuple[int, int]] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        block, client = 0, None
        while not stop.is_set():
            block += 1
            try:
                client = client or store.client()
                client.raw_insert("quantum.acked", insert_block=f"{writer},{block},1\n" * 500, fmt="CSV")
                acked.append((writer, block))
            except (ClickHouseError, HTTPError, RetryError, OSError):
                client = None
                time.sleep(0.05)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for each in writers:
        each.start()
    for _ in range(KILLS):
        time.sleep(1.0)
        store.kill()
        store.start()
    time.sleep(0.5)
    stop.set()
    for each in writers:
        each.join()
    rows = store.client().query("SELECT writer, block, count() FROM quantum.acked GROUP BY writer, block").result_rows
    stored = {(writer, block): count for writer, block, count in rows}
    assert len(acked) > 50
    assert not [key for key in acked if stored.get(key, 0) < 500], "acknowledged rows are missing"
    assert {count % 500 for count in stored.values()} == {0}, "an insert is there in part"
    store.stop()
