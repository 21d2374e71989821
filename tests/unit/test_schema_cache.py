from __future__ import annotations

import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from connectors.registry.cache import SchemaCache
from connectors.registry.client import Registry
from infra.local.ports import HOST
from quantum.errors import RetryError

URL = "http://127.0.0.1:8081/apis/ccompat/v7"
SCHEMA = '{"type": "record", "name": "Tick", "fields": []}'


@pytest.fixture
def away() -> str:
    """URL of a registry that does not run."""
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://{HOST}:{port}/apis/ccompat/v7"


def test_what_was_kept_is_there_for_the_next_process_of_the_same_registry(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, URL)
    cache.keep_text(7, SCHEMA)
    cache.keep_id("market.tick-value", SCHEMA, 7)
    later = SchemaCache(tmp_path, URL)
    assert (later.text(7), later.id_under("market.tick-value", SCHEMA)) == (SCHEMA, 7)
    assert (later.text(8), later.id_under("market.tick-value", SCHEMA + " ")) == (None, None)
    assert later.id_under("market.quote-value", SCHEMA) is None
    assert SchemaCache(tmp_path, "http://elsewhere").text(7) is None


def test_a_later_answer_replaces_an_entry(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, URL)
    cache.keep_id("market.tick-value", SCHEMA, 7)
    cache.keep_id("market.tick-value", SCHEMA, 9)
    assert cache.id_under("market.tick-value", SCHEMA) == 9


def test_no_damaged_entry_is_believed(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, URL)
    cache.keep_text(7, SCHEMA)
    [path] = tmp_path.rglob("id-7.json")
    whole = path.read_bytes()
    for damaged in (b"", whole[:-10], whole.replace(b"Tick", b"Tock"), b"\x00" * len(whole)):
        path.write_bytes(damaged)
        assert cache.text(7) is None
    cache.keep_text(7, SCHEMA)
    assert cache.text(7) == SCHEMA


def test_an_entry_under_another_id_is_not_believed(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, URL)
    cache.keep_text(7, SCHEMA)
    [path] = tmp_path.rglob("id-7.json")
    path.rename(path.with_name("id-8.json"))
    assert cache.text(8) is None


def keep_many(folder: Path) -> int:
    cache = SchemaCache(folder, URL)
    unread = 0
    for round_ in range(50):
        for schema_id in range(5):
            cache.keep_text(schema_id, SCHEMA + " " * (round_ % 2))
            unread += cache.text(schema_id) is None
    return unread


def test_processes_that_write_at_once_never_show_half_an_entry(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        assert list(pool.map(keep_many, [tmp_path] * 3)) == [0, 0, 0]
    assert {path.name for path in tmp_path.rglob("*.json")} == {f"id-{schema_id}.json" for schema_id in range(5)}
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_costs_the_entry_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = SchemaCache(tmp_path / "file", URL)
    cache.keep_text(7, SCHEMA)
    assert cache.text(7) is None


def test_a_registry_that_is_away_answers_from_what_is_kept(away: str, tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, away)
    cache.keep_id("market.tick-value", SCHEMA, 7)
    cache.keep_text(7, SCHEMA)
    with Registry(away, tmp_path) as registry:
        assert registry.schema_of(registry.id_of("market.tick-value", SCHEMA)) == SCHEMA


def test_a_registry_that_is_away_names_itself_and_the_remedy(away: str, tmp_path: Path) -> None:
    with Registry(away, tmp_path) as registry:
        for _ in range(2):
            with pytest.raises(RetryError, match="schema id 7 is not known here") as caught:
                registry.schema_of(7)
            assert away in caught.value.message
            assert "quantum up" in caught.value.remedy
