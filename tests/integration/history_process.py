"""A history store of a test's own, that may be stopped and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from clickhouse_connect.driver.client import Client

from connectors.clickhouse.client import open_client

ROOT = Path(__file__).parents[2]
_START_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class StoreProcess:
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "store.log"

    def command(self, port: int | None = None) -> list[str]:
        place = ["--path", str(self.folder / "data"), "--port", str(port or self.port)]
        return [sys.executable, "-m", "connectors.clickhouse.server", *place, *self.arguments]

    def start(self) -> StoreProcess:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QUANTUM_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=ROOT, env={**clean, **self.environment}, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while True:
            try:
                if urllib.request.urlopen(f"{self.url}/ping", timeout=1).read() == b"Ok.\n":
                    return self
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def client(self, database: str = "quantum") -> Client:
        return open_client(self.url, database=database)

    def http(
        self,
        query: str | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
        **params: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """One plain HTTP request, as curl would make it."""
        if query is not None:
            params["query"] = query
        request = urllib.request.Request(f"{self.url}/?{urllib.parse.urlencode(params)}", data=body, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()
