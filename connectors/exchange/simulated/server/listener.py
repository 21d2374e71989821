"""One listener: the REST endpoints and the websockets of one product, on a loopback port."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from connectors.exchange.simulated.rest.endpoint import Endpoint, Gate
from connectors.exchange.simulated.server.hub import Hub
from connectors.exchange.simulated.server.site import Site


class Listener:
    """Serves one product.

    Parameters
    ----------
    gate
        What every request passes.
    endpoints
        REST endpoints.
    hub
        Websocket side.
    """

    def __init__(self, gate: Gate, endpoints: Sequence[Endpoint], hub: Hub) -> None:
        self._hub = hub
        app = web.Application()
        app.add_routes([gate.route(endpoint) for endpoint in endpoints])
        app.router.add_get("/ws", hub.serve)
        app.router.add_get("/ws/{streams:.+}", hub.serve)
        app.router.add_get("/stream", hub.serve)
        self.site = Site(app)

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return self.site.port

    async def start(self, port: int) -> None:
        """Listen on `port`, or on a free one for 0; raises DependencyError where it is taken."""
        await self.site.start(port)

    async def stop(self) -> None:
        """Close the connections and stop listening."""
        await self._hub.close()
        await self.site.stop()
