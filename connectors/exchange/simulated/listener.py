"""One listener: the REST endpoints, the websockets and the control endpoint of one product, on a loopback port."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from connectors.exchange.simulated.endpoint import Credentials, Endpoint, Gate
from connectors.exchange.simulated.faults import DropSockets, Fault, Faults
from connectors.exchange.simulated.hub import Hub
from connectors.exchange.simulated.instruments import Product
from connectors.exchange.simulated.limits import Limits
from quantum.errors import DependencyError

HOST = "127.0.0.1"


class Listener:
    """Serves one product.

    Parameters
    ----------
    product
        The product.
    endpoints
        REST endpoints.
    hub
        Websocket side.
    credentials
        Of the account; None where no account is served.
    faults
        Shared with the endpoints that misbehave on request.
    clock
        Returns the server's time, microseconds.
    """

    def __init__(
        self,
        product: Product,
        endpoints: Sequence[Endpoint],
        hub: Hub,
        credentials: Credentials | None,
        faults: Faults,
        clock: Callable[[], int],
    ) -> None:
        self.product = product
        self.port = 0
        self._hub = hub
        self._faults = faults
        gate = Gate(product, credentials, Limits(product), faults, clock)
        app = web.Application()
        app.add_routes([gate.route(endpoint) for endpoint in endpoints])
        app.router.add_get("/ws", hub.serve)
        app.router.add_get("/ws/{streams:.+}", hub.serve)
        app.router.add_get("/stream", hub.serve)
        app.router.add_post("/control/fault", self._fault)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)

    async def start(self, port: int) -> None:
        """Listen on `port`, or on a free one for 0.

        Raises
        ------
        DependencyError
            The port is taken.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise DependencyError(
                f"the simulated venue cannot listen on {HOST}:{port}: {error.strerror}", "name a free port, or 0"
            ) from error
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the connections and stop listening."""
        await self._hub.close()
        await self._runner.cleanup()

    async def _fault(self, request: web.Request) -> web.Response:
        try:
            fault = msgspec.json.decode(await request.read(), type=Fault)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=400)
        if isinstance(fault, DropSockets):
            return web.json_response({"dropped": self._hub.drop_all()})
        self._faults.plan(fault)
        return web.json_response({"planned": fault.count})
