"""``quantum sql`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pytest

from tests.integration.history_process import ROOT, StoreProcess, free_port

COMMAND = (sys.executable, "-c", "from quantum.cli import main; main()")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    started = StoreProcess(tmp_path_factory.mktemp("store")).start()
    started.http("CREATE TABLE quantum.t (a Int32, b Nullable(String), c Array(Int32)) ENGINE = MergeTree ORDER BY a", b"")
    started.http("INSERT INTO quantum.t VALUES", b"(1, 'x', [1, 2]), (2, NULL, [])")
    yield started
    started.stop()


def sql(url: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "sql", *arguments], cwd=ROOT, env=environment(url), input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "QUANTUM_CLICKHOUSE": url, "COLUMNS": "100"}


def test_a_table(store: StoreProcess) -> None:
    done = sql(store.url, "SELECT * FROM t ORDER BY a")
    assert done.returncode == 0
    assert "2 rows" in done.stdout
    assert "[1, 2]" in done.stdout


@pytest.mark.parametrize(
    ("form", "text"),
    [("csv", '"a","b"\n1,"x"\n2,\\N\n'), ("tsv", "a\tb\n1\tx\n2\t\\N\n"), ("jsonl", '{"a":1,"b":"x"}\n{"a":2,"b":null}\n')],
)
def test_formats(store: StoreProcess, form: str, text: str) -> None:
    assert sql(store.url, "SELECT a, b FROM t ORDER BY a", "--format", form).stdout == text


def test_json_markdown_and_a_format_in_the_statement(store: StoreProcess) -> None:
    assert json.loads(sql(store.url, "SELECT a FROM t ORDER BY a", "--format", "json").stdout)["data"] == [{"a": 1}, {"a": 2}]
    assert sql(store.url, "SELECT a FROM t ORDER BY a", "--format", "markdown").stdout.startswith("| a |\n")
    assert sql(store.url, "SELECT a FROM t ORDER BY a FORMAT CSV").stdout == "1\n2\n"


def test_changes_and_standard_input(store: StoreProcess) -> None:
    assert sql(store.url, "CREATE TABLE IF NOT EXISTS u (a Int32) ENGINE = MergeTree ORDER BY a").returncode == 0
    assert "3 rows written" in sql(store.url, "INSERT INTO u VALUES (1), (2), (3)").stderr
    assert sql(store.url, "--format", "csv", stdin="SELECT count() AS n FROM u\n").stdout == '"n"\n3\n'


def test_errors_are_clickhouses_own(store: StoreProcess) -> None:
    done = sql(store.url, "SELECT nope FROM t")
    assert done.returncode != 0
    assert "UNKNOWN_IDENTIFIER" in done.stderr
    assert "Traceback" not in done.stderr
    done = sql(store.url, "SELECT 1; SELECT 2")
    assert "Multi-statements" in done.stderr


def test_a_store_that_does_not_run_says_how_to_start_it() -> None:
    done = sql(f"http://127.0.0.1:{free_port()}", "SELECT 1")
    assert done.returncode != 0
    assert "quantum up" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_goes_to_a_file_that_is_whole_or_not_there(store: StoreProcess, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    assert sql(store.url, "SELECT a, b FROM t ORDER BY a", "--format", "parquet", "--output", str(rows)).returncode == 0
    assert pq.read_table(rows).to_pydict() == {"a": [1, 2], "b": ["x", None]}
    text = tmp_path / "rows.txt"
    assert sql(store.url, "SELECT a FROM t ORDER BY a", "-o", str(text)).returncode == 0
    assert text.read_text().split() == ["a", "━━━", "1", "2"]
    broken = tmp_path / "broken.jsonl"
    done = sql(
        store.url,
        "SELECT number, throwIf(number = 9000000) FROM numbers(10000000) SETTINGS max_threads = 1",
        "--format",
        "csv",
        "-o",
        str(broken),
    )
    assert done.returncode == 1
    assert "Code: 395" in done.stderr
    assert sorted(tmp_path.iterdir()) == [rows, text]
    done = sql(store.url, "SELECT 1", "--format", "csv", "-o", str(tmp_path / "none" / "x.csv"))
    assert "cannot be written" in done.stderr
    assert "remedy" in done.stderr


def test_a_result_that_is_too_large_says_what_to_do(store: StoreProcess) -> None:
    done = sql(store.url, "SELECT repeat('x', 1000) FROM numbers(1000000)", "--format", "json")
    assert done.returncode == 1
    assert "Code: 396" in done.stderr or "Code: 241" in done.stderr
