"""The topology holds together: nothing is written for nobody, nothing is read that nobody writes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from processors.topology import NODES, REPLAY_MS, STAGES, TOPICS, Kind, Node, readers, writers

ROOT = Path(__file__).parents[2]
READ_CALLS = {"react", "sweep"}


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_writer_and_a_reader_besides_the_history(topic: str) -> None:
    assert writers(topic), f"nobody writes {topic}"
    assert [name for name in readers(topic) if name != "sink"], f"nobody but the history reads {topic}"


@pytest.mark.parametrize("node", NODES.values(), ids=lambda node: node.name)
def test_nodes_name_only_topics_that_exist(node: Node) -> None:
    assert set(node.reads) | set(node.writes) <= set(TOPICS)
    assert len(set(node.reads)) == len(node.reads)
    assert len(set(node.writes)) == len(node.writes)


def test_the_history_keeps_what_the_topology_says() -> None:
    assert set(NODES["sink"].reads) == {topic.name for topic in TOPICS.values() if topic.kept}


def test_internal_topics_belong_to_one_stage() -> None:
    for topic in TOPICS.values():
        if topic.internal:
            assert writers(topic.name) == [name for name in readers(topic.name) if name != "sink"]


def string_arguments(stage: str, calls: set[str]) -> set[str]:
    """Return the first string arguments of calls of some methods in a stage's agent.py."""
    tree = ast.parse((ROOT / "processors" / stage / "agent.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in calls:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def string_constants(stage: str) -> set[str]:
    """Return every string constant of a stage's modules that is the name of a topic."""
    found = set()
    for path in (ROOT / "processors" / stage).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in TOPICS:
                found.add(node.value)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_exactly_what_the_topology_says(stage: str) -> None:
    assert string_arguments(stage, {*READ_CALLS, "topic"}) & set(TOPICS) >= set(NODES[stage].reads)
    assert string_arguments(stage, READ_CALLS) <= set(NODES[stage].reads)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_writes_exactly_what_the_topology_says(stage: str) -> None:
    node = NODES[stage]
    assert string_constants(stage) >= set(node.writes), "declared as written, but no module of the stage names it"
    assert string_constants(stage) <= set(node.writes) | set(node.reads)


def test_only_what_a_stage_reads_can_gather() -> None:
    for node in NODES.values():
        assert set(node.gathers) <= set(node.reads), node.name
        assert not node.gathers or node.name in STAGES, node.name


def test_every_stage_has_logic_and_agent() -> None:
    for stage in STAGES:
        folder = ROOT / "processors" / stage
        assert (folder / "logic.py").is_file()
        assert (folder / "agent.py").is_file()


def test_logic_is_pure() -> None:
    forbidden = {
        "faust",
        "confluent_kafka",
        "aiohttp",
        "requests",
        "time",
        "socket",
        "asyncio",
        "threading",
        "random",
        "processors.runtime",
    }
    for stage in STAGES:
        for path in (ROOT / "processors" / stage).glob("*.py"):
            if path.name in {"agent.py", "trainer.py", "history.py"}:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not forbidden & set(names), f"{path.name} of {stage} imports {forbidden & set(names)}"


def test_kinds() -> None:
    assert {node.kind for node in NODES.values()} == set(Kind)


def test_no_input_of_a_stage_is_deleted_before_the_stage_can_no_longer_be_run_again() -> None:
    for stage in STAGES:
        for name in NODES[stage].reads:
            kept_ms = TOPICS[name].retention_ms
            assert kept_ms is None or kept_ms >= REPLAY_MS, name
