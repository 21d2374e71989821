"""Faust's App with exactly-once agents, tables and sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from faust.app.base import BootStrategy as FaustBoot
from mode import Service, ServiceT
from prometheus_client import CollectorRegistry

from processors.runtime.api.agents import Agent
from processors.runtime.api.collector import look_less_often
from processors.runtime.api.streams import Stream, unsupported
from processors.runtime.api.support import aiokafka_security, credentials, session_timeout
from processors.runtime.api.surface import Surface
from processors.runtime.api.topics import Topic
from processors.runtime.epochs.engine import Engine
from processors.runtime.kafka.identity import Identity, identify
from processors.runtime.state.disk import is_on_disk
from processors.runtime.state.table import Table

#: Seconds that a worker that is to end has for its open epoch; what is not done then is dropped and done again by the next.
FINISH_S = 1.2


def default_dead_letters(topic: str) -> str:
    """Return ``<topic>.dlq``."""
    return f"{topic}.dlq"


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What an application can choose of the runtime; see :class:`App`."""

    worker: str | None
    static: bool
    dead_letters: Callable[[str], str]
    max_retries: int
    metrics: CollectorRegistry | None
    session_timeout: float | None
    transaction_timeout: float
    max_records: int
    max_seconds: float
    event_time_order: bool
    order_log: bool
    gather: Mapping[str, float]
    kafka: Mapping[str, Any]


class EngineService(Service):
    """The engine as one of Faust's services: it ends with the application, and its failure ends the application."""

    def __init__(self, engine: Engine, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.engine = engine
        self.running: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Begin to work."""
        self.running = asyncio.get_running_loop().create_task(self.engine.run(), name="engine")
        self.running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self.engine.stop()
            self.add_future(self.crash(error))

    async def finish(self, limit_s: float) -> None:
        """Finish the open epoch; after ``limit_s`` seconds drop it."""
        self.engine.stop()
        if self.running is not None and not self.running.done():
            _, late = await asyncio.wait([self.running], timeout=limit_s)
            if late:
                self.running.cancel()
                await asyncio.wait([self.running])

    async def on_stop(self) -> None:
        """Finish and leave."""
        await self.finish(FINISH_S)


class Boot(FaustBoot):
    """Agents first, then the engine that feeds them.

    Faust's own consumer, producer, conductor, table recovery and web server are not started.
    """

    def server(self) -> Iterable[ServiceT]:
        """Return the services of a worker."""
        app: Any = self.app
        return [app.agents, app.engine_service]

    def client_only(self) -> NoReturn:
        """Refuse: see Agent.ask."""
        unsupported("app.start_client()", "produce with any Kafka client and read the answers from a topic")

    def producer_only(self) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported("app.producer_only", "produce with any Kafka client: without input there is nothing to be exactly once with")


class App(Surface):
    """A drop-in for ``faust.App`` in which agents, tables and sends commit with their input's offsets.

    Parameters
    ----------
    id
        The application's id: its consumer group, and the prefix of its changelogs and transactional ids.
    worker
        This worker's name among the application's workers, stable over restarts. Without it ``QUANTUM_WORKER``, ``WORKER``, or
        a name kept in ``datadir``.
    static
        Whether the name is also the group's static identity, so that a worker that is killed and comes back within
        ``session_timeout`` has its partitions at once.
    dead_letters
        Name of the topic for records of a topic that cannot be processed; ``<topic>.dlq`` by default.
    max_retries
        How often a record whose agent raises is tried again, alone, before it goes to the dead-letter topic.
    metrics
        Registry of the metrics, the process's own by default.
    session_timeout
        Seconds of silence after which the group gives the worker's partitions to others; without it ``broker_session_timeout``
        where that is given, else 10.
    transaction_timeout
        Seconds after which the broker aborts the open transaction of a worker that is silent.
    max_records, max_seconds
        Where an epoch ends under load. With no input waiting it ends at once.
    event_time_order
        Dispatch records of one partition number by their timestamps, over all input topics.
    order_log
        Write to ``<id>-order`` in which order the records of the input topics were dispatched, so that a re-run takes the same
        decisions; see :mod:`processors.runtime.epochs.order`.
    gather
        Seconds that records of a topic may gather before an epoch takes them, by topic: for topics that only keep tables up to date. A
        record of any other topic takes along at once all that have come. Fewer transactions for the same records.
    kafka
        More settings for librdkafka, for example its security settings.
    store
        Where tables keep their committed values, where they do not say it themselves: ``memory://`` (the default: a restart reads the
        whole changelog), or ``rocksdb://`` (a folder in ``datadir``: a restart reads what the folder lacks).
    **options
        Faust's own.

    Attributes
    ----------
    about
        What its decisions depend on besides its input, for example settings: headers of the order log's first record of each
        partition and worker.
    """

    BootStrategy = Boot

    def __init__(
        self,
        id: str,
        *,
        worker: str | None = None,
        static: bool = True,
        dead_letters: Callable[[str], str] | None = None,
        max_retries: int = 3,
        metrics: CollectorRegistry | None = None,
        session_timeout: float | None = None,
        transaction_timeout: float = 10.0,
        max_records: int = 10_000,
        max_seconds: float = 0.1,
        event_time_order: bool = False,
        order_log: bool = False,
        gather: Mapping[str, float] | None = None,
        kafka: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.runtime = RuntimeOptions(
            worker, static, dead_letters or default_dead_letters, max_retries, metrics, session_timeout, transaction_timeout, max_records,
            max_seconds, event_time_order, order_log, dict(gather or {}), dict(kafka or {}),
        )  # fmt: skip
        self.about: Mapping[str, bytes] = {}
        for name, ours in (("Agent", Agent), ("Stream", Stream), ("Table", Table), ("Topic", Topic)):
            given = options.setdefault(name, ours)
            if not (isinstance(given, type) and issubclass(given, ours)):
                unsupported(
                    f"App({name}=...) that is not a subclass of processors.runtime's", f"derive it from {ours.__module__}.{ours.__name__}"
                )
        if options.get("monitor") is not None:
            unsupported("App(monitor=...)", "use the Prometheus metrics: metrics=CollectorRegistry()")
        options["store"] = "memory://" if options.get("store") is None else str(options["store"])
        is_on_disk(options["store"], "App(store=...)")
        super().__init__(id, **options)

    @cached_property
    def engine(self) -> Engine:
        """What runs the epochs."""
        return Engine(self)

    @cached_property
    def engine_service(self) -> EngineService:
        """The engine as a service."""
        return EngineService(self.engine, loop=self.loop, beacon=self.beacon)

    def identify(self) -> Identity:
        """Return this worker's identity."""
        return identify(self.runtime.worker or self.conf.consumer_group_instance_id, self.conf.datadir)

    @property
    def session_timeout(self) -> float:
        """Seconds of silence after which the group gives the worker's partitions to others."""
        return session_timeout(self.conf, self.runtime.session_timeout)

    def cluster_config(self) -> dict[str, Any]:
        """Return librdkafka's settings of the cluster."""
        servers = ",".join(f"{url.host}:{url.port or 9092}" for url in self.conf.broker)
        return {"bootstrap.servers": servers, "client.id": self.conf.broker_client_id, **credentials(self.conf), **self.runtime.kafka}

    def client_security(self) -> dict[str, Any]:
        """Return the security settings again, for the client that leaves the group."""
        return aiokafka_security(self.cluster_config())

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Return the services of a worker."""
        if self.producer_only:
            return self.boot_strategy.producer_only()
        if self.client_only:
            return self.boot_strategy.client_only()
        return self.boot_strategy.server()

    async def on_first_start(self) -> None:
        """Begin without Faust's directories: the runtime keeps nothing in them but its identity."""

    async def on_start(self) -> None:
        """Finish the configuration."""
        self.finalize()

    async def on_started(self) -> None:
        """Start tasks, timers and services once the tables are there."""
        joined = asyncio.ensure_future(self.engine.joined.wait())
        running = self.engine_service.running
        if running is not None:
            await asyncio.wait([joined, running], return_when=asyncio.FIRST_COMPLETED)
            joined.cancel()
        if self.engine.joined.is_set():
            if self.in_worker:
                look_less_often()
            await self.on_started_init_extra_tasks()
            await self.on_started_init_web_server()
            await self.on_started_init_extra_services()
            if self.on_startup_finished:
                await self.on_startup_finished()

    async def on_stop(self) -> None:
        """Finish the open epoch before anything else stops."""
        await self.on_before_shutdown.send()
        await self.engine_service.finish(FINISH_S)
        await self._maybe_close_http_client()

    def Table(self, name: str, **options: Any) -> Any:  # noqa: N802  # Faust's name
        """Define a table; see :class:`processors.runtime.state.table.Table`."""
        return super().Table(name, **options)
