"""The short form of ``python -m tests.consistency.day``: half an hour of a misbehaving venue, with another seed than the long one's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.campaign
@pytest.mark.stack
@pytest.mark.timeout(400)
def test_the_books_are_the_venues_after_half_an_hour_of_faults(tmp_path: Path) -> None:
    report = tmp_path / "day.json"
    options = ["--hours", "0.5", "--speed", "60", "--seed", "11", "--funding-minutes", "5", "--json", str(report)]
    command = [sys.executable, "-m", "tests.consistency.day", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    found = json.loads(report.read_text())["figures"]
    assert found["books"]["fills"] > 0
    assert found["books"]["settlements"] > 0
    assert found["reconciliation"]["rounds"] > 0
    assert sum(found["strikes"].values()) > 0
