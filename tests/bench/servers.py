"""The servers of a run, started when the first benchmark asks for them."""

from __future__ import annotations

import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.kafka.topics import prepare_coordinators
from infra.local.stack import Stack
from quantum.home import Endpoints, Home

FREE_PORTS = {"kafka": 0, "registry": 0, "store": 0}


def temporary_stack(root: Path) -> Stack:
    """Return a stack on free ports that ends with this process, however it ends."""
    return Stack(Home(root), ports=FREE_PORTS, die_with_parent=True)


class Bench:
    """What the benchmarks of a run share.

    Attributes
    ----------
    folder
        Folder that is gone after the run.
    """

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._endpoints: Endpoints | None = None
        self.folder = Path()

    def __enter__(self) -> Self:
        self.folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="quantum-bench-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exits.__exit__(kind, error, trace)

    def endpoints(self) -> Endpoints:
        """Return where Kafka, the registry and the store of this run answer; starts them the first time."""
        if self._endpoints is None:
            stack = temporary_stack(self.folder / "servers")
            self._exits.callback(stack.down)
            self._endpoints = stack.up()
            prepare_coordinators(self._endpoints.kafka)
        return self._endpoints

    def unique(self) -> str:
        """Return a name for topics, tables and groups that nothing else has."""
        return f"bench{uuid.uuid4().hex[:10]}"
