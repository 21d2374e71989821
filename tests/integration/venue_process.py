"""The simulated venue as a process of its own, and what a test asks it directly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.binance.signing import signed_query

PATIENCE_S = 60.0


class VenueProcess:
    """A running simulated venue.

    Parameters
    ----------
    usdm, spot, control
        Base URLs.
    """

    def __init__(self, usdm: str, spot: str, control: str) -> None:
        self.usdm = usdm
        self.spot = spot
        self.control = control
        self.access = VenueSettings(usdm_url=usdm, spot_url=spot, recv_window_ms=1_000, timeout_s=3.0)

    def fault(self, **fault: object) -> None:
        """Ask for a fault."""
        self._tell("faults", fault)

    def transfer(self, amount: str) -> None:
        """Pay money into the futures account, or out of it."""
        self._tell("transfers", {"amount": amount})

    def _tell(self, what: str, body: object) -> None:
        request = urllib.request.Request(f"{self.control}/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def requests(self) -> dict[tuple[str, int], int]:
        """Return how often the USD-margined market has answered: by request and by status or error code."""
        with urllib.request.urlopen(f"{self.control}/requests", timeout=10) as answer:
            return {(row["request"], row["code"]): row["count"] for row in json.load(answer) if row["product"] == "usdm"}

    def signed(self, path: str, method: str = "GET", **parameters: str | int) -> Any:
        """Return the answer of a signed request of the USD-margined market."""
        query = signed_query(self.access.api_secret.get_secret_value(), parameters, time.time_ns() // 1_000_000, 5_000)
        key = {"X-MBX-APIKEY": self.access.api_key.get_secret_value()}
        request = urllib.request.Request(f"{self.usdm}{path}?{query}", headers=key, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running_venue(folder: Path, *more: str, usdm_port: int = 0) -> Iterator[VenueProcess]:
    """Run a venue, with more options; on free ports where none is named."""
    ready = folder / "venue.json"
    with (folder / "venue.log").open("wb") as log:
        options = ["--ready-file", str(ready), "--history-minutes", "30", "--usdm-port", str(usdm_port), "--products", "usdm,spot"]
        command = [sys.executable, "-m", "quantum", "venue", "--control", *options, *more]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not ready.exists():
                assert process.poll() is None, (folder / "venue.log").read_text()
                assert time.monotonic() < deadline, "the venue does not start"
                time.sleep(0.05)
            endpoints = json.loads(ready.read_text())
            yield VenueProcess(endpoints["usdm"]["rest"], endpoints["spot"]["rest"], endpoints["control"])
        finally:
            process.terminate()
            process.wait(10)
