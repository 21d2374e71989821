"""An HTTP server on a loopback port."""

from __future__ import annotations

from aiohttp import web

from quantum.errors import DependencyError

HOST = "127.0.0.1"


class Site:
    """Serves one application.

    Parameters
    ----------
    app
        What is served.
    """

    def __init__(self, app: web.Application) -> None:
        self.port = 0
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{HOST}:{self.port}"

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
        """Stop listening."""
        await self._runner.cleanup()
