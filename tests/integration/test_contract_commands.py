"""``quantum topics`` and ``quantum schemas`` as a person calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processors.topology import TOPICS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def quantum(stack: Any, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command against the servers of the test run."""
    environment = {
        **os.environ,
        "QUANTUM_HOME": str(home),
        "QUANTUM_KAFKA": stack.endpoints.kafka,
        "QUANTUM_REGISTRY": stack.endpoints.registry,
        "QUANTUM_CLICKHOUSE": stack.endpoints.clickhouse,
    }
    command = [sys.executable, "-m", "quantum", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)


def test_apply_then_check_finds_nothing_to_do(stack: Any, tmp_path: Path) -> None:
    for group in ("topics", "schemas"):
        applied = quantum(stack, tmp_path, group, "apply")
        assert applied.returncode == 0, applied.stderr
        checked = quantum(stack, tmp_path, group, "check", "--json")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        if group == "schemas":
            states = {state["subject"]: state for state in json.loads(checked.stdout)}
            assert {topic.subject for topic in TOPICS.values()} == set(states)
            assert all(state["registered"] and state["level"] == state["wanted_level"] for state in states.values())
        else:
            assert json.loads(checked.stdout) == []


def test_another_number_of_partitions_is_an_error_with_its_remedy(stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quantum(stack, tmp_path, "topics", "apply").returncode == 0
    monkeypatch.setenv("QUANTUM_PARTITIONS", "7")
    refused = quantum(stack, tmp_path, "topics", "check")
    assert refused.returncode == 1
    assert "QUANTUM_PARTITIONS" in refused.stderr
    assert "Traceback" not in refused.stderr
