"""Whether a request of a producer may still be on its way to a broker that has not answered it."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

#: States of a connection in which it carries nothing but its own set-up.
_SETTING_UP = ("INIT", "DOWN", "TRY_CONNECT", "CONNECT", "SSL_HANDSHAKE", "AUTH_HANDSHAKE", "AUTH_REQ", "AUTH_LEGACY", "APIVERSION_QUERY")


class Connections:
    """Watches the connections of one producer: the logger that librdkafka writes to.

    A request whose connection ends before the answer is repeated by librdkafka without a word to the program: the call returns as if
    nothing had been, and the first request may reach the broker at any later time. Errors are not reported for it, and of like failures
    of a connection only one in 30 s is logged; but the debug context ``broker`` has a line for each of them, at the cost of three
    lines a transaction. The line is written before the request is repeated, so it is there once the call has returned and
    ``Producer.poll`` has been called. A line that is not understood counts as a failure.

    Attributes
    ----------
    lost
        Whether a connection that carried requests has ended.
    """

    #: What librdkafka must be told for it.
    SETTINGS = {"debug": "broker", "log_level": 7}  # noqa: RUF012  # read only

    def __init__(self) -> None:
        self.lost = False

    def log(self, level: int, _text: str, facility: str, client: str, message: str, **_: Any) -> None:
        """Take a line of librdkafka's log."""
        if level >= logging.CRITICAL:
            log.log(level, "%s %s %s", facility, client, message)
        if facility == "FAIL" and not _is_harmless(message):
            self.lost = True


def _is_harmless(message: str) -> bool:
    """Return whether a connection that has failed cannot have carried a transaction's request: it was being set up, or for metadata."""
    return any(f" in state {state}" in message for state in _SETTING_UP) or "/bootstrap: " in message
