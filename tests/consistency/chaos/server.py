"""A broker of one's own that can be killed and started again on the same ports and data."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.kafka.topics import prepare_coordinators
from infra.local import artefacts, manifest, process
from infra.local.servers import Kafka
from quantum.errors import DependencyError
from quantum.home import Home

_START_S = 60.0
_STOP_S = 20.0


class Server:
    """The Kafka of the local stack, alone: started with the block, ended with it, and with this process however that ends.

    Parameters
    ----------
    root
        Folder of its data and logs.

    Attributes
    ----------
    bootstrap
        Where it answers, also after it was started again.
    """

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self._kafka = Kafka()
        self._ports: dict[str, int] = {}
        self._record: process.ProcessRecord | None = None
        self.bootstrap = ""

    def __enter__(self) -> Self:
        artefacts.kafka(lambda _: None)
        for folder in (self.home.data, self.home.logs, self.home.run):
            folder.mkdir(parents=True, exist_ok=True)
        self._ports = manifest.choose_ports(self.home, self._kafka, 0)
        self.bootstrap = self._kafka.url(self._ports)
        self.start()
        prepare_coordinators(self.bootstrap)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves."""
        launch = self._kafka.prepare(self.home, self._ports)
        record = process.spawn(
            self.home, self._kafka.name, launch.argv, kind="server", log=self._kafka.output(self.home), env=launch.env, cwd=launch.cwd,
            ports=self._ports, die_with_parent=signal.SIGKILL,
        )  # fmt: skip
        self._record = record
        deadline = time.monotonic() + _START_S
        while not self._kafka.healthy(self.home, self._ports):
            if not process.is_alive(self.home, record) or time.monotonic() > deadline:
                raise DependencyError("the broker does not start", f"read {self._kafka.log(self.home)}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it with SIGKILL, as a machine's failure would."""
        assert self._record is not None
        os.kill(self._record.pid, signal.SIGKILL)
        while process.is_alive(self.home, self._record):
            time.sleep(0.01)

    def stop(self) -> None:
        """End it in order."""
        found = process.find(self.home, self._record) if self._record is not None else None
        if found is not None:
            process.terminate([found], _STOP_S)
