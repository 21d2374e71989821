"""The sample programs as processes: one started by its own ``app.main()``, by the ``faust`` command or by the runtime's ``run``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.consistency import samples

FOLDER = Path(samples.__file__).parent
_GRACE_S = 15.0


class Program:
    """A sample program that runs.

    Parameters
    ----------
    command
        Its command line.
    environment
        What it gets besides the test's own environment.
    folder
        Its working directory, where its identity and its log are kept.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._log = folder / "log"
        inherited = {name: value for name, value in os.environ.items() if name not in ("WORKER", "QUANTUM_WORKER")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env={**inherited, **environment}, cwd=folder, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def await_word(self, word: str, limit_s: float = 60.0) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + limit_s
        while word not in self.said:
            if time.monotonic() > deadline or self.status is not None:
                raise AssertionError(f"never said {word!r}: {self.said[-3000:]}")
            time.sleep(0.05)

    def wait(self, limit_s: float = 60.0) -> int:
        """Wait until it ends by itself; return its exit status."""
        return self._process.wait(limit_s)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def end(self) -> tuple[int, float]:
        """Ask it to stop; return its exit status and how long it took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_GRACE_S), time.monotonic() - started
        finally:
            self._process.kill()
            self._process.wait()


class Programs:
    """Starts sample programs; all of them end with the block.

    Parameters
    ----------
    bootstrap, prefix
        Their broker, and the prefix of their topics and of their application's id.
    folder
        Where their working directories are.
    """

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self._environment = {"BROKER": f"kafka://{bootstrap}", "PREFIX": prefix}
        self._folder = folder
        self._started: list[Program] = []

    def start(self, sample: str, *arguments: str, way: str = "main", folder: str = "one", **environment: str) -> Program:
        """Start a program.

        Parameters
        ----------
        sample
            Its module's name.
        arguments
            What follows on the command line: ``worker -l info``, or a command.
        way
            ``main``: ``python sample.py ARGUMENTS``, or any program that is named by its path; ``faust``: ``faust -A sample ARGUMENTS``;
            ``run``: ``run(app)``.
        folder
            Its working directory; workers that are to have an identity each may share one.
        environment
            More environment variables.
        """
        command = {
            "main": [sys.executable, str(FOLDER / Path(sample).with_suffix(".py")), *arguments],
            "faust": [str(Path(sys.executable).with_name("faust")), "-A", f"tests.consistency.samples.{sample}:app", *arguments],
            "run": [
                sys.executable, "-c",
                "import logging; logging.basicConfig(level='INFO'); from processors.runtime import run; "
                f"from tests.consistency.samples.{sample} import app; run(app)",
            ],
        }[way]  # fmt: skip
        root = str(FOLDER.parents[2])
        program = Program(command, {**self._environment, "PYTHONPATH": root, **environment}, self._folder / folder)
        self._started.append(program)
        return program

    def end(self) -> None:
        """Kill what still runs."""
        for program in self._started:
            program.kill()


@contextmanager
def programs(bootstrap: str, prefix: str, folder: Path) -> Iterator[Programs]:
    """Give what starts sample programs; however the block ends they do."""
    made = Programs(bootstrap, prefix, folder)
    try:
        yield made
    finally:
        made.end()
