"""The stack of one home: start, stop, look."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from infra.local import artefacts, manifest, ports, process
from infra.local.lock import file_lock
from infra.local.process import ProcessRecord
from infra.local.servers import HistoryStore, Kafka, Registry, ServerSpec
from quantum.errors import ConfigurationError, DependencyError
from quantum.home import Endpoints, Home

NEEDED_BYTES = 2 * 1024**3
START_TIMEOUT_S = 120.0
SLOW_S = 20.0
PORT_ATTEMPTS = 3
SERVER_GRACE_S = 20.0
WORKER_GRACE_S = 10.0
LOCK_TIMEOUT_S = 120.0
_POLL_S = 0.05
_TAIL_LINES = 15
_TAIL_BYTES = 262_144
_CAUSE = "Caused by"
_PORT_TAKEN = ("already in use", "already bound", "BindException", "cannot be had")

State = Literal["healthy", "starting", "down"]


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the stack, as it is now.

    Attributes
    ----------
    name : str
        The server.
    state : str
        ``healthy``: it serves; ``starting``: its process runs but does not serve (yet); ``down``: no process.
    pid : int, optional
        Process id.
    port : int, optional
        Where clients connect.
    rss_bytes : int, optional
        Resident memory.
    uptime_s : float, optional
        Seconds since it was started.
    url : str, optional
        Where clients connect.
    log : str
        Its log file.
    """

    name: str
    state: State
    pid: int | None
    port: int | None
    rss_bytes: int | None
    uptime_s: float | None
    url: str | None
    log: str


class Stack:
    """Kafka, the registry and the history store of one home.

    Parameters
    ----------
    home
        The folder of everything that they write.
    ports
        Ports that are asked for, by server name; 0 for any free one. Without: those of the last start, else the usual ones, else free ones.
    servers
        The servers, in the order in which they are ended; default registry, store, Kafka.
    die_with_parent
        End the servers when the thread that calls ``up`` ends, however it ends. For tests.
    """

    def __init__(
        self,
        home: Home,
        *,
        ports: Mapping[str, int] | None = None,
        servers: Sequence[ServerSpec] | None = None,
        die_with_parent: bool = False,
    ) -> None:
        self.home = home
        self.servers = list(servers) if servers is not None else [Registry(), HistoryStore(), Kafka()]
        self._asked = dict(ports or {})
        self._die_with_parent = signal.SIGKILL if die_with_parent else None
        self._written: dict[Path, int] = {}  # how long each log was when its server was started
        unknown = self._asked.keys() - {server.name for server in self.servers}
        if unknown:
            raise ConfigurationError(
                f"there is no server {', '.join(sorted(unknown))}", f"the servers are {', '.join(s.name for s in self.servers)}"
            )

    def up(self, progress: Callable[[str], None] | None = None) -> Endpoints:
        """Start what does not run, wait until all of it serves, and say where.

        Parameters
        ----------
        progress
            Told what happens, one line each.

        Raises
        ------
        DependencyError
            Something that is needed cannot be had: network, disk, port; or a server ended while it started.
        """
        tell = progress or (lambda _: None)
        try:
            with self._locked(tell):
                return self._up(tell)
        except OSError as error:
            raise DependencyError(
                f"{self.home.root} cannot be used: {error}", "free space, fix its permissions or set QUANTUM_HOME"
            ) from error

    def down(self, progress: Callable[[str], None] | None = None) -> list[str]:
        """End what was started for this home, and nothing else; return the names of what was ended.

        Workers first, then the servers in their order. What is found only by its mark (its launcher was killed before it could record
        it) is ended too.
        """
        tell = progress or (lambda _: None)
        if not self.home.root.exists():
            return []
        with self._locked(tell):
            self.home.endpoints_file.unlink(missing_ok=True)  # supervisors restart nothing once it is gone
            ended: list[str] = []
            while running := self._running():  # again, because one that was just being started can be missed
                servers = [server.name for server in self.servers]
                workers = [name for name in running if name not in servers]
                self._end(workers, running, WORKER_GRACE_S, tell)
                for name in servers:
                    self._end([name], running, SERVER_GRACE_S, tell)
                ended += [name for name in (*workers, *servers) if name in running and name not in ended]
            for record in process.records(self.home):
                process.forget(self.home, record.name)
            return ended

    def status(self) -> list[ServerStatus]:
        """Return how each server is now, Kafka first."""
        return [self._status(server) for server in reversed(self.servers)]

    def _locked(self, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        return file_lock(self.home.run / "stack.lock", timeout_s=LOCK_TIMEOUT_S, waiting=tell)

    def _up(self, tell: Callable[[str], None]) -> Endpoints:
        manifest.load(self.home)  # a home that cannot be served is refused before anything is touched
        running = {server.name: record for server in self.servers if (record := self._serving(server)) is not None}
        for name, record in running.items():
            asked, has = self._asked.get(name), self._server(name).port(record.ports)
            if asked and asked != has:
                raise ConfigurationError(f"{name} runs on port {has}, not on {asked}", "end it first: quantum down")
        missing = [server for server in self.servers if server.name not in running]
        if missing:
            for folder in (self.home.data, self.home.logs, self.home.run):
                folder.mkdir(parents=True, exist_ok=True)
            artefacts.check_space(self.home.root, NEEDED_BYTES)
            for server in missing:
                server.fetch(tell)
            running |= self._start(missing, tell)
        url = {server.name: server.url(running[server.name].ports) for server in self.servers}
        endpoints = Endpoints(kafka=url["kafka"], registry=url["registry"], clickhouse=url["store"])
        if self.home.endpoints() != endpoints:
            self.home.write_endpoints(endpoints)
        return endpoints

    def _serving(self, server: ServerSpec) -> ProcessRecord | None:
        """Return the record of a server that serves; one that runs but is slow to answer gets some time before it counts as hung."""
        record = process.record_of(self.home, server.name)
        deadline = time.monotonic() + SLOW_S
        while record is not None and process.is_alive(self.home, record):
            if server.healthy(self.home, record.ports):
                return record
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)
        return None

    def _start(self, missing: list[ServerSpec], tell: Callable[[str], None]) -> dict[str, ProcessRecord]:
        """Start servers side by side; where one fails, end those that this call started."""
        names = {server.name for server in missing}
        # What hangs, or was started by a launcher that was killed before it could write it down: its data folder must be free.
        stale = [found for name, found in process.marked(self.home) if name in names]
        process.terminate(stale, SERVER_GRACE_S)
        begun = time.monotonic()
        try:
            started = {server.name: self._launch(server, tell) for server in missing}
            waiting = {server.name: (server, 1) for server in missing}
            while waiting:
                for name, (server, attempt) in list(waiting.items()):
                    if not process.is_alive(self.home, started[name]):
                        started[name] = self._again(server, attempt, tell)
                        waiting[name] = (server, attempt + 1)
                    elif server.healthy(self.home, started[name].ports):
                        tell(f"{name} serves on {server.url(started[name].ports)} after {time.monotonic() - begun:.1f} s")
                        del waiting[name]
                    elif time.monotonic() - begun > START_TIMEOUT_S:
                        raise DependencyError(
                            f"{name} does not answer {START_TIMEOUT_S:.0f} s after its start. Its last lines:\n{self._tail(server)}",
                            f"read {server.log(self.home)}",
                        )
                time.sleep(_POLL_S)
        except BaseException:  # Ctrl-C too: no half stack stays
            process.terminate([found for name, found in process.marked(self.home) if name in names], SERVER_GRACE_S)
            for name in names:
                process.forget(self.home, name)
            raise
        return started

    def _launch(self, server: ServerSpec, tell: Callable[[str], None]) -> ProcessRecord:
        chosen = manifest.choose_ports(self.home, server, self._asked.get(server.name))
        for use, port in chosen.items():
            usual = server.usual_ports[use]
            if port != usual and self._asked.get(server.name) is None and not ports.is_free(usual):
                tell(f"port {usual} is taken by {ports.holder(usual)}: {server.name} gets {port} ({use})")
        launch = server.prepare(self.home, chosen)
        manifest.remember(self.home, server.name, chosen)
        self._written = {**self._written, **{path: path.stat().st_size if path.exists() else 0 for path in self._logs(server)}}
        return process.spawn(
            self.home,
            server.name,
            launch.argv,
            kind="server",
            log=server.output(self.home),
            env=launch.env,
            cwd=launch.cwd,
            ports=chosen,
            die_with_parent=self._die_with_parent,
            rotating=server.rotating,
        )

    def _again(self, server: ServerSpec, attempt: int, tell: Callable[[str], None]) -> ProcessRecord:
        """Start a server again on other ports where another program was quicker to take one; anything else is an error."""
        asked = self._asked.get(server.name)
        if attempt < PORT_ATTEMPTS and not asked and any(sign in line for line in self._lines(server) for sign in _PORT_TAKEN):
            tell(f"a port of {server.name} was taken meanwhile: trying another")
            return self._launch(server, tell)
        raise DependencyError(
            f"{server.name} ended while it started. What it wrote:\n{self._tail(server)}", f"read {server.log(self.home)}"
        )

    def _running(self) -> dict[str, list[psutil.Process]]:
        running = dict[str, list[psutil.Process]]()
        for name, found in process.marked(self.home):
            running.setdefault(name, []).append(found)
        return running

    def _end(self, names: Iterable[str], running: Mapping[str, list[psutil.Process]], grace_s: float, tell: Callable[[str], None]) -> None:
        here = [name for name in names if name in running]
        if here:
            tell(f"ending {', '.join(here)}")
            process.terminate([found for name in here for found in running[name]], grace_s)

    def _status(self, server: ServerSpec) -> ServerStatus:
        log = str(server.log(self.home))
        record = process.record_of(self.home, server.name)
        found = None if record is None else process.find(self.home, record)
        if record is None or found is None:
            return ServerStatus(name=server.name, state="down", pid=None, port=None, rss_bytes=None, uptime_s=None, url=None, log=log)
        try:
            rss, created = found.memory_info().rss, found.create_time()
        except psutil.NoSuchProcess:  # it ended between the two looks
            return ServerStatus(name=server.name, state="down", pid=None, port=None, rss_bytes=None, uptime_s=None, url=None, log=log)
        return ServerStatus(
            name=server.name,
            state="healthy" if server.healthy(self.home, record.ports) else "starting",
            pid=record.pid,
            port=server.port(record.ports),
            rss_bytes=rss,
            uptime_s=time.time() - created,
            url=server.url(record.ports),
            log=log,
        )

    def _server(self, name: str) -> ServerSpec:
        return next(server for server in self.servers if server.name == name)

    def _logs(self, server: ServerSpec) -> list[Path]:
        return list(dict.fromkeys((server.log(self.home), server.output(self.home))))

    def _lines(self, server: ServerSpec) -> list[str]:
        """Return what a server wrote since it was started, as far as it is not too much."""
        lines: list[str] = []
        for path in self._logs(server):
            if path.exists():
                size, before = path.stat().st_size, self._written.get(path, 0)
                with path.open("rb") as stream:
                    stream.seek(max(before if before <= size else 0, size - _TAIL_BYTES))
                    lines += stream.read().decode(errors="replace").splitlines()
        return lines

    def _tail(self, server: ServerSpec) -> str:
        """Return the causes that a server named since it was started, and its last lines."""
        lines = self._lines(server)
        causes = [line for line in lines[:-_TAIL_LINES] if line.startswith(_CAUSE)][-_TAIL_LINES:]
        return "\n".join(f"  {line}" for line in (*causes, *lines[-_TAIL_LINES:])) or "  (it wrote nothing)"
