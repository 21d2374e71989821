"""A proxy between Kafka's clients and a broker that holds, delays and loses chosen requests and answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.consistency.wire import CONCURRENT_TRANSACTIONS, Api, Request, error_of, key_of, read_frame, read_request

HOST = "127.0.0.1"
_RECORDS_S = 1.0
ResultT = TypeVar("ResultT")


class How(Enum):
    """What happens to a request."""

    HELD_AND_CUT = auto()  # not forwarded, its connection is cut; forwarded once the next transaction has begun
    HELD = auto()  # the same without the cut: the connection stays open and says nothing any more
    ANSWER_LOST = auto()  # forwarded and answered; the answer is dropped, the connection cut
    CUT = auto()  # lost, its connection is cut


@dataclass(slots=True)
class Fault:
    """Something that is to happen to the next request of a kind.

    Attributes
    ----------
    done
        Set when it has happened, of a held request when it has been answered late.
    error
        Kafka's error code in the late answer to a held EndTxn or AddOffsetsToTxn; None before and for other requests.
    """

    api: Api
    how: How
    done: threading.Event = field(default_factory=threading.Event)
    error: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A request that is kept until its producer has begun another transaction.

    Attributes
    ----------
    ended
        How many transactions of the producer had ended when it was sent.
    """

    request: Request
    fault: Fault
    ended: int


class Connection:
    """One client's connection and the proxy's own to the broker for it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._upstream: asyncio.StreamWriter | None = None
        self._waiting: dict[int, tuple[Request, Fault | None]] = {}
        self._mute = False
        self._late: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Forward until either side ends."""
        reader, upstream = await asyncio.open_connection(HOST, self._proxy.upstream)
        self._upstream = upstream
        pumps = [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._answers(reader))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self.cut()
            await asyncio.gather(*pumps, return_exceptions=True)

    def cut(self) -> None:
        """Close both sides."""
        for writer in (self._client[1], self._upstream):
            if writer is not None:
                writer.close()

    async def _requests(self) -> None:
        assert self._upstream is not None
        while True:
            frame = await read_frame(self._client[0])
            await self._proxy.flowing.wait()
            request = read_request(frame)
            fault = self._proxy.take(request) if request is not None and not self._mute else None
            self._mute = self._mute or self._proxy.swallows(frame)
            if request is not None and fault is not None and fault.how is not How.ANSWER_LOST:
                if fault.how is not How.CUT:
                    self._proxy.hold(request, fault)
                if fault.how is not How.HELD:
                    if fault.how is How.CUT:
                        fault.done.set()
                    return
                self._mute = True
            if self._mute:
                continue
            if request is not None:
                self._waiting[request.correlation] = (request, fault)
            self._upstream.write(frame)
            await self._upstream.drain()

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        while True:
            frame = await read_frame(reader)
            await self._proxy.flowing.wait()
            request, fault = self._waiting.pop(int.from_bytes(frame[4:8], "big"), (None, None))
            if fault is not None:
                fault.done.set()
                return
            late = self._proxy.answered(request) if request is not None else None
            if late is None:
                self._client[1].write(frame)
                await self._client[1].drain()
            else:
                self._late = asyncio.ensure_future(self._after(late, frame))

    async def _after(self, late: Coroutine[Any, Any, None], frame: bytes) -> None:
        """Pass an answer on once a late request has been delivered; other answers are not kept waiting."""
        await late
        self._client[1].write(frame)


class Proxy:
    """Listens on a free port of loopback as soon as it is made; forwards between ``start`` and the end of its block.

    Attributes
    ----------
    port
        Where clients connect.
    upstream
        The broker's port.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server((HOST, 0))
        self.port = int(self._socket.getsockname()[1])
        self.upstream = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._faults: list[Fault] = []
        self._swallowed: set[int] = set()
        self._held: dict[str, Held] = {}
        self._ended: dict[str, int] = defaultdict(int)
        self._written: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.flowing = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, upstream: int) -> None:
        """Begin to forward to a broker's port."""
        self.upstream = upstream
        self._call(self._serve())

    def arm(self, api: Api, how: How) -> Fault:
        """Have something happen to the next request of a kind, whoever sends it."""
        fault = Fault(api, how)
        self._soon(lambda: self._faults.append(fault))
        return fault

    @contextmanager
    def swallowing(self, key: int) -> Iterator[None]:
        """Forward no request of a kind (Kafka's number) within the block: who has sent one has an open connection that says nothing."""
        self._soon(lambda: self._swallowed.add(key))
        try:
            yield
        finally:
            self._soon(lambda: self._swallowed.discard(key))

    def cut(self) -> None:
        """Cut all connections."""
        self._soon(self._cut)

    def stall(self, seconds: float) -> None:
        """Let nothing pass for a time; returns after it."""
        self._soon(self.flowing.clear)
        threading.Event().wait(seconds)
        self._soon(self.flowing.set)

    # On the loop.

    def swallows(self, frame: bytes) -> bool:
        """Return whether a request is not forwarded."""
        return key_of(frame) in self._swallowed

    def take(self, request: Request) -> Fault | None:
        """Return the fault that a request is the next for."""
        for fault in self._faults:
            if fault.api is request.api and request.owner not in self._held:
                self._faults.remove(fault)
                return fault
        return None

    def hold(self, request: Request, fault: Fault) -> None:
        """Keep a request until its producer has begun another transaction."""
        self._held[request.owner] = Held(request, fault, self._ended[request.owner])

    def answered(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """Notice an answer before the client does.

        Returns
        -------
        The delivery of what was held, if the answer says that the next transaction has begun: it is done before the client knows, so
        that the transaction cannot end before, and has records but not its offsets.
        """
        owner = request.owner
        if request.api in (Api.END_TXN, Api.INIT_PRODUCER_ID):
            self._ended[owner] += 1
            self._written[owner].clear()
        elif request.api is Api.PRODUCE:
            self._written[owner].set()
        held = self._held.get(owner)
        if held is None or request.api is not Api.ADD_OFFSETS_TO_TXN or self._ended[owner] == held.ended:
            return None
        del self._held[owner]
        return self._deliver(held)

    async def _deliver(self, held: Held) -> None:
        with suppress(TimeoutError):  # a transaction of offsets alone has no records
            await asyncio.wait_for(self._written[held.request.owner].wait(), _RECORDS_S)
        fault = held.fault
        reader, writer = await asyncio.open_connection(HOST, self.upstream)
        try:
            fault.error = CONCURRENT_TRANSACTIONS
            while fault.error == CONCURRENT_TRANSACTIONS:  # it comes in the middle of another request: let it come a little later
                writer.write(held.request.frame)
                fault.error = error_of(held.request, await read_frame(reader))
        finally:
            writer.close()
        fault.done.set()

    def _cut(self) -> None:
        for connection in self._connections:
            connection.cut()

    async def _serve(self) -> None:
        self.flowing.set()
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self._connections[connection] = asyncio.ensure_future(connection.run())
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._connections[connection]
        writer.close()
        del self._connections[connection]

    async def _stop(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, doing: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)

    def _soon(self, call: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(call)
