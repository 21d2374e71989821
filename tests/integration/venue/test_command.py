"""``quantum venue``: the venue as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from connectors.exchange.simulated.market.instruments import Product
from quantum.cli import main


def run_venue(tmp_path: Path, *options: str) -> tuple[subprocess.Popen[str], Any]:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "quantum", "venue", "--seed", "9", "--history-minutes", "5", "--ready-file", str(ready), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    return process, json.loads(ready.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_it_listens_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process, said = run_venue(tmp_path, *(["--json", "--control"] if number == signal.SIGTERM else []))
    try:
        assert said["pid"] == process.pid
        assert len({said[product.value]["port"] for product in Product}) == 3
        assert said["coinm"]["symbols"] == ["BTCUSD_PERP", "ETHUSD_PERP", "SOLUSD_PERP"]
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    if number == signal.SIGTERM:
        assert json.loads(out) == said
        assert said["control"].startswith("http://127.0.0.1:")
    else:
        assert "control" not in said
        assert all(said[product.value]["rest"] in out for product in Product)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--symbols", "NOPEUSDT"], "does not list NOPEUSDT"),
        (["--products", "options"], "there is no such product"),
        (["--balance", "-3"], "is no amount of money"),
    ],
)
def test_the_command_says_what_is_wrong(options: list[str], complaint: str) -> None:
    done = CliRunner().invoke(main, ["venue", *options])
    assert done.exit_code in (1, 2)
    assert complaint in done.output
