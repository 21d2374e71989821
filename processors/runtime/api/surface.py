"""The rest of Faust's application: what an epoch has no part in, and what has no exactly-once form and says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

import faust
from faust.sensors.base import SensorDelegate
from faust.types.tuples import TP
from faust.web.base import PRODUCTION_BLUEPRINTS, BlueprintManager

from processors.runtime.api.outside import OutsideProducer
from processors.runtime.api.streams import unsupported
from processors.runtime.api.support import check_settings

if TYPE_CHECKING:
    from processors.runtime.epochs.engine import Engine

log = logging.getLogger(__name__)

_METRICS = "use the Prometheus metrics: metrics=CollectorRegistry()"
_LISTS = "keep lists in an app.Table and write them back: table[key] = [*table[key], value]"


class Sensors(SensorDelegate):
    """No sensors: those of Faust watch a consumer and a producer that do not run."""

    def add(self, sensor: Any) -> NoReturn:
        """Refuse, naming the alternative."""
        unsupported(f"app.sensors.add({sensor!r})", _METRICS)


class Surface(faust.App):
    """What :class:`processors.runtime.api.app.App` has of Faust's application besides its own."""

    def __init__(self, id: str, **options: Any) -> None:
        self._web_asked = options.get("web_enabled", True)
        super().__init__(id, **options)
        self.sensors = Sensors(self)
        self._announced: set[TP] = set()

    @property
    def _the_engine(self) -> Engine:
        return cast("Engine", cast(Any, self).engine)

    def finalize(self) -> None:
        """Finish the configuration, refusing what the runtime does not do."""
        first = not self.finalized
        super().finalize()
        if first:
            check_settings(self.conf)
            if list(self.on_produce_message.iter_receivers(self)):
                unsupported("app.on_produce_message", "give the headers with each send: topic.send(headers=...)")

    # Who leads, and what the worker works on.

    def is_leader(self) -> bool:
        """Return whether this worker owns partition 0 of the first of its input topics, by name.

        What a leader sends is committed under its group's generation: one that was replaced and does not know it yet is refused.
        """
        engine = self._the_engine
        return (min(engine.inputs, default=""), 0) in engine.assigned

    async def announce(self, assigned: Iterable[tuple[Any, Any]]) -> None:
        """Tell who asked what the worker works on, after its tables were restored."""
        before, self._announced = self._announced, {TP(*at) for at in assigned}
        if before - self._announced:
            await self.on_partitions_revoked.send(before - self._announced)
        await self.on_partitions_assigned.send(self._announced)
        await self.on_rebalance_complete.send()

    # The web server.

    @cached_property
    def web(self) -> Any:
        """The web server: the program's own pages, and an index that answers that the worker is there."""
        made = super()._new_web()
        made.blueprints = BlueprintManager(PRODUCTION_BLUEPRINTS)
        return made

    async def on_started_init_web_server(self) -> None:
        """Serve the program's pages; a worker whose port another one has goes on without."""
        if not (self._web_asked and self.conf.web_enabled):
            return
        if self._web_server_service is not None:
            await super().on_started_init_web_server()
        elif self.in_worker or "web" in self.__dict__:
            try:
                await self.add_runtime_dependency(self.web)
            except OSError as error:
                self._children.remove(self.web)
                log.warning("this worker serves no pages, give it a port of its own (--web-port) or none (--without-web): %s", error)

    # Sends of a process that is no worker.

    @property
    def outside(self) -> OutsideProducer:
        """What writes while no worker runs in this process."""
        return cast(OutsideProducer, self.producer)

    def _new_producer(self) -> Any:
        return OutsideProducer(cast(Any, self).cluster_config)

    # What has no exactly-once form.

    def _new_consumer(self) -> NoReturn:
        unsupported("app.consumer", "read topics in agents: the runtime has a consumer of its own")

    @property
    def monitor(self) -> Any:
        """Refuse: Faust's monitor would show nothing."""
        unsupported("app.monitor", _METRICS)

    @monitor.setter
    def monitor(self, monitor: Any) -> None:
        unsupported(f"app.monitor = {monitor!r}", _METRICS)

    @property
    def router(self) -> Any:
        """Refuse: Faust's router knows of its own assignor only."""
        unsupported("app.router", "let each worker answer for its own keys")

    @property
    def assignor(self) -> Any:
        """Refuse, naming the alternative."""
        unsupported("app.assignor", "partitions with the same number always come together")

    @property
    def in_transaction(self) -> bool:
        """Whether a worker runs: all that it does is in transactions."""
        return self.in_worker

    def channel(self, **_kwargs: Any) -> NoReturn:
        """Refuse: what lies in memory is lost with the worker, after its input was committed."""
        unsupported("app.channel()", "use a topic: app.topic(name, internal=True)")

    def table_route(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: Faust routes by what its own assignor knows."""
        unsupported("@app.table_route", "let each worker answer for its own keys, or write the table to a topic that one store reads")

    def topic_route(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see :meth:`table_route`."""
        unsupported("@app.topic_route", "send the request to the topic and let an agent answer on another")

    async def start_client(self) -> NoReturn:
        """Refuse: see Agent.ask."""
        unsupported("app.start_client()", "send with topic.send(), which needs no start, and read the answers from a topic")

    async def maybe_start_client(self) -> NoReturn:
        """Refuse; see :meth:`start_client`."""
        await self.start_client()

    async def maybe_start_producer(self) -> NoReturn:
        """Refuse: the runtime has a producer of its own."""
        unsupported("app.maybe_start_producer()", "send with topic.send()")

    async def commit(self, topics: Any) -> NoReturn:
        """Refuse: epochs commit."""
        unsupported(f"app.commit({topics!r})", "leave it out: every epoch commits itself")

    def GlobalTable(self, *_args: Any, **_kwargs: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse, naming the alternative."""
        unsupported("app.GlobalTable", "send the records to every partition of a topic and keep them in an app.Table")

    def SetTable(self, *_args: Any, **_kwargs: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse, naming the alternative."""
        unsupported("app.SetTable", _LISTS)

    def SetGlobalTable(self, *_args: Any, **_kwargs: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse, naming the alternative."""
        unsupported("app.SetGlobalTable", _LISTS)

    def LiveCheck(self, **_kwargs: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse, naming the alternative."""
        unsupported("app.LiveCheck", "read the outputs with any Kafka client (isolation.level=read_committed)")
