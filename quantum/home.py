"""The folder that the platform keeps its data in, and what runs there now."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers of a running stack answer; written by ``quantum up``.

    Attributes
    ----------
    kafka : str
        Bootstrap servers, host:port.
    registry : str
        Base URL of the Confluent-compatible registry.
    clickhouse : str
        URL of ClickHouse's HTTP interface.
    """

    kafka: str
    registry: str
    clickhouse: str


class Home:
    """Paths below ``QUANTUM_HOME`` (default ``.quantum`` in the working directory).

    Parameters
    ----------
    root
        The folder; it need not exist yet.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or Path(os.environ.get("QUANTUM_HOME", ".quantum"))).absolute()

    @property
    def data(self) -> Path:
        """Data of the servers; survives down and up."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """Log files, rotated."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """One file a running process: its id, start time and ports."""
        return self.root / "run"

    @property
    def models(self) -> Path:
        """Model artefacts: ``<model>/<version>/``."""
        return self.root / "models"

    @property
    def state(self) -> Path:
        """Local copies of the stages' tables."""
        return self.root / "state"

    @property
    def schemas(self) -> Path:
        """What schema registries have answered, for processes that start while theirs is away."""
        return self.root / "schemas"

    @property
    def endpoints_file(self) -> Path:
        """Where ``quantum up`` says what answers where."""
        return self.run / "endpoints.json"

    def endpoints(self) -> Endpoints | None:
        """Return where the local stack answers, or None where none was started."""
        try:
            return msgspec.json.decode(self.endpoints_file.read_bytes(), type=Endpoints)
        except FileNotFoundError:
            return None

    def write_endpoints(self, endpoints: Endpoints) -> None:
        """Say where the local stack answers; readers never see half a file."""
        self.run.mkdir(parents=True, exist_ok=True)
        temporary = self.endpoints_file.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(endpoints), indent=2))
        temporary.replace(self.endpoints_file)
