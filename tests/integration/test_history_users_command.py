"""``quantum history users``, and the store that knows them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from connectors.clickhouse.server.users import FILE
from tests.integration.history_process import ROOT, StoreProcess
from tests.integration.test_sql_command import COMMAND

PASSWORD = "of-the-platform"


def history(home: Path, url: str, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    values = {**os.environ, "QUANTUM_HOME": str(home), "QUANTUM_CLICKHOUSE": url, "QUANTUM_CLICKHOUSE_PASSWORD": PASSWORD, **environment}
    command = [*COMMAND, *arguments]
    return subprocess.run(command, cwd=ROOT, env=values, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_an_analyst_is_added_reads_and_is_removed(tmp_path: Path) -> None:
    store = StoreProcess(tmp_path, {"QUANTUM_CLICKHOUSE_PASSWORD": PASSWORD}, ("--users", str(tmp_path / FILE))).start()
    try:
        bare = history(tmp_path, store.url, "history", "users", "add", "ann", QUANTUM_CLICKHOUSE_PASSWORD="")
        assert (bare.returncode, "QUANTUM_CLICKHOUSE_PASSWORD" in bare.stderr) == (1, True)
        added = history(tmp_path, store.url, "history", "users", "add", "ann")
        password = added.stdout.strip()
        assert (added.returncode, len(password) >= 24) == (0, True)
        typed = history(tmp_path, store.url, "history", "users", "add", "bob", "--password-stdin", stdin="bob's own long word\n")
        assert (typed.returncode, typed.stdout) == (0, "")
        assert json.loads(history(tmp_path, store.url, "history", "users", "list", "--json").stdout) == ["ann", "bob"]
        as_ann = {"QUANTUM_CLICKHOUSE_USER": "ann", "QUANTUM_CLICKHOUSE_PASSWORD": password}
        read = history(tmp_path, store.url, "sql", "SELECT 1 AS x", "--format", "csv", **as_ann)
        assert read.stdout == '"x"\n1\n', read.stderr
        refused = history(tmp_path, store.url, "sql", "CREATE TABLE x (a Int32) ENGINE = Memory", **as_ann)
        assert (refused.returncode, "READONLY" in refused.stderr) == (1, True)
        assert history(tmp_path, store.url, "history", "users", "remove", "ann").returncode == 0
        gone = history(tmp_path, store.url, "sql", "SELECT 1", **as_ann)
        assert (gone.returncode, "Authentication failed" in gone.stderr) == (1, True)
        assert history(tmp_path, store.url, "history", "users", "remove", "ann").returncode == 1
    finally:
        store.stop()


def test_a_store_with_analysts_and_no_password_does_not_start(tmp_path: Path) -> None:
    assert history(tmp_path, "http://127.0.0.1:1", "history", "users", "add", "ann").returncode == 0
    store = StoreProcess(tmp_path, arguments=("--users", str(tmp_path / FILE)))
    ended = subprocess.run(store.command(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "QUANTUM_CLICKHOUSE_PASSWORD" in ended.stderr
