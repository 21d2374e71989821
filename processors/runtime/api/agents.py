"""Faust's agent, whose failure ends an epoch instead of an actor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable
from typing import TYPE_CHECKING, Any, NoReturn, cast

from faust.agents.agent import Agent as FaustAgent
from faust.agents.agent import _current_agent
from faust.types import ChannelT, TopicT
from faust.types.agents import ActorRefT
from mode.utils.aiter import aiter as as_iterator

from processors.runtime.api.streams import unsupported
from quantum.errors import ConfigurationError

if TYPE_CHECKING:
    from processors.runtime.epochs.engine import Engine


class Agent(FaustAgent):
    """An agent that is started again at once after it raised, over a stream of its own."""

    def __init__(self, *args: Any, isolated_partitions: bool = False, **kwargs: Any) -> None:
        if isolated_partitions:
            unsupported("@app.agent(isolated_partitions=True)", "use stream.take_events(n), whose batches never mix partition numbers")
        if kwargs.get("supervisor_strategy") is not None:
            unsupported(
                "@app.agent(supervisor_strategy=...)",
                "leave it out: an agent that raises is started again and its record tried again, see max_retries and dead_letters",
            )
        super().__init__(*args, isolated_partitions=False, **kwargs)

    def _prepare_channel(
        self, channel: Any = None, internal: bool = True, schema: Any = None, key_type: Any = None, value_type: Any = None, **kwargs: Any
    ) -> ChannelT[Any]:
        prepared = super()._prepare_channel(channel, internal, schema, key_type, value_type, **kwargs)
        if not isinstance(prepared, TopicT):
            raise ConfigurationError(
                f"agent {self.name} reads a channel that is not a topic", "give it an app.topic(...): only topics have offsets to commit"
            )
        return prepared

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        """Return a stream over the agent's topic."""
        token = _current_agent.set(self)
        try:
            return super().stream(*args, **kwargs)
        finally:
            _current_agent.reset(token)

    async def _execute_actor(self, coro: Awaitable[Any], aref: ActorRefT) -> None:
        _current_agent.set(self)
        engine: Engine = cast(Any, self.app).engine
        stream = aref.stream
        while True:
            error: Exception
            try:
                await coro
            except asyncio.CancelledError:
                raise
            except Exception as raised:  # noqa: BLE001  # whatever an agent raises voids the epoch; the engine judges it
                error = raised
            else:
                error = ConfigurationError(f"agent {self.name} ended", "let it iterate over its stream for ever")
            engine.agent_failed(stream, error)
            await engine.failure_judged()
            stream = engine.replace(stream, self)
            made = self.fun(stream)
            if isinstance(made, AsyncIterable):
                stream.add_processor(self._maybe_unwrap_reply_request)
            coro = self._run(aref, stream, made)

    async def _run(self, aref: ActorRefT, stream: Any, made: Any) -> None:
        aref.stream = stream
        if isinstance(made, AsyncIterable):
            await self._slurp(aref, as_iterator(made))
        else:
            await made

    def test_context(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: it would run the agent over a channel in memory, outside of any epoch."""
        unsupported("agent.test_context()", "test what the agent does as a function, and the agent on a broker")

    def ask(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: a reply cannot come before the asking epoch has committed."""
        unsupported("agent.ask()", "send to the agent's topic and let it answer on a topic that another agent reads")

    def ask_nowait(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see :meth:`ask`."""
        self.ask()

    def map(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see :meth:`ask`."""
        self.ask()

    def kvmap(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see :meth:`ask`."""
        self.ask()

    def join(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see :meth:`ask`."""
        self.ask()

    def kvjoin(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse; see :meth:`ask`."""
        self.ask()
