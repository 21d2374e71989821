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
        self._stack: Stack | None = None
        self.folder = Path()

    def __enter__(self) -> Self:
        self.folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="quantum-bench-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exits.__exit__(kind, error, trace)

    @property
    def home(self) -> Home:
        """Home of this run's servers."""
        return Home(self.folder / "servers")

    def stack(self) -> Stack:
        """Return this run's servers; starts them the first time."""
        if self._stack is None:
            stack = temporary_stack(self.home.root)
            self._exits.callback(stack.down)
            prepare_coordinators(stack.up().kafka)
            self._stack = stack
        return self._stack

    def endpoints(self) -> Endpoints:
        """Return where Kafka, the registry and the store of this run answer."""
        self.stack()
        found = self.home.endpoints()
        if found is None:
            raise AssertionError("the servers of this run have been ended")
        return found

    def unique(self) -> str:
        """Return a name for topics, tables and groups that nothing else has."""
        return f"bench{uuid.uuid4().hex[:10]}"
